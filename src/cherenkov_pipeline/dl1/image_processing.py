"""ctapipe's calibration, cleaning and parametrisation, set up from our parameters.

The cleaning is the one of SST-1M: two-level tail cuts [1]_, then each remaining pixel needs neighbours that arrived
at nearly the same time. ctapipe's ``NSBImageCleaner`` does both; its dynamic cleaning of bright images is
switched off, because sst1mpipe's ``ImageCleanerSST`` has none. As there, pixels whose measured pedestal is noisy get
a higher picture threshold (2.5 standard deviations); simulated files carry no such measurement.

References
----------
.. [1] ctapipe.image.tailcuts_clean, ctapipe.image.apply_time_delta_cleaning
"""

from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.dl1.parameters import CalibrationParameters, CleaningParameters, DL1Parameters

if TYPE_CHECKING:
    from ctapipe.calib import CameraCalibrator
    from ctapipe.image import ImageProcessor
    from ctapipe.instrument import SubarrayDescription


def image_processor(subarray: "SubarrayDescription", parameters: DL1Parameters) -> "ImageProcessor":
    """Make ctapipe's processor of calibrated images: cleaning and image parameters in the telescope frame.

    Parameters
    ----------
    subarray : ctapipe.instrument.SubarrayDescription
    parameters : DL1Parameters

    Returns
    -------
    ctapipe.image.ImageProcessor
        Called with an event, it fills ``image_mask`` and ``parameters`` of each DL1 image; its ``clean`` is the
        cleaning alone, ``clean(tel_id, image, arrival_times) -> mask``.

    Notes
    -----
    ctapipe fits the timing with random starting points, from one generator for the whole process. It starts
    anew here, so that a file's parameters do not depend on what the process did before: use one processor a file.
    """
    from ctapipe.fitting import FIT_RNG
    from numpy.random import default_rng
    from traitlets.config import Config

    from cherenkov_pipeline.dl1.parametrization import CompiledImageProcessor

    FIT_RNG.bit_generator.state = default_rng(0).bit_generator.state

    return CompiledImageProcessor(subarray=subarray, config=Config(ctapipe_config(parameters)))


def camera_calibrator(subarray: "SubarrayDescription", parameters: DL1Parameters) -> "CameraCalibrator":
    """Make ctapipe's calibrator: waveforms (R1) to charge in p.e. and peak time in ns."""
    from ctapipe.calib import CameraCalibrator
    from traitlets.config import Config

    return CameraCalibrator(subarray=subarray, config=Config(ctapipe_config(parameters)))


def ctapipe_config(parameters: DL1Parameters) -> dict[str, Any]:
    """Configure ctapipe's components, in the words of a configuration file of ``ctapipe-process``."""
    return {
        "CameraCalibrator": _calibration(parameters.calibration),
        "ImageProcessor": _processing(parameters.cleaning),
    }


def _calibration(parameters: CalibrationParameters) -> dict[str, Any]:
    return {
        "image_extractor_type": parameters.image_extractor,
        parameters.image_extractor: {
            "window_width": parameters.window_width,
            "window_shift": parameters.window_shift,
            "apply_integration_correction": parameters.apply_integration_correction,
        },
    }


def _processing(parameters: CleaningParameters) -> dict[str, Any]:
    return {
        "image_cleaner_type": "NSBImageCleaner",
        "use_telescope_frame": True,
        "NSBImageCleaner": {
            "picture_threshold_pe": parameters.picture_threshold_pe,
            "boundary_threshold_pe": parameters.boundary_threshold_pe,
            "min_picture_neighbors": parameters.min_picture_neighbors,
            "keep_isolated_pixels": parameters.keep_isolated,
            "time_limit": parameters.time_limit.to_value("ns") if parameters.min_time_neighbors else None,
            "time_num_neighbors": parameters.min_time_neighbors,
            "bright_cleaning_threshold": None,
        },
    }
