"""Parameters of the instrument response."""

from typing import Annotated, Literal, Self

import astropy.units as u
from pydantic import Field, model_validator

from cherenkov_pipeline.config import Parameters, quantity

Share = Annotated[float, Field(gt=0, lt=1)]


class ResponseModels(Parameters):
    """Whose predictions are used: prefixes of DL2 columns; null where there is one only."""

    energy: str | None = Field(None, description="prefix of the energies")
    type: str | None = Field(None, description="prefix of the gammaness")
    skydirection: str | None = Field(None, description="prefix of the directions")


class ResponseParameters(Parameters):
    """From DL2 to effective area, dispersion, background and sensitivity; bins are those of the evaluation."""

    dl2_path: str | None = Field(
        None, description="DL2 files of gammas and protons: one file, a folder or a glob; null: those of reconstruction"
    )
    level: Literal["telescope", "subarray"] = Field(
        "telescope", description="telescope: each image is an event of one telescope; subarray: the events of all"
    )
    models: ResponseModels = Field(ResponseModels(), description="whose predictions are used")
    gammaness_efficiencies: tuple[Share, ...] = Field(
        (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        description="shares of the gammas that gammaness cuts keep, the best in each bin is taken; one: it is taken",
    )
    theta_efficiencies: tuple[Share, ...] = Field(
        (0.4, 0.5, 0.6, 0.7, 0.8), min_length=1, description="likewise for the angle to the source"
    )
    theta_max: quantity("deg", minimum=0.01, maximum=10) = Field(0.5 * u.deg, description="largest theta cut")
    minimum_protons: int = Field(
        10, ge=1, description="cuts that leave fewer protons are not chosen, and bins with fewer not drawn"
    )
    background_offset: quantity("deg", minimum=0.1, maximum=20) = Field(
        3 * u.deg, description="protons reconstructed within this angle of the pointing give the background"
    )
    observation_time: quantity("h", minimum=1e-3) = Field(50 * u.h, description="of the sensitivity")
    significance: float = Field(5, gt=0, description="standard deviations (Li & Ma) of a detection")
    alpha: float = Field(0.2, gt=0, le=1, description="exposure of the source region over that of the background's")
    minimum_excess: float = Field(10, ge=0, description="gammas that a detection needs at least")
    minimum_excess_share: float = Field(0.05, ge=0, le=1, description="least excess as a share of the background")
    field_of_view_bins: int = Field(5, ge=1, le=50, description="bins of the background over the field of view")
    field_of_view: quantity("deg", minimum=0.5, maximum=20) = Field(
        5 * u.deg, description="largest angle to the pointing in the background file"
    )
    migration_bins: int = Field(30, ge=5, le=500, description="bins of E_reco/E_true from 0.2 to 5, logarithmic")
    psf_max: quantity("deg", minimum=0.1, maximum=20) = Field(6 * u.deg, description="range of the PSF table")
    psf_bins: int = Field(150, ge=5, le=1000, description="bins of the PSF table")
    telescope: str = Field("SST-1M", min_length=1, description="keyword TELESCOP of the FITS files")

    @model_validator(mode="after")
    def _theta_inside_background(self) -> Self:
        if not self.theta_max < self.background_offset:
            raise ValueError(
                "theta_max must be below background_offset: the background under the source is taken from there."
                f" Received: {self.theta_max}, {self.background_offset}"
            )
        return self
