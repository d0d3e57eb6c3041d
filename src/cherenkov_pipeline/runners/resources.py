"""What jobs ask the cluster for: ``slurm.yml`` of an environment."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from cherenkov_pipeline.config import Parameters, first_problem, merge, quantity
from cherenkov_pipeline.errors import UserError

KIND = "slurm"
"""Kind of configuration, as the config loader knows it."""

SITE = "CHERENKOV_SLURM"
"""Environment variable that names a file with what differs on this site."""


class Resources(Parameters):
    """What one job gets.

    Attributes
    ----------
    cpus : int
    memory : Quantity
    gpus : int
    time : Quantity
        After it the job is stopped; a training goes on in another one.
    partition, account, qos : str or None
        The cluster's defaults where they are not given.
    container : str or None
        Apptainer image that the job runs in.
    files_per_job : int or None
        A node that makes more files than this is spread over an array of jobs, each of so many files; None: never.
    setup : tuple of str
        Shell commands ahead of the job, such as ``module load cuda``.
    sbatch : dict
        Further options of ``sbatch``, such as ``constraint: a100``.
    """

    cpus: PositiveInt = 1
    memory: quantity("GB", minimum=0.1) = "4 GB"
    gpus: NonNegativeInt = 0
    time: quantity("min", minimum=0.05) = "1 h"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    container: str | None = None
    files_per_job: PositiveInt | None = None
    setup: tuple[str, ...] = ()
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)


class ClusterParameters(Parameters):
    """How a run is made of jobs.

    Attributes
    ----------
    executor : {"auto", "slurm", "local"}
        ``auto`` is SLURM where its commands are at hand, otherwise this machine.
    folder : Path
        For a folder of each run; on a disk that all machines share.
    default : Resources
        Of every job.
    tags : dict of str to dict
        What differs from ``default`` for nodes with this tag; a later tag of the list comes before an earlier one.
    max_jobs : int or None
        Jobs at the same time; None: no bound on SLURM, one for each two cores on this machine.
    max_array : int
        Jobs of one array; clusters refuse larger ones (``MaxArraySize``).
    requeues : int
        How often the job of a node may begin anew before it counts as failed.
    retries : int
        How often a file that failed is tried again.
    signal_ahead : Quantity
        How long before its end a job is told of it.
    poll : Quantity
        How often the driver looks at its jobs.
    """

    executor: Literal["auto", "slurm", "local"] = "auto"
    folder: Path
    default: Resources = Resources()
    tags: dict[str, dict[str, Any]] = Field(default_factory=dict)
    max_jobs: PositiveInt | None = None
    max_array: PositiveInt = 1000
    requeues: NonNegativeInt = 20
    retries: NonNegativeInt = 2
    signal_ahead: quantity("s", minimum=1) = "90 s"
    poll: quantity("s", minimum=0.05) = "5 s"

    @model_validator(mode="after")
    def _check_tags(self) -> "ClusterParameters":
        for tag in self.tags:
            try:
                self.resources_for([tag])
            except ValidationError as error:
                raise ValueError(f"tags.{tag}: {first_problem(error)}") from None
        return self

    def resources_for(self, tags: Iterable[str]) -> Resources:
        """Resources of a node with these tags."""
        given = self.default.model_dump(exclude_unset=True)
        for tag, own in self.tags.items():
            if tag in tags:
                given = merge(given, own)
        return Resources.model_validate(given)


def read_parameters(configured: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> ClusterParameters:
    """Complete an environment's configuration by that of the site and of the command line.

    Parameters
    ----------
    configured : mapping
        From ``slurm.yml``.
    overrides : mapping, optional
        From ``--runner-params``, which comes first.

    Raises
    ------
    UserError
        If something in it is unknown or impossible, or the file that `SITE` names cannot be read.
    """
    given = merge(merge(configured, _site()), overrides or {})
    try:
        return ClusterParameters.model_validate(given)
    except ValidationError as error:
        raise UserError(f"The cluster's configuration (slurm.yml) is wrong: {first_problem(error)}.") from error


def _site() -> Mapping[str, Any]:
    path = os.environ.get(SITE)
    if not path:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{SITE} names {path}, which cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{SITE} names {path}, which is no list of settings: see conf/cluster/slurm.yml.")
    return content
