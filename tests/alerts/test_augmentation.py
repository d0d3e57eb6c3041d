import numpy as np
import pytest

from cherenkov_pipeline.alerts.augmentation import ORIENTATIONS, AugmentationParameters, turned


def test_all_orientations_differ_and_stay_the_same_pixels():
    images = np.random.default_rng(0).normal(size=(3, 5, 5, 2))
    found = [turned(images, number) for number in range(ORIENTATIONS)]
    np.testing.assert_array_equal(found[0], images)
    assert len({one.tobytes() for one in found}) == ORIENTATIONS
    for one in found:
        np.testing.assert_array_equal(np.sort(one[1, ..., 0].ravel()), np.sort(images[1, ..., 0].ravel()))
    with pytest.raises(ValueError, match="8"):
        turned(images, 8)


def test_mirror_is_left_to_right_and_a_turn_is_a_quarter():
    image = np.arange(9).reshape(1, 3, 3)
    np.testing.assert_array_equal(turned(image, 4)[0], [[2, 1, 0], [5, 4, 3], [8, 7, 6]])
    np.testing.assert_array_equal(turned(image, 1)[0], [[2, 5, 8], [1, 4, 7], [0, 3, 6]])


@pytest.mark.parametrize(
    ("mirror", "rotation", "expected"),
    [
        (True, True, tuple(range(8))),
        (True, False, (0, 4)),
        (False, True, (0, 1, 2, 3)),
        (False, False, (0,)),
    ],
)
def test_orientations_are_those_asked_for(mirror, rotation, expected):
    assert AugmentationParameters(mirror=mirror, rotation=rotation).orientations == expected
