"""The one table of tasks: what a network learns, and how its outputs become physical quantities.

A task is one entry of `TASKS`. It names the labels that it needs, the particles that it is trained on and the
likelihood of its targets (`cherenkov_pipeline.models.likelihoods`), and holds the two transforms between the
network's units and physical ones. Its predictions are judged as any quantity with a predicted error, if
`cherenkov_pipeline.performance.evaluations` says nothing else; ctapipe's container for them stands in
`cherenkov_pipeline.reconstruction.dl2`.

Several tasks are learnt by one network under their joint name: `get_task` ("energy+type+skydirection").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.directions import (
    TRUE_DIRECTION,
    Direction,
    HeadTail,
    head_tail_point,
    point,
    pointing_of,
    to_camera,
    to_sky,
    true_direction,
)
from cherenkov_pipeline.dl1.contents import PARTICLES, PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.ground import CORE_COLUMNS, core_on_ground, core_seen

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

Mode = Literal["mono", "stereo"]
Columns = dict[str, u.Quantity | np.ndarray]

DEFAULT = ("energy", "type", "skydirection", "cameradirection")
"""Tasks that a plain ``kedro run`` trains and evaluates."""

JOINT = ("energy", "type", "skydirection")
"""Tasks that the pipeline ``train_joint`` trains in one network."""

HADRONS = ("proton", "helium", "nitrogen", "silicon", "iron")

N_OUTPUTS: dict[str, Callable[[int], int]] = {
    "gaussian": lambda n_targets: 2 * n_targets,
    "bernoulli": lambda n_targets: n_targets,
    "head_tail": lambda n_targets: 11,
    "point": lambda n_targets: 3,
}
"""Columns of the outputs of each likelihood, for so many targets."""


@dataclass(frozen=True)
class Task:
    """What one network learns.

    Attributes
    ----------
    name : str
        Name in pipelines, parameters and files.
    title : str
        For reports.
    labels : tuple of str
        Columns of the event table that the target is made from: true values, and from where they are seen.
    particles : tuple of str
        Particles that the network is trained on.
    n_targets : int
        Columns of the target.
    likelihood : str
        Name in `cherenkov_pipeline.models.likelihoods.LIKELIHOODS`: shape of the outputs and loss.
    to_target : callable
        ``table -> (n, n_targets)`` float array, in the network's units; not finite where a label is missing.
    to_physical : callable
        ``(outputs, table, camera=None) -> columns``: outputs of shape (n, n_outputs) of the events in ``table``, with
        the telescope's pointing, as physical columns; not finite where the outputs are not. ``camera`` is needed by
        cameradirection alone.
    units : mapping
        Physical column -> its unit (None: a pure number). All of them are made in every mode.
    dl2_group : str
        Name of the property in ``/dl2/event/{telescope,subarray}/<group>``, ctapipe's where it has one.
    dl2_columns : mapping
        Field of ctapipe's container -> physical column; a prediction is valid where these are finite.
    extra_columns : mapping
        Field beyond ctapipe's container, for telescopes -> physical column.
    combination : {"mean", "log_mean", "logit_mean", "direction"}
        How the predictions of an event's telescopes become one, see `cherenkov_pipeline.reconstruction.combine`.
    errors : mapping
        Field of the container -> field of its predicted error.
    to_truth : callable, optional
        ``(table, camera) -> columns``: true values that the DL1 file does not have as they are.
    truth : tuple of str
        Columns that ``to_truth`` makes.
    stereo_likelihood : str, optional
        For events seen by several telescopes, where it is another one.
    vectors : tuple of int
        First of the two target columns of each vector along lon and lat of the telescope frame, a direction or a place
        as the telescope sees it: an image that is mirrored or turned takes it along.
    version : int
        Of the target's meaning: models that have learnt another one are refused.
    parts : tuple of Task
        The tasks of a joint one, in the order of their targets and outputs.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    particles: tuple[str, ...]
    n_targets: int
    likelihood: str
    to_target: Callable[[Table], np.ndarray]
    to_physical: Callable[..., Columns]
    units: Mapping[str, u.Unit | None]
    dl2_group: str
    dl2_columns: Mapping[str, str]
    extra_columns: Mapping[str, str] = field(default_factory=dict)
    combination: Literal["mean", "log_mean", "logit_mean", "direction"] = "mean"
    errors: Mapping[str, str] = field(default_factory=dict)
    to_truth: "Callable[[Table, CameraGeometry], Columns] | None" = None
    truth: tuple[str, ...] = ()
    stereo_likelihood: str | None = None
    vectors: tuple[int, ...] = ()
    version: int = 1
    parts: "tuple[Task, ...]" = ()

    def likelihood_of(self, mode: Mode) -> str:
        """Likelihood of the outputs for one telescope, or for several."""
        return (self.stereo_likelihood or self.likelihood) if mode == "stereo" else self.likelihood

    @property
    def true_labels(self) -> tuple[str, ...]:
        """Those of the labels that are true values."""
        return tuple(name for name in self.labels if name.startswith("true_"))

    @property
    def members(self) -> "tuple[Task, ...]":
        """The tasks of a joint one; of any other, itself."""
        return self.parts or (self,)


def get_task(name: str) -> Task:
    """Return the task of this name, or the joint task of several names, as in ``"energy+type"``.

    Raises
    ------
    UserError
        If there is none.
    """
    if "+" in name:
        return joint_task(name.split("+"))
    try:
        return TASKS[name]
    except KeyError:
        raise UserError(
            f"There is no task {name!r}: choose one of {', '.join(TASKS)}, or several as in energy+type."
        ) from None


def joint_task(names: Sequence[str]) -> Task:
    """Make one task of several, for one network.

    Each event teaches what it can: the target of a task whose particles do not include the event's is NaN, and counts
    nothing in the joint likelihood.

    Parameters
    ----------
    names : sequence of str
        In `TASKS`, each once.

    Raises
    ------
    UserError
        If there is no such task, or a name comes twice.
    """
    parts = tuple(get_task(name.strip()) for name in names)
    if len(parts) < 2 or len({part.name for part in parts}) < len(parts):
        raise UserError(f"A joint task has several different tasks. Received: {'+'.join(names)}")

    def unite(columns: Callable[[Task], Sequence[str]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in parts for name in columns(part)))

    starts = (0, *accumulate(part.n_targets for part in parts))
    return Task(
        name="+".join(part.name for part in parts),
        title=", ".join(part.title for part in parts),
        labels=unite(lambda part: (*part.labels, PRIMARY)),
        particles=unite(lambda part: part.particles),
        n_targets=starts[-1],
        likelihood=_joint_likelihood(parts, "mono"),
        to_target=partial(_joint_target, parts),
        to_physical=partial(_joint_physical, parts),
        units={name: unit for part in parts for name, unit in part.units.items()},
        dl2_group="",
        dl2_columns={},
        stereo_likelihood=_joint_likelihood(parts, "stereo"),
        vectors=tuple(start + first for start, part in zip(starts, parts, strict=False) for first in part.vectors),
        parts=parts,
    )


def _joint_likelihood(parts: Sequence[Task], mode: Mode) -> str:
    return "+".join(f"{part.likelihood_of(mode)}({part.n_targets})" for part in parts)


def _joint_target(parts: Sequence[Task], table: Table) -> np.ndarray:
    primary = np.asarray(table[PRIMARY])
    targets = []
    for part in parts:
        target = np.array(part.to_target(table), dtype=float)
        target[~np.isin(primary, [PARTICLES[name] for name in part.particles])] = np.nan
        targets.append(target)
    return np.concatenate(targets, axis=1)


def _joint_physical(
    parts: Sequence[Task], outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None
) -> Columns:
    widths = [[N_OUTPUTS[part.likelihood_of(mode)](part.n_targets) for part in parts] for mode in ("mono", "stereo")]
    # the likelihood carries two more numbers a part, behind the outputs of all
    own = next(found for found in widths if sum(found) + 2 * len(parts) == outputs.shape[1])
    columns: Columns = {}
    for part, stop, width in zip(parts, accumulate(own), own, strict=True):
        columns |= part.to_physical(outputs[:, stop - width : stop], table, camera)
    return columns


def _log_energy(table: Table) -> np.ndarray:
    energy = u.Quantity(table["true_energy"], "TeV").value.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(energy)[:, np.newaxis]


def _energy(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    """Energy and its uncertainty from mean m and log-scale ln(s) of log10(E/TeV).

    The likelihood is normal in log10(E/TeV), so that the 68.27 % interval of E = 10^m is asymmetric: E 10^(-s) to
    E 10^s. The one number given is its logarithmic half width times E, the propagated error E s ln(10). Nothing is
    lost: the interval is E exp(-uncertainty / E) to E exp(uncertainty / E).
    """
    with np.errstate(over="ignore"):  # what overflows is not finite, and invalid
        energy = 10 ** outputs[:, 0].astype(float)
        uncertainty = energy * np.exp(outputs[:, 1].astype(float)) * np.log(10)
    return {"reco_energy": energy << u.TeV, "reco_energy_uncert": uncertainty << u.TeV}


def _is_gamma(table: Table) -> np.ndarray:
    primary = np.asarray(table[PRIMARY])
    return np.where(primary < 0, np.nan, primary == PARTICLES["gamma"])[:, np.newaxis]


def _gammaness(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    """Probability of a gamma, from its logit."""
    with np.errstate(over="ignore"):
        return {"gammaness": 1 / (1 + np.exp(-outputs[:, 0].astype(float)))}


def _source(table: Table) -> np.ndarray:
    direction = true_direction(table)
    return np.stack([direction.lon, direction.lat], axis=1)


def _direction(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    """Direction, its 68.27 % radius, and what a single telescope does not decide: the other side of the image.

    Outputs of ``head_tail`` (11 columns) have both sides, those of ``point`` (3) have one, and NaN for the other.
    """
    pointing, nothing = pointing_of(table), np.full(len(outputs), np.nan)
    if outputs.shape[1] == N_OUTPUTS["point"](2):
        lon, lat, radius = point(outputs)
        columns = {"head_probability": nothing, "side_uncert": radius}
        other, other_radius = Direction(nothing, nothing), nothing
    else:
        lon, lat, radius, probability = head_tail_point(outputs)
        mixture = HeadTail.of(outputs)
        (head, tail), (head_radius, tail_radius) = mixture.places(), mixture.radii().T
        is_head = probability > 0.5
        other = Direction(np.where(is_head, tail.lon, head.lon), np.where(is_head, tail.lat, head.lat))
        other_radius = np.where(is_head, tail_radius, head_radius)
        columns = {"head_probability": probability, "side_uncert": np.where(is_head, head_radius, tail_radius)}
    altitude, azimuth = to_sky(Direction(lon, lat), pointing)
    other_altitude, other_azimuth = to_sky(other, pointing)
    columns |= {
        "reco_alt": altitude,
        "reco_az": azimuth,
        "reco_ang_distance_uncert": radius,
        "reco_fov_lon": lon,
        "reco_fov_lat": lat,
        "other_alt": other_altitude,
        "other_az": other_azimuth,
        "other_uncert": other_radius,
    }
    return {name: columns[name] << unit if unit else columns[name] for name, unit in DIRECTION_UNITS.items()}


def _camera_direction(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    """Direction as the place of the source in the camera frame, beside what `_direction` gives."""
    if camera is None:
        raise UserError("The place of a source in the camera needs the geometry of the camera: give it.")
    columns = _direction(outputs, table)
    x, y = to_camera(Direction(columns["reco_fov_lon"].value, columns["reco_fov_lat"].value), camera)
    focal_length = camera.frame.focal_length.to_value(u.m)
    radius = columns["reco_ang_distance_uncert"].to_value(u.rad) * focal_length
    return {"reco_camera_x": x << u.m, "reco_camera_y": y << u.m, "reco_camera_uncert": radius << u.m, **columns}


def _true_place(table: Table, camera: "CameraGeometry") -> Columns:
    x, y = to_camera(true_direction(table), camera)
    return {"true_camera_x": x << u.m, "true_camera_y": y << u.m}


def _core_position(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    """Core on the ground, from where the telescope sees it."""
    outputs = outputs.astype(float)
    with np.errstate(over="ignore"):
        scale = np.exp(outputs[:, 2:])
    core, error = core_on_ground(outputs[:, :2], scale, table)
    names = ("reco_core_x", "reco_core_y", "reco_core_uncert_x", "reco_core_uncert_y")
    return {name: values << u.m for name, values in zip(names, (*core.T, *error.T), strict=True)}


def _maximum(table: Table) -> np.ndarray:
    return u.Quantity(table["true_x_max"], DEPTH).value.astype(float)[:, np.newaxis]


def _shower_maximum(outputs: np.ndarray, table: Table, camera: "CameraGeometry | None" = None) -> Columns:
    outputs = outputs.astype(float)
    with np.errstate(over="ignore"):
        return {"reco_x_max": outputs[:, 0] << DEPTH, "reco_x_max_uncert": np.exp(outputs[:, 1]) << DEPTH}


DEPTH = u.g / u.cm**2

DIRECTION_UNITS = {
    "reco_alt": u.deg,
    "reco_az": u.deg,
    "reco_ang_distance_uncert": u.deg,
    "reco_fov_lon": u.deg,
    "reco_fov_lat": u.deg,
    "head_probability": None,
    "side_uncert": u.deg,
    "other_alt": u.deg,
    "other_az": u.deg,
    "other_uncert": u.deg,
}
"""Point and radius; the same in the telescope frame; for one telescope the probability of the head, the radius of the
more probable side alone, and the point and radius of the other side."""

_DIRECTION = {
    "labels": TRUE_DIRECTION,
    "particles": ("gamma",),
    "n_targets": 2,
    "likelihood": "head_tail",
    "stereo_likelihood": "point",
    "to_target": _source,
    "dl2_group": "geometry",
    "combination": "direction",
    "vectors": (0,),
}
_SKY_COLUMNS = {"alt": "reco_alt", "az": "reco_az", "ang_distance_uncert": "reco_ang_distance_uncert"}
_SIDES = {name.removeprefix("reco_"): name for name in DIRECTION_UNITS if name not in _SKY_COLUMNS.values()}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="energy",
            title="Energy",
            labels=("true_energy",),
            particles=("gamma",),
            n_targets=1,
            likelihood="gaussian",
            to_target=_log_energy,
            to_physical=_energy,
            units={"reco_energy": u.TeV, "reco_energy_uncert": u.TeV},
            dl2_group="energy",
            dl2_columns={"energy": "reco_energy", "energy_uncert": "reco_energy_uncert"},
            combination="log_mean",
            errors={"energy": "energy_uncert"},
        ),
        Task(
            name="type",
            title="Particle type",
            labels=(PRIMARY,),
            particles=("gamma", *HADRONS),
            n_targets=1,
            likelihood="bernoulli",
            to_target=_is_gamma,
            to_physical=_gammaness,
            units={"gammaness": None},
            dl2_group="particle_type",
            dl2_columns={"prediction": "gammaness"},
            combination="logit_mean",
        ),
        Task(
            name="skydirection",
            title="Direction on the sky",
            to_physical=_direction,
            units=DIRECTION_UNITS,
            dl2_columns=_SKY_COLUMNS,
            extra_columns=_SIDES,
            **_DIRECTION,
        ),
        Task(
            name="cameradirection",
            title="Direction in the camera",
            to_physical=_camera_direction,
            units={"reco_camera_x": u.m, "reco_camera_y": u.m, "reco_camera_uncert": u.m, **DIRECTION_UNITS},
            dl2_columns=_SKY_COLUMNS,
            extra_columns={f"camera_{name}": f"reco_camera_{name}" for name in ("x", "y", "uncert")} | _SIDES,
            to_truth=_true_place,
            truth=("true_camera_x", "true_camera_y"),
            **_DIRECTION,
        ),
        Task(
            name="core",
            title="Core position",
            labels=CORE_COLUMNS,
            particles=("gamma",),
            n_targets=2,
            likelihood="gaussian",
            to_target=core_seen,
            to_physical=_core_position,
            units=dict.fromkeys(("reco_core_x", "reco_core_y", "reco_core_uncert_x", "reco_core_uncert_y"), u.m),
            dl2_group="geometry",
            dl2_columns={name: f"reco_{name}" for name in ("core_x", "core_y", "core_uncert_x", "core_uncert_y")},
            errors={"core_x": "core_uncert_x", "core_y": "core_uncert_y"},
            vectors=(0,),
            version=2,  # 1: on the ground
        ),
        Task(
            name="xmax",
            title="Depth of the shower maximum",
            labels=("true_x_max",),
            particles=("gamma",),
            n_targets=1,
            likelihood="gaussian",
            to_target=_maximum,
            to_physical=_shower_maximum,
            units={"reco_x_max": DEPTH, "reco_x_max_uncert": DEPTH},
            dl2_group="shower_maximum",
            dl2_columns={"x_max": "reco_x_max", "x_max_uncert": "reco_x_max_uncert"},
            errors={"x_max": "x_max_uncert"},
        ),
    )
}
