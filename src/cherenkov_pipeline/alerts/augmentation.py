"""Mirrored and turned sub-images: the sky has no preferred direction within one, so that their labels stay."""

from typing import Literal

import numpy as np
from pydantic import Field

from cherenkov_pipeline.config import Parameters

ORIENTATIONS = 8
"""Of a square: four quarter turns, each also mirrored. Number 0 is the image as it is."""


class AugmentationParameters(Parameters):
    """Which orientations of the training images are learnt from; validation and test images stay as they are."""

    mirror: bool = Field(True, description="Also mirrored left to right.")
    rotation: bool = Field(True, description="Also turned by 90, 180 and 270 degrees.")
    when: Literal["ahead", "during"] = Field(
        "during",
        description="ahead: every epoch has all orientations of every image; during: each image once an epoch, in an"
        " orientation that is drawn anew.",
    )

    @property
    def orientations(self) -> tuple[int, ...]:
        """Numbers of the orientations, for `turned`."""
        turns = range(4) if self.rotation else range(1)
        return tuple(turn + mirrored for mirrored in ((0, 4) if self.mirror else (0,)) for turn in turns)


def turned(images: np.ndarray, orientation: int) -> np.ndarray:
    """Turn images by ``orientation % 4`` quarter turns, after mirroring them left to right from 4 on.

    Parameters
    ----------
    images : ndarray
        (n, rows, columns, ...), square.
    orientation : int
        Below `ORIENTATIONS`.
    """
    if not 0 <= orientation < ORIENTATIONS:
        raise ValueError(f"orientation must be 0 to {ORIENTATIONS - 1}. Received: {orientation}")
    mirrored = images[:, :, ::-1] if orientation >= 4 else images
    return np.rot90(mirrored, orientation % 4, axes=(1, 2))
