"""What the benchmark of the peers runs: a sample, and commands that are not run again in a folder that is kept."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmarks._process import Cost, measure, run_command
from benchmarks._report import Clock

SHOWERS = {"gamma": 62_000, "proton": 33_600}
"""Thrown to be predicted at full scale, for some 2,000 images of each particle."""

TRAINING, TEST = "train", "test"


@dataclass(frozen=True)
class Sample:
    """DL1 files: a folder for each particle to learn from, and one file with both to predict.

    Attributes
    ----------
    fingerprint : str
        Of what was thrown.
    folders : mapping of str to Path
        By particle.
    tests : sequence of Path
        A file of each particle.
    n_images : mapping of str to int
        By production, before cuts.
    quality : mapping of str to str
        The package's cuts.
    """

    fingerprint: str
    folders: Mapping[str, Path]
    tests: Sequence[Path]
    n_images: Mapping[str, int]
    quality: Mapping[str, str]


def make_sample(folder: Path, scale: float, lessons: float) -> Sample:
    """Simulate gammas and protons, as the pipeline does; what is there already is kept.

    Parameters
    ----------
    folder : Path
    scale : float
        Fraction of `SHOWERS` that are thrown to be predicted.
    lessons : float
        How many are thrown to learn from, as a fraction of these.
    """
    fingerprint, quality, records = measure(_simulation, folder / "dl1", scale, lessons).result
    made = {record["production"]: record for record in records}
    folders = {}
    for particle in SHOWERS:
        path = Path(made[f"{particle}_{TRAINING}"]["path"])
        folders[particle] = path.parent / particle
        folders[particle].mkdir(exist_ok=True)
        link = folders[particle] / path.name
        if not link.exists():
            link.hardlink_to(path)
    tests = [Path(made[f"{particle}_{TEST}"]["path"]) for particle in SHOWERS]
    n_images = {name: record["n_images"] for name, record in made.items()}
    return Sample(fingerprint, folders, tests, n_images, quality)


def _simulation(
    folder: Path, scale: float, lessons: float
) -> Callable[[], tuple[str, dict[str, str], list[dict[str, Any]]]]:
    """Prepare the simulation, in a process of its own: the benchmark's stays small."""
    from benchmarks._quality_samples import productions
    from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
    from cherenkov_pipeline.dl1.production import plan_production
    from cherenkov_pipeline.file_plans import run_plan
    from cherenkov_pipeline.simulation import SimulationParameters

    diffuse = productions(1.0)
    thrown = {
        part: {
            f"{particle}_{part}": diffuse[f"{particle}_diffuse"].model_copy(
                update={"n_files": 1, "n_showers": max(20, round(scale * share * n_showers))}
            )
            for particle, n_showers in SHOWERS.items()
        }
        for part, share in ((TRAINING, lessons), (TEST, 1.0))
    }
    parameters = SimulationParameters(training=thrown[TRAINING], test=thrown[TEST], n_workers=1)
    plan = plan_production(parameters, DL1Parameters(), parameters.training | parameters.test)

    def work() -> tuple[str, dict[str, str], list[dict[str, Any]]]:
        files = run_plan(plan, folder / plan.fingerprint)
        return plan.fingerprint, SelectionParameters().quality, [dict(record) for record in files.records]

    return work


class Steps:
    """Commands that are measured; what an earlier run in the same folder did is not done again."""

    def __init__(self, folder: Path, clock: Clock):
        self.folder = folder
        self.clock = clock

    def run(self, name: str, command: Sequence[str], *makes: Path, **environment: str) -> Cost:
        """Run a command; folders that it makes are removed before, as one that was cut off may have left them."""
        record = self.folder / "costs" / f"{name}.json"
        if record.is_file() and (found := json.loads(record.read_text()))["command"] == list(command):
            return Cost(**found["cost"])
        for path in makes:
            rmtree(path, ignore_errors=True)
        cost = run_command(command, self.folder / "logs" / f"{name}.txt", environment, self._place(command))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"command": list(command), "cost": asdict(cost)}))
        self.clock.say(f"{name}: {cost.cpu_seconds:.1f} s of CPU time, {cost.peak_mb:.0f} MB")
        return cost

    def kedro(self, name: str, pipeline: str, *makes: Path, data: Path, **params: object) -> Cost:
        """Run a pipeline of this package on the data in a folder; dots of parameters are double underscores."""
        given = ",".join(f"{key.replace('__', '.')}={value}" for key, value in params.items())
        command = [
            sys.executable,
            "-m",
            "kedro",
            "run",
            f"--pipeline={pipeline}",
            *([f"--params={given}"] * bool(given)),
        ]
        return self.run(name, command, *makes, CHERENKOV_DATA=str(data))

    def _place(self, command: Sequence[str]) -> Path | None:
        """Where a command runs: kedro in the project, tools that write logs beside themselves in the folder."""
        return None if "kedro" in command else self.folder
