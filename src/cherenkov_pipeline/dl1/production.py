"""Productions as files: one run a file, each with its own number and its own stream of random numbers."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.files import FileJob, FilePlan, fingerprint
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters


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
        ``n_thrown``, ``n_triggered``, ``n_images`` and what `cherenkov_pipeline.dl1.contents.describe` tells.
    """
    from cherenkov_pipeline.dl1.simulated import write_run

    common = parameters.model_copy(update={"training": {}, "test": {}})
    runs = _first_runs(parameters)
    jobs = [
        FileJob(
            name=f"{name}_{obs_id:06d}.dl1.h5",
            function=partial(
                write_run,
                name=name,
                obs_id=obs_id,
                seed=np.random.SeedSequence((parameters.seed, obs_id)),
                parameters=common,
                production=production,
                dl1_parameters=dl1_parameters,
            ),
        )
        for name, production in productions.items()
        for obs_id in range(runs[name], runs[name] + production.n_files)
    ]
    return FilePlan(
        fingerprint=fingerprint(
            code_fingerprint("simulation", "dl1"),
            common.model_dump(mode="json", exclude={"n_workers"}),
            {name: productions[name].model_dump(mode="json") for name in productions},
            dl1_parameters.model_dump(mode="json", include={"cleaning", "focal_length_choice"}),
            [job.name for job in jobs],
        ),
        jobs=jobs,
        description=f"simulated {', '.join(productions)}",
        n_workers=parameters.n_workers,
    )


def _first_runs(parameters: SimulationParameters) -> dict[str, int]:
    """Give each production the number of its first run: no two files of the whole simulation share one."""
    first, runs = 1, {}
    for name, production in {**parameters.training, **parameters.test}.items():
        runs[name] = first
        first += production.n_files
    return runs
