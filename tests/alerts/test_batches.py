import numpy as np
import pytest

from cherenkov_pipeline.alerts.augmentation import AugmentationParameters, turned
from cherenkov_pipeline.alerts.batches import AlertBatches, Features, Images

IMAGES = np.random.default_rng(0).normal(size=(10, 4, 4, 2)).astype(np.float32)
SCALARS = np.arange(10, dtype=np.float32)[:, None]
TARGETS = np.arange(10)[:, None]
SOURCE = Images({"image": IMAGES, "scalars": SCALARS})


def _epoch(batches):
    inputs, targets = zip(*(batches[number] for number in range(len(batches))), strict=True)
    joined = {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}
    return joined, np.concatenate(targets)


def test_images_that_are_not_learnt_from_come_as_they_are():
    inputs, targets = _epoch(AlertBatches(SOURCE, np.array([2, 5, 7]), TARGETS[[2, 5, 7]], 2))
    np.testing.assert_array_equal(inputs["image"], IMAGES[[2, 5, 7]])
    np.testing.assert_array_equal(inputs["scalars"], SCALARS[[2, 5, 7]])
    np.testing.assert_array_equal(targets[:, 0], [2, 5, 7])


@pytest.mark.parametrize(("when", "times"), [("ahead", 8), ("during", 1)])
def test_every_image_comes_in_its_orientations(when, times):
    rows = np.arange(1, 10)
    batches = AlertBatches(SOURCE, rows, TARGETS[rows], 4, AugmentationParameters(when=when), seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        epochs.append(_epoch(batches))
    assert batches.n_images == 9 * times
    for inputs, targets in epochs:
        assert sorted(targets[:, 0]) == sorted(np.repeat(rows, times))
        np.testing.assert_array_equal(inputs["scalars"], targets)
        seen = set()
        for image, row in zip(inputs["image"], targets[:, 0], strict=True):
            fitting = [o for o in range(8) if (turned(IMAGES[[row]], o)[0] == image).all()]
            assert len(fitting) == 1
            seen.add((row, fitting[0]))
        assert len(seen) == (72 if when == "ahead" else 9)
    np.testing.assert_array_equal(epochs[0][0]["image"], epochs[2][0]["image"])
    assert (epochs[0][0]["image"] != epochs[1][0]["image"]).any()


def test_features_are_those_of_row_and_orientation():
    values = np.random.default_rng(1).normal(size=(8, 10, 2, 2, 3)).astype(np.float16)
    source = Features("features", values, {"scalars": SCALARS})
    taken = source.take(np.array([3, 9]), np.array([7, 0]))
    np.testing.assert_array_equal(taken["features"], values[[7, 0], [3, 9]].astype(np.float32))
    np.testing.assert_array_equal(taken["scalars"], SCALARS[[3, 9]])


def test_an_image_can_be_its_own_target():
    batches = AlertBatches(SOURCE, np.arange(10), None, 5, AugmentationParameters())
    inputs, targets = _epoch(batches)
    np.testing.assert_array_equal(inputs["image"][..., 0], targets[..., 0])
    assert inputs["image"].shape[-1] == 1
    assert targets.shape[-1] == 2
