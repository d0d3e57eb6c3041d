"""What random forests see of an image: names of image parameters, light to import.

Features are those of sst1mpipe's configuration for one telescope (mono), in the telescope frame (degrees) instead of
the camera frame (metres): trees do not know the difference.
"""

from collections.abc import Sequence

from cherenkov_pipeline.errors import UserError

RATIO = "width_over_length"
SHAPE = (
    "log_hillas_intensity",
    RATIO,
    "hillas_width",
    "hillas_length",
    "hillas_skewness",
    "hillas_kurtosis",
    "timing_slope",
    "leakage_intensity_width_2",
)
CENTRE = ("hillas_fov_lon", "hillas_fov_lat")
AXIS = (*CENTRE, "hillas_psi")
TIMING = ("timing_slope",)

FEATURES = {"energy": SHAPE + CENTRE, "type": SHAPE + CENTRE, "disp": SHAPE, "sign": SHAPE}
"""Features of each forest; energy and particle type depend on the place in the camera as well."""

COLUMNS = (*(name for name in SHAPE if name != RATIO), *AXIS)
"""Image parameters behind features and direction, as `InputParameters.parameters` names them."""


def feature_names(forest: str, *, timing: bool, further: Sequence[str] = ()) -> tuple[str, ...]:
    """Name the features of a forest (a key of `FEATURES`), in their order.

    Parameters
    ----------
    forest : str
    timing : bool
        Whether the time gradient is one.
    further : sequence of str
        More image parameters, read by all forests.
    """
    return (*(name for name in FEATURES[forest] if timing or name not in TIMING), *further)


def feature_columns(forest: str, names: Sequence[str], *, timing: bool) -> list[int]:
    """Columns that a forest reads of the image parameters ``names`` and, after them, the ratio of width and length."""
    known = [*names, RATIO]
    further = [name for name in names if name not in COLUMNS]
    return [known.index(name) for name in feature_names(forest, timing=timing, further=further)]


def check_columns(names: Sequence[str]) -> None:
    """Refuse image parameters among which one of `COLUMNS` is missing.

    Raises
    ------
    UserError
        Names what is missing.
    """
    if missing := [name for name in COLUMNS if name not in names]:
        raise UserError(
            f"The random forest needs the image parameters {', '.join(missing)}: add them to the task's input, or"
            " leave input.parameters out."
        )
