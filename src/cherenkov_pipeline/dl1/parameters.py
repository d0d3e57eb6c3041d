"""How raw events become DL1, and which images are selected: typed parameters.

The defaults are those of the SST-1M collaboration (sst1mpipe's Monte Carlo configuration).
"""

from typing import Any, Literal, Self

import astropy.units as u
from pydantic import Field, ValidationInfo, field_validator, model_validator

from cherenkov_pipeline.config import Parameters, quantity
from cherenkov_pipeline.dl1.expressions import columns_of


def _at_least_one[T](value: tuple[T, ...] | None) -> tuple[T, ...] | None:
    if value is not None and not value:
        raise ValueError("name at least one telescope, or write null for all")
    return value


class CalibrationParameters(Parameters):
    """Waveforms to charge and time. One of ctapipe's image extractors, with its integration window."""

    image_extractor: Literal["LocalPeakWindowSum", "GlobalPeakWindowSum", "NeighborPeakWindowSum"] = Field(
        "LocalPeakWindowSum", description="ctapipe's image extractor"
    )
    window_width: int = Field(7, ge=1, description="length of the integration window in samples (7 of 4 ns: 28 ns)")
    window_shift: int = Field(3, ge=0, description="samples between the window's start and the peak")
    apply_integration_correction: bool = Field(
        True, description="whether the charge outside the window is added from the reference pulse"
    )


class CleaningParameters(Parameters):
    """Which pixels belong to the shower."""

    picture_threshold_pe: float = Field(8, gt=0, description="charge in p.e. that makes a pixel part of the picture")
    boundary_threshold_pe: float = Field(4, gt=0, description="charge in p.e. that keeps a neighbour of the picture")
    min_picture_neighbors: int = Field(2, ge=0, description="picture neighbours that a picture pixel needs")
    keep_isolated: bool = Field(False, description="whether a bright pixel without such neighbours is kept")
    min_time_neighbors: int = Field(1, ge=0, description="selected neighbours needed within time_limit; 0 switches off")
    time_limit: quantity("ns", minimum=0) = Field(
        8 * u.ns, description="greatest difference of arrival times between such neighbours"
    )

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.boundary_threshold_pe > self.picture_threshold_pe:
            raise ValueError("boundary_threshold_pe must not be greater than picture_threshold_pe")
        return self


class KeptData(Parameters):
    """What a DL1 file keeps; the rest is stripped."""

    images: bool = Field(True, description="charge, time and cleaning mask of each pixel")
    parameters: bool = Field(True, description="image parameters (Hillas, leakage, timing, ...)")
    waveforms: bool = Field(False, description="calibrated waveforms (R1); raw ones (R0) are never kept")
    true_images: bool = Field(True, description="true photo-electrons of simulated images, and their parameters")

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if not (self.images or self.parameters):
            raise ValueError("keep at least one of images and parameters")
        return self


class DL1Parameters(Parameters):
    """From simtel, or DL1 made by others, to DL1 files."""

    calibration: CalibrationParameters = CalibrationParameters()
    cleaning: CleaningParameters = CleaningParameters()
    keep: KeptData = KeptData()
    focal_length_choice: Literal["EQUIVALENT", "EFFECTIVE"] = Field(
        "EQUIVALENT",
        description="focal length that turns metres into degrees; simulated SST-1M files carry no effective one",
    )
    telescope_types: tuple[str, ...] | None = Field(
        None, description="telescope types or camera names that are wanted, such as DigiCam; null takes all"
    )
    telescope_ids: tuple[int, ...] | None = Field(None, description="telescopes that are wanted; null takes all")
    on_truncated: Literal["keep", "fail"] = Field(
        "keep", description="whether the readable part of a truncated file is kept, or the run stops"
    )
    merge_into: int | None = Field(
        None, ge=1, description="number of files that the DL1 files are merged into; null leaves them as they are"
    )
    n_workers: int = Field(2, ge=1, description="files processed side by side")

    @field_validator("telescope_types", "telescope_ids")
    @classmethod
    def _not_empty[T](cls, value: tuple[T, ...] | None) -> tuple[T, ...] | None:
        return _at_least_one(value)


class SelectionParameters(Parameters):
    """Which images of the DL1 files are used. A cut has a name and a condition over DL1 columns.

    Conditions are joined by & and |, each comparison in brackets: ``"(hillas_width > 0) & (hillas_length < 2)"``.
    Columns are plain numbers: energies in TeV, angles in deg, distances in m, times in ns, charges in p.e.
    """

    telescope_ids: tuple[int, ...] | None = Field(None, description="telescopes that are used; null takes all")
    quality: dict[str, str] = Field(
        {
            "enough intensity": "hillas_intensity > 50",
            "not clipped": "leakage_intensity_width_2 < 0.7",
            "enough pixels": "morphology_n_pixels >= 3",
        },
        description="conditions over reconstructed columns; an image must pass all; null takes a cut away",
    )
    truth: dict[str, str] = Field(
        {}, description="conditions over true_ columns (true_energy in TeV) for training and testing on simulations"
    )
    min_telescopes: int = Field(1, ge=1, description="selected images of one telescope type that an event needs")

    @field_validator("quality", "truth", mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        # environments are merged leaf by leaf: null is how one takes a cut away
        return {name: cut for name, cut in value.items() if cut is not None} if isinstance(value, dict) else value

    @field_validator("quality", "truth")
    @classmethod
    def _readable(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for name, expression in value.items():
            columns = columns_of(expression)
            if info.field_name == "quality" and any(column.startswith("true_") for column in columns):
                raise ValueError(f"{name!r} uses true values, which real data do not have: move it to truth")
        return value

    @field_validator("telescope_ids")
    @classmethod
    def _not_empty(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _at_least_one(value)
