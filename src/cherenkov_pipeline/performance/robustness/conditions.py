"""The conditions: the simulation as it is, and with one parameter changed at a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import astropy.units as u
from pydantic import ValidationError

from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import RUNS, run_job
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan
from cherenkov_pipeline.fingerprints import fingerprint
from cherenkov_pipeline.performance.robustness.parameters import RobustnessParameters
from cherenkov_pipeline.simulation.parameters import SimulationParameters

NOMINAL = "nominal"

FIRST_RUN = 8_000_001
"""Beyond the runs for training and tests. All conditions have the same: what is thrown is the same."""


@dataclass(frozen=True)
class Condition:
    """The simulation under one condition.

    Attributes
    ----------
    name : str
        What is changed, for readers; `NOMINAL`: nothing.
    setting : float
        Value of the changed parameter, in ``unit``; NaN of the nominal condition.
    nominal : float
        Value that it has in the simulation, in ``unit``.
    unit : str
    simulation : SimulationParameters
    """

    name: str
    setting: float
    nominal: float
    unit: str
    simulation: SimulationParameters

    @property
    def label(self) -> str:
        """Begin the names of its files."""
        return _plain(self.name if self.name == NOMINAL else f"{self.name}_{self.setting:g}")

    @property
    def record(self) -> dict[str, Any]:
        """What the files' records tell of it."""
        number = None if self.name == NOMINAL else self.setting
        return {
            "condition": self.name,
            "setting": number,
            "nominal": None if number is None else self.nominal,
            "unit": self.unit,
        }


def make_conditions(simulation: SimulationParameters, parameters: RobustnessParameters) -> list[Condition]:
    """Make the conditions, the nominal one first.

    Raises
    ------
    UserError
        If a parameter does not exist, is no number, or its value cannot be simulated, or if the files of two
        conditions would have the same names.
    """
    found = [Condition(NOMINAL, float("nan"), float("nan"), "", simulation)]
    for name, variation in parameters.conditions.items():
        for value in variation.values:
            place = f"robustness.conditions.{name}: {variation.parameter} = {value}"
            try:
                varied = SimulationParameters.model_validate(_changed(simulation, variation.parameter, value))
            except KeyError:
                raise UserError(f"{place}: the simulation has no such parameter.") from None
            except ValidationError as error:
                raise UserError(f"{place} cannot be simulated ({first_problem(error)}).") from error
            before, after = (_number(one, variation.parameter, place) for one in (simulation, varied))
            if after != before:
                unit = after.unit.to_string()
                found.append(Condition(name, float(after.value), float(before.to_value(after.unit)), unit, varied))
    labels: dict[str, Condition] = {}
    for one in found:
        if (other := labels.setdefault(one.label, one)) is not one:
            raise UserError(f"robustness.conditions: {other.name} and {one.name} name the same files: rename one.")
    return found


def plan_conditions(simulation: SimulationParameters, dl1: DL1Parameters, parameters: RobustnessParameters) -> FilePlan:
    """Plan the DL1 files of all conditions.

    Returns
    -------
    FilePlan
        As `cherenkov_pipeline.dl1.production.plan_production`; records have ``condition``, ``setting``, ``nominal`` and
        ``unit`` as well.

    Raises
    ------
    UserError
        As `make_conditions`.
    """
    jobs = [
        _job(condition, name, FIRST_RUN + RUNS * number + run, parameters, dl1)
        for condition in make_conditions(simulation, parameters)
        for number, (name, production) in enumerate(parameters.productions.items())
        for run in range(production.n_files)
    ]
    return FilePlan(
        fingerprint=fingerprint([(job.name, job.fingerprint) for job in jobs]),
        jobs=jobs,
        description="simulated conditions",
        n_workers=simulation.n_workers,
    )


def _plain(name: str) -> str:
    """Part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", name)


def _job(condition: Condition, name: str, obs_id: int, parameters: RobustnessParameters, dl1: DL1Parameters) -> FileJob:
    job = run_job(_plain(f"{condition.label}_{name}"), parameters.productions[name], obs_id, condition.simulation, dl1)
    return FileJob(
        job.name,
        partial(_write, function=job.function, record=condition.record),
        fingerprint(job.fingerprint, condition.record),
    )


def _write(path: Path, function: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """Make a file with what its record tells of the condition."""
    return {**function(path), **record}


def _changed(simulation: SimulationParameters, parameter: str, value: float | str) -> dict[str, Any]:
    changed = simulation.model_dump(mode="json")
    *blocks, last = parameter.split(".")
    place = changed
    for block in blocks:
        place = place[block]
    if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
        raise KeyError(parameter)
    place[last] = value
    return changed


def _number(simulation: SimulationParameters, parameter: str, place: str) -> u.Quantity:
    value: Any = simulation
    for name in parameter.split("."):
        value = getattr(value, name)
    try:
        return u.Quantity(value, dtype=float)
    except TypeError:
        raise UserError(f"{place}: only numbers can be changed.") from None
