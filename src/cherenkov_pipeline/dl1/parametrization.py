"""ctapipe's image processor, three times as fast.

Cleaning, morphology, leakage, statistics and the fit of the times are ctapipe's functions. Hillas parameters and
concentrations, two thirds of its time, come from `cherenkov_pipeline.dl1.moments`. What ctapipe does for each image
beside the arithmetic is left out: a `CameraGeometry` of the selected pixels, and dictionaries for log messages.
"""

import astropy.units as u
import numpy as np
from ctapipe.containers import (
    ArrayEventContainer,
    ConcentrationContainer,
    HillasParametersContainer,
    ImageParametersContainer,
    IntensityStatisticsContainer,
    PeakTimeStatisticsContainer,
    SimulatedCameraContainer,
    TimingParametersContainer,
)
from ctapipe.core import Component
from ctapipe.fitting import lts_linear_regression
from ctapipe.image import ImageProcessor, descriptive_statistics, leakage_parameters, morphology_parameters
from ctapipe.image.image_processor import (
    DEFAULT_IMAGE_PARAMETERS,
    DEFAULT_PEAKTIME_STATISTICS,
    DEFAULT_TIMING_PARAMETERS,
    DEFAULT_TRUE_IMAGE_PARAMETERS,
)
from ctapipe.instrument import SubarrayDescription
from traitlets.config import Config

from cherenkov_pipeline.dl1.moments import Moments, moments

TIMING_SAMPLES = 5
"""Random beginnings of the fit of the times, as many as ctapipe's `~ctapipe.image.timing_parameters` takes."""


class CompiledImageProcessor(ImageProcessor):
    """Drop-in for `~ctapipe.image.ImageProcessor`: the same configuration, calls and results.

    Parameters in the telescope frame only, and no image modifier.
    """

    def __init__(self, subarray: SubarrayDescription, config: Config | None = None, parent: Component | None = None):
        super().__init__(subarray, config=config, parent=parent)
        self._pixels = {
            tel_id: np.stack(
                [
                    camera.pix_x.to_value(u.deg),
                    camera.pix_y.to_value(u.deg),
                    camera.pix_area.to_value(u.deg**2),
                    camera.pixel_width.to_value(u.deg),
                ]
            )
            for tel_id, camera in self.telescope_frame_geometries.items()
        }

    def __call__(self, event: ArrayEventContainer) -> None:
        """Fill ``image_mask`` and ``parameters`` of each DL1 image, and ``true_parameters`` of each true image."""
        for tel_id, camera in event.dl1.tel.items():
            camera.image_mask = self.clean(
                tel_id=tel_id,
                image=camera.image,
                arrival_times=camera.peak_time,
                monitoring=event.monitoring.tel[tel_id].camera,
            )
            camera.parameters = self._parameterize_image(tel_id, camera.image, camera.image_mask, camera.peak_time)
            if event.simulation is not None and tel_id in event.simulation.tel:
                self._parametrize_truth(tel_id, event.simulation.tel[tel_id])

    def _parametrize_truth(self, tel_id: int, camera: SimulatedCameraContainer) -> None:
        if camera.true_image is None:
            return
        camera.true_parameters = self._parameterize_image(
            tel_id, camera.true_image, camera.true_image > 0, default=DEFAULT_TRUE_IMAGE_PARAMETERS
        )
        for container in camera.true_parameters.values():
            if not container.prefix.startswith("true_"):
                container.prefix = f"true_{container.prefix}"

    def _parameterize_image(
        self,
        tel_id: int,
        image: np.ndarray,
        signal_pixels: np.ndarray,
        peak_time: np.ndarray | None = None,
        default: ImageParametersContainer = DEFAULT_IMAGE_PARAMETERS,
    ) -> ImageParametersContainer:
        selected = image[signal_pixels]
        if not all(self.check_image(image=selected)):
            return default
        found, longitudinal = moments(*self._pixels[tel_id][:, signal_pixels], selected.astype(np.float64))
        timing, time_statistics = DEFAULT_TIMING_PARAMETERS, DEFAULT_PEAKTIME_STATISTICS
        if peak_time is not None:
            times = peak_time[signal_pixels]
            timing = _timing(longitudinal, times.astype(np.float64))
            time_statistics = descriptive_statistics(times, container_class=PeakTimeStatisticsContainer)
        camera = self.telescope_frame_geometries[tel_id]
        return ImageParametersContainer(
            hillas=_hillas(found),
            timing=timing,
            leakage=leakage_parameters(geom=camera, image=image, cleaning_mask=signal_pixels),
            concentration=ConcentrationContainer(
                cog=found.concentration_cog,
                core=found.concentration_core,
                pixel=float(selected.max()) / found.intensity,
            ),
            morphology=morphology_parameters(geom=camera, image_mask=signal_pixels),
            intensity_statistics=descriptive_statistics(selected, container_class=IntensityStatisticsContainer),
            peak_time_statistics=time_statistics,
        )


def _hillas(found: Moments) -> HillasParametersContainer:
    return HillasParametersContainer(
        intensity=found.intensity,
        skewness=found.skewness,
        kurtosis=found.kurtosis,
        fov_lon=found.x * u.deg,
        fov_lat=found.y * u.deg,
        r=np.hypot(found.x, found.y) * u.deg,
        phi=np.arctan2(found.y, found.x) * u.rad,
        length=found.length * u.deg,
        length_uncertainty=found.length_uncertainty * u.deg,
        width=found.width * u.deg,
        width_uncertainty=found.width_uncertainty * u.deg,
        psi=found.psi * u.rad,
        psi_uncertainty=found.psi_uncertainty * u.rad,
        transverse_cog_uncertainty=found.transverse_cog_uncertainty * u.deg,
    )


def _timing(longitudinal: np.ndarray, times: np.ndarray) -> TimingParametersContainer:
    (slope, intercept), _ = lts_linear_regression(x=longitudinal, y=times, samples=TIMING_SAMPLES)
    deviation = np.sqrt(np.mean((longitudinal * slope + intercept - times) ** 2))
    return TimingParametersContainer(slope=slope / u.deg, intercept=intercept, deviation=deviation)
