import numpy as np
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.evaluation.gallery import gallery, wrong_images


def test_wrong_images_are_listed_the_most_certain_first():
    images = toy_images(6)
    images.table["is_real"] = [True, True, False, False, True, False]
    images.table["true_is_real"] = [True, False, False, False, True, False]
    probability = np.array([0.9, 0.02, 0.6, 0.1, 0.4, 0.95])
    wrong = wrong_images(images.table, probability)
    assert list(wrong["row"]) == [1, 5, 2, 4]
    assert list(wrong["label"]) == ["true source", "false alert", "false alert", "true source"]
    assert list(wrong["said"]) == ["false alert", "true source", "true source", "false alert"]
    np.testing.assert_allclose(wrong["confidence"], [0.98, 0.95, 0.6, 0.6])
    assert list(wrong["is_label_right"]) == [False, True, True, True]
    figure = gallery(images, wrong, n_largest=2)
    captions = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(captions) == 2
    assert "label wrong" in captions[0]
    assert "said false alert, 98 %" in captions[0]
    assert not np.isnan(figure.axes[0].images[0].get_array()).all()


def test_an_ensemble_without_errors_has_an_empty_gallery():
    images = toy_images(3)
    wrong = wrong_images(images.table, np.asarray(images.table["is_real"], dtype=float))
    assert len(wrong) == 0
    assert gallery(images, wrong).axes
