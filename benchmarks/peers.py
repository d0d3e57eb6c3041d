"""CTLearn and this package side by side: the same DL1 files, from training to the judgement, as a user runs them.

CTLearn is installed into an environment of its own (``benchmarks/ctlearn.txt``). Gammas and protons are simulated; both
learn from the same files after the same cuts, CTLearn its default network, ours likewise (or ``--model``); both predict
another file with gammas and protons: CTLearn task by task, and all tasks in one process, our ``reconstruction`` all
four tasks at once, in turns. Then ``comparison_dl2`` judges both DL2 files.

    python -m benchmarks.peers [--scale 0.1] [--lessons 1] [--folder KEEP] [--epochs 1] [--model set_network]

All figures are of whole processes, imports included, on one core. The last line is one JSON object:
``prediction_ratio`` (CPU time of CTLearn's predictions, one per task, over that of our four tasks),
``training_ratio`` (images that a training sees per second of CPU time, ours over CTLearn's), ``memory_ratio`` (peak
memory of a prediction, CTLearn's over ours), what they are made of, and the quality of both. CTLearn's tool for single
images has no ``skydirection``: its three tasks stand against our four. It trains for ``--epochs`` epochs, ours for the
package's default; CTLearn's default of 10 takes hours on a CPU. Both learn from a tenth of what they predict, unless
``--lessons`` says more: an image of an epoch costs CTLearn more than a second.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _ctlearn
from benchmarks._peers_steps import Sample, Steps, make_sample
from benchmarks._process import CommandError, Cost
from benchmarks._report import Clock, print_table, report

TASKS = ("energy", "type", "skydirection", "cameradirection")
OURS, THEIRS = "ours", "ctlearn"
LIMITS = {"prediction_ratio": "at least 5"}


@dataclass(frozen=True)
class Work:
    """What a command cost, and how many images it took: of a training, in all epochs."""

    cost: Cost
    n_images: int

    @property
    def rate(self) -> float:
        """Images per second of CPU time."""
        return self.n_images / self.cost.cpu_seconds


Works = dict[str, dict[str, Work]]
"""Works by name, of us and of CTLearn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of events")
    parser.add_argument("--lessons", type=float, default=0.1, help="events to learn from, for each to predict")
    parser.add_argument("--epochs", type=int, default=1, help="of CTLearn's trainings")
    parser.add_argument("--model", default="set_network", help="ours, by its name in the registry")
    parser.add_argument("--folder", type=Path, help="keep everything here, and go on with what is there")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        try:
            rows, figures = run(folder, arguments.scale, arguments.lessons, arguments.epochs, arguments.model)
        except (_ctlearn.InstallationError, CommandError) as error:
            sys.exit(f"Error: {error}")
    report(rows, figures)


def run(
    folder: Path, scale: float, lessons: float, epochs: int, model: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Do and measure everything in a folder; rows of the table, and figures."""
    clock = Clock()
    commands = _ctlearn.install(folder / "environment")
    clock.say("CTLearn is installed")
    sample = make_sample(folder, scale, lessons)
    clock.say(f"simulated images: {', '.join(f'{name} {n}' for name, n in sample.n_images.items())}")
    steps = Steps(folder / f"{model}-{epochs}-{sample.fingerprint}", clock)
    config = steps.folder / "ctlearn.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(_ctlearn.settings(sample.quality, min(sample.n_images.values()), epochs), indent=1))
    trainings = train(steps, sample, commands, config, model)
    predictions = predict(steps, sample, commands, config)
    print_table(rows(trainings, predictions))
    quality, found = judge(steps), figures(trainings, predictions)
    print_table([{"figure": name, "value": value, "wanted": LIMITS.get(name, "")} for name, value in found.items()])
    return quality, found | {
        f"{row['task']}_{row['metric']}_{who}{end}": row[f"{who}{end}"]
        for row in quality
        for who in (OURS, THEIRS)
        for end in ("", "_low", "_high")
    }


def train(steps: Steps, sample: Sample, commands: Path, config: Path, model: str) -> Works:
    """Train all models."""
    data = steps.folder / "data"
    steps.kedro(
        "processing",
        "data_processing",
        data=data,
        raw_path=next(iter(sample.folders.values())).parent / "*" / "*.h5",
        store__split__train=0.9,
        store__split__validation=0.1,
        store__split__test=0.0,
    )
    works: Works = {OURS: {}, THEIRS: {}}
    for task in TASKS:
        cost = steps.kedro(f"{OURS}_train_{task}", f"train_{task}", data=data, task_defaults__model__name=model)
        works[OURS][task] = Work(cost, images_trained(data / "06_models" / task))
        if task in _ctlearn.TASKS:
            folder = model_folder(steps, task)
            command = _ctlearn.train_command(
                commands, config, task, sample.folders["gamma"], sample.folders["proton"], folder
            )
            cost = steps.run(f"{THEIRS}_train_{task}", command, folder)
            works[THEIRS][task] = Work(cost, _ctlearn.images_trained(cost.result, config))
    return works


def model_folder(steps: Steps, task: str) -> Path:
    """Where CTLearn keeps its model of a task."""
    return steps.folder / "ctlearn_models" / task


def images_trained(folder: Path) -> int:
    """Images that our latest training in a folder saw, in all epochs."""
    card = json.loads(max(folder.glob("model.keras/*/*.json")).read_text())
    return card["data"]["n_train"] * card["training"]["epochs"]


def predict(steps: Steps, sample: Sample, commands: Path, config: Path) -> Works:
    """Predict the test file: ours after each task of CTLearn, made anew each time."""
    test = steps.folder / "test.dl1.h5"
    merger = Path(sys.executable).with_name("ctapipe-merge")
    steps.run("merging", [str(merger), "--overwrite", f"--output={test}", *map(str, sample.tests)])
    data = steps.folder / "data"
    made = (data / "02_intermediate" / "reconstruction_dl1_files", data / "07_model_output" / "dl2_files")
    models = {task: model_folder(steps, task) for task in _ctlearn.TASKS}
    ours, theirs = [], {}
    for turn, (task, model) in enumerate(models.items()):
        dl2 = steps.folder / f"ctlearn_{task}.dl2.h5"
        theirs[task] = steps.run(
            f"{THEIRS}_predict_{task}", _ctlearn.predict_command(commands, config, {task: model}, test, dl2)
        )
        ours.append(steps.kedro(f"{OURS}_predict_{turn}", "reconstruction", *made, data=data, input_path=test))
    command = _ctlearn.predict_command(commands, config, models, test, steps.folder / "ctlearn.dl2.h5")
    theirs["all"] = steps.run(f"{THEIRS}_predict_all", command)
    n_images = _ctlearn.images_loaded(theirs["all"].result)
    middle = sorted(ours, key=lambda cost: cost.cpu_seconds)[len(ours) // 2]
    return {
        OURS: {"all": Work(middle, n_images)},
        THEIRS: {task: Work(cost, n_images) for task, cost in theirs.items()},
    }


def judge(steps: Steps) -> list[dict[str, Any]]:
    """Compare both DL2 files; for each task the metric that ranks models, with its interval."""
    (ours,) = (steps.folder / "data" / "07_model_output" / "dl2_files").glob("*/*.h5")
    quality = []
    for task in _ctlearn.TASKS:
        data = steps.folder / "compared" / task
        steps.kedro(
            f"compare_{task}",
            "comparison_dl2",
            data=data,
            comparison__task=task,
            comparison__models__ours=ours,
            comparison__models__ctlearn=steps.folder / "ctlearn.dl2.h5",
        )
        found = json.loads(max(data.glob("08_reporting/comparison_dl2/ranking.json/*/*.json")).read_text())
        quality.append(quality_row(task, found))
    return quality


def quality_row(task: str, ranking: Mapping[str, Any]) -> dict[str, Any]:
    """Row of the table for one task: the metric that ranks models, of both."""
    metric, row = ranking["headline"], {"task": task, "metric": ranking["headline"]}
    for who in (OURS, THEIRS):
        found = ranking["models"][who]["metrics"][metric]
        row |= {who: found["value"], f"{who}_low": found["low"], f"{who}_high": found["high"], "n": found["n"]}
    return row


def rows(trainings: Works, predictions: Works) -> list[dict[str, Any]]:
    """Rows of the table of costs."""
    return [
        {
            "what": f"{what}, {task}",
            "who": who,
            "images": work.n_images,
            "cpu seconds": work.cost.cpu_seconds,
            "seconds": work.cost.seconds,
            "images/s": work.rate,
            "peak memory [MB]": work.cost.peak_mb,
        }
        for what, works in (("training", trainings), ("prediction", predictions))
        for who, found in works.items()
        for task, work in found.items()
    ]


def figures(trainings: Works, predictions: Works) -> dict[str, float]:
    """Ratios, and what they are made of; a training of each task counts where both have one."""
    at_once = predictions[THEIRS]["all"]
    ours, theirs = predictions[OURS]["all"], [predictions[THEIRS][task] for task in _ctlearn.TASKS]
    taught = {who: [works[task] for task in _ctlearn.TASKS] for who, works in trainings.items()}
    rates = {
        who: sum(work.n_images for work in works) / sum(work.cost.cpu_seconds for work in works)
        for who, works in taught.items()
    }
    return {
        "prediction_ratio": sum(work.cost.cpu_seconds for work in theirs) / ours.cost.cpu_seconds,
        "prediction_ratio_wall": sum(work.cost.seconds for work in theirs) / ours.cost.seconds,
        "prediction_ratio_at_once": at_once.cost.cpu_seconds / ours.cost.cpu_seconds,
        "training_ratio": rates[OURS] / rates[THEIRS],
        "memory_ratio": max(work.cost.peak_mb for work in theirs) / ours.cost.peak_mb,
        "training_memory_ratio": max(work.cost.peak_mb for work in taught[THEIRS])
        / max(work.cost.peak_mb for work in taught[OURS]),
        "ours_prediction_cpu_s": ours.cost.cpu_seconds,
        "ctlearn_prediction_cpu_s": sum(work.cost.cpu_seconds for work in theirs),
        "ours_training_images_per_s": rates[OURS],
        "ctlearn_training_images_per_s": rates[THEIRS],
        "ours_memory_mb": ours.cost.peak_mb,
        "ctlearn_memory_mb": max(work.cost.peak_mb for work in theirs),
        "n_images": ours.n_images,
    }


if __name__ == "__main__":
    main()
