"""The one table of tasks: what a network learns, and how its outputs become physical quantities.

A task is one entry of `TASKS`. It names the labels that it needs, the particles that it is trained on and the
likelihood of its targets (`cherenkov_pipeline.models.likelihoods`), and holds the two transforms between the
network's units and physical ones. How its predictions are judged stands in
`cherenkov_pipeline.performance.evaluations`, ctapipe's container for them in `cherenkov_pipeline.reconstruction.dl2`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.errors import UserError


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
        Columns of the event table that the target is made from.
    particles : tuple of str
        Particles that the network is trained on.
    n_targets : int
        Columns of the target.
    likelihood : str
        Name in `cherenkov_pipeline.models.likelihoods.LIKELIHOODS`: shape of the outputs and loss.
    to_target : callable
        ``table -> (n, n_targets)`` float array, in the network's units; not finite where a label is missing.
    to_physical : callable
        ``(outputs, table) -> columns``: outputs of shape (n, n_outputs) of the events in ``table`` as physical
        columns; not finite where the outputs are not.
    units : mapping
        Physical column -> its unit.
    dl2_group : str
        ctapipe's name of the property in ``/dl2/event/{telescope,subarray}/<group>``.
    dl2_columns : mapping
        Field of ctapipe's container -> physical column.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    particles: tuple[str, ...]
    n_targets: int
    likelihood: str
    to_target: Callable[[Table], np.ndarray]
    to_physical: Callable[[np.ndarray, Table], dict[str, u.Quantity]]
    units: Mapping[str, u.Unit]
    dl2_group: str
    dl2_columns: Mapping[str, str]


def get_task(name: str) -> Task:
    """Return the task of this name.

    Raises
    ------
    UserError
        If there is none.
    """
    try:
        return TASKS[name]
    except KeyError:
        raise UserError(f"There is no task {name!r}: choose one of {', '.join(TASKS)}.") from None


def _log_energy(table: Table) -> np.ndarray:
    energy = u.Quantity(table["true_energy"], "TeV").value.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(energy)[:, np.newaxis]


def _energy(outputs: np.ndarray, table: Table) -> dict[str, u.Quantity]:
    """Energy and its uncertainty from mean m and log-scale ln(s) of log10(E/TeV).

    The likelihood is normal in log10(E/TeV), so that the 68.27 % interval of E = 10^m is asymmetric: E 10^(-s) to
    E 10^s. The one number given is its logarithmic half width times E, the propagated error E s ln(10). Nothing is
    lost: the interval is E exp(-uncertainty / E) to E exp(uncertainty / E).
    """
    with np.errstate(over="ignore"):  # what overflows is not finite, and invalid
        energy = 10 ** outputs[:, 0].astype(float)
        uncertainty = energy * np.exp(outputs[:, 1].astype(float)) * np.log(10)
    return {"reco_energy": energy << u.TeV, "reco_energy_uncert": uncertainty << u.TeV}


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
        ),
    )
}
