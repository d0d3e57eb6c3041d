"""Productions as files: one run a file, each with its own number and its own stream of random numbers."""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

import numpy as np

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.file_plans import FileJob, FilePlan
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters

RUNS = 100_000
"""Run numbers set apart for each production: more than it can have files."""

FIRST_TEST_RUN = 5_000_000
"""Test productions count from here."""


def plan_production(
    parameters: SimulationParameters, dl1_parameters: DL1Parameters, productions: Mapping[str, Production]
) -> FilePlan:
    """Plan the DL1 files of some productions.

    Parameters
    ----------
    parameters : SimulationParameters
    dl1_parameters : DL1Parameters
        How images are cleaned and parametrised.
    productions : mapping of str to Production
        ``parameters.training`` or ``parameters.test``.

    Returns
    -------
    FilePlan
        ``<production>_<run>.dl1.h5``. The record of a file holds ``production``, ``particle``, ``obs_id``,
        ``n_thrown``, ``n_triggered``, ``n_images`` and what `cherenkov_pipeline.dl1.contents.describe` tells. A job's
        fingerprint covers its own run: of a production with more files only the new ones are simulated.
    """
    runs = _first_runs(parameters)
    jobs = [
        run_job(name, production, obs_id, parameters, dl1_parameters)
        for name, production in productions.items()
        for obs_id in range(runs[name], runs[name] + production.n_files)
    ]
    return FilePlan(
        fingerprint=fingerprint([(job.name, job.fingerprint) for job in jobs]),
        jobs=jobs,
        description=f"simulated {', '.join(productions)}",
        n_workers=parameters.n_workers,
    )


def run_job(
    name: str, production: Production, obs_id: int, parameters: SimulationParameters, dl1_parameters: DL1Parameters
) -> FileJob:
    """Make the job of one run, with a fingerprint of its own."""
    from cherenkov_pipeline.dl1.simulated import write_run

    common = parameters.model_copy(update={"training": {}, "test": {}})
    function = partial(
        write_run,
        name=name,
        obs_id=obs_id,
        seed=np.random.SeedSequence((parameters.seed, obs_id)),
        parameters=common,
        production=production,
        dl1_parameters=dl1_parameters,
    )
    identity = fingerprint(
        code_fingerprint("simulation", "dl1", "ground"),
        version("ctapipe"),
        name,
        obs_id,
        common.model_dump(mode="json", exclude={"n_workers"}),
        production.model_dump(mode="json", exclude={"n_files"}),
        dl1_parameters.model_dump(mode="json", include={"cleaning", "focal_length_choice"}),
    )
    return FileJob(f"{name}_{obs_id:06d}.dl1.h5", function, identity)


def _first_runs(parameters: SimulationParameters) -> dict[str, int]:
    """Give each production the number of its first run.

    No two files of the whole simulation share one, and none changes when another production gets more files.
    """
    training = {name: 1 + RUNS * number for number, name in enumerate(parameters.training)}
    return training | {name: 1 + FIRST_TEST_RUN + RUNS * number for number, name in enumerate(parameters.test)}
