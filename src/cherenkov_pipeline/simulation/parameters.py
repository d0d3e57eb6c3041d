"""Parameters of the shower simulation: what is thrown, at which telescopes, under which sky."""

import math
from typing import Literal

import astropy.units as u
from pydantic import Field, model_validator

from cherenkov_pipeline.config import Parameters, quantity

ONDREJOV_ALTITUDE = 511.195 * u.m
INTEGRATION_WINDOW = 28 * u.ns
#: noise of one sample, in heights of a pulse: that of the night sky comes from the photo-electrons of such a time (the
#: integral of the squared pulse), the electronic noise is that of a window of 28 ns times a factor
NOISE_TIME = 11.5 * u.ns
SAMPLE_NOISE = 1.49
CLUSTER_PIXELS = 21
SAFE_THRESHOLD = 5.0  # standard deviations of the noise of a cluster: night-sky triggers are not simulated

MAX_USES = 100
"""Uses of a shower that an event number has room for: its last two digits, as in CORSIKA and sim_telarray."""


class AtmosphereParameters(Parameters):
    """Extinction of the light; the density profile is the US standard atmosphere."""

    rayleigh_depth: quantity("g / cm2", minimum=1) = Field(
        "2970 g / cm2", description="Mean free path of Rayleigh scattering (2970 g/cm2 is that at 400 nm)"
    )
    aerosol_optical_depth: float = Field(0.2, ge=0, le=5, description="Vertical optical depth of the aerosols")
    aerosol_scale_height: quantity("km", minimum=0.01) = Field("1.2 km", description="Scale height of the aerosols")


class OpticsParameters(Parameters):
    """From the mirror to the photo-electrons."""

    throughput: float = Field(
        0.29,
        gt=0,
        le=1,
        description="Share of the light on the mirror that reaches the sensors: reflectivity, shadows, guides, window",
    )
    photon_detection_efficiency: float = Field(
        0.35, gt=0, le=1, description="Photo-electrons per photon on the sensors, averaged over 300-550 nm"
    )
    psf_d80_axis: quantity("deg", minimum=0) = Field(
        "0.08 deg", description="Diameter that holds 80 % of a star's light, on the axis"
    )
    psf_d80_slope: float = Field(
        0.0325, ge=0, description="Growth of this diameter with the distance to the axis (0.21 deg at 4 deg)"
    )


class ElectronicsParameters(Parameters):
    """From photo-electrons to charges and times of pixels, and the trigger."""

    night_sky_rate: quantity("1 / ns", minimum=0, maximum=10) = Field(
        "0.1 / ns", description="Photo-electrons of the night sky per pixel and time, without crosstalk"
    )
    crosstalk: float = Field(0.1, ge=0, lt=0.5, description="Probability that a photo-electron causes another one")
    electronic_noise: float = Field(
        0.25, ge=0, description="Standard deviation of the electronic noise in a window of 28 ns, in calibrated p.e."
    )
    charge_spread: float = Field(0.15, ge=0, description="Relative standard deviation of the charge of one p.e.")
    time_jitter: quantity("ns", minimum=0) = Field("0.6 ns", description="Jitter of a pixel's time at large charge")
    trigger_time: quantity("ns", minimum=0, maximum=200) = Field(
        "56 ns", description="Where the trigger puts the shower in the readout window"
    )
    trigger_threshold: float = Field(
        47,
        gt=0,
        description="Height of the summed pulse of the brightest cluster of 21 pixels that triggers a telescope, above"
        " the pedestal; in heights of one calibrated p.e., from which crosstalk is taken out",
    )

    @property
    def cluster_noise(self) -> float:
        """Standard deviation [heights of a calibrated p.e.] of night sky and noise in a sample of a cluster.

        Compound Poisson distribution: photo-electrons, each with a Poissonian number of crosstalk companions, each
        with a Gaussian charge.
        """
        n_sky = float(self.night_sky_rate * NOISE_TIME)
        gain = 1 + self.crosstalk
        variance = n_sky * (gain**2 + self.crosstalk + self.charge_spread**2 * gain) / gain**2
        return math.sqrt(CLUSTER_PIXELS * (variance + (SAMPLE_NOISE * self.electronic_noise) ** 2))

    @model_validator(mode="after")
    def _sky_does_not_trigger(self) -> "ElectronicsParameters":
        lowest = SAFE_THRESHOLD * self.cluster_noise
        if self.trigger_threshold < lowest:
            raise ValueError(
                f"the night sky alone would trigger: at night_sky_rate {self.night_sky_rate.value:g} / ns set"
                f" trigger_threshold to {math.ceil(lowest)} p.e. or more. Received: {self.trigger_threshold:g}"
            )
        return self


class Production(Parameters):
    """Showers of one kind: how many, which energies, from where, how far away."""

    particle: Literal["gamma", "proton"] = Field(description="Primary particle")
    n_files: int = Field(ge=1, le=100_000, description="Number of files, each a run with its own obs_id")
    n_showers: int = Field(ge=1, description="Showers per file")
    uses_per_shower: int = Field(
        1,
        ge=1,
        le=MAX_USES,
        description="Core positions per shower; thrown events per file: n_showers * uses_per_shower",
    )
    energy_min: quantity("TeV", minimum=0.01, maximum=1000) = Field(description="Lowest energy thrown")
    energy_max: quantity("TeV", minimum=0.01, maximum=1000) = Field(description="Highest energy thrown")
    spectral_index: float = Field(-2.0, ge=-5, le=0, description="Power of the thrown spectrum dN/dE")
    core_radius: quantity("m", minimum=1, maximum=5000) = Field(
        description="Cores are thrown on a disk of this radius around the array, across each shower"
    )
    viewcone_radius: quantity("deg", minimum=0, maximum=20) = Field(
        "0 deg", description="Directions are thrown in a cone of this radius around the pointing; 0: a point source"
    )
    source_offset: quantity("deg", minimum=0, maximum=10) = Field(
        "0 deg", description="Distance of a point-like source to the pointing"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Production":
        if not self.energy_min < self.energy_max:
            raise ValueError(f"energy_min must lie below energy_max. Received: {self.energy_min}, {self.energy_max}")
        if self.viewcone_radius > 0 and self.source_offset > 0:
            raise ValueError("source_offset is for point-like sources: set it or viewcone_radius to 0 deg")
        return self


class SimulationParameters(Parameters):
    """The simulation of showers for training and for tests."""

    training: dict[str, Production] = Field(description="Productions to train and validate on, by name")
    test: dict[str, Production] = Field(description="Productions kept for tests, by name")
    site_altitude: quantity("m", minimum=0, maximum=6000) = Field(
        ONDREJOV_ALTITUDE, description="Height of the telescopes above sea level"
    )
    zenith: quantity("deg", minimum=0, maximum=60) = Field("20 deg", description="Zenith angle of the pointing")
    azimuth: quantity("deg", minimum=0, maximum=360) = Field(
        "0 deg", description="Azimuth of the pointing, from North to East"
    )
    atmosphere: AtmosphereParameters = Field(AtmosphereParameters(), description="Extinction of the light")
    optics: OpticsParameters = Field(OpticsParameters(), description="Mirror, camera window and sensors")
    electronics: ElectronicsParameters = Field(ElectronicsParameters(), description="Charges, times and trigger")
    seed: int = Field(20240611, ge=0, description="Seed of all random numbers; each file has its own stream")
    n_workers: int = Field(2, ge=1, le=1024, description="Files simulated side by side")

    @model_validator(mode="after")
    def _distinct_names(self) -> "SimulationParameters":
        if both := sorted(self.training.keys() & self.test.keys()):
            raise ValueError(f"a production is either for training or for tests. In both: {', '.join(both)}")
        return self
