"""CTLearn in an environment of its own, and its command-line tools as its users call them."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).with_name("ctlearn.txt")
"""Versions that work together."""

TASKS = ("energy", "type", "cameradirection")
"""What its tool for single images predicts. It takes a model of ``skydirection`` too, and ignores it."""

SMALLEST_PART = 20
"""Of the images, a validation sample has more than one in so many: a tenth, after cuts that half of them pass."""


class InstallationError(Exception):
    """CTLearn cannot be installed; the message is one line."""


def install(folder: Path) -> Path:
    """Install CTLearn, if it is not there yet.

    Parameters
    ----------
    folder : Path
        Of the virtual environment.

    Returns
    -------
    Path
        Folder of its commands.

    Raises
    ------
    InstallationError
        If that fails, for example without a network.
    """
    mark, wanted = folder / "installed", REQUIREMENTS.read_text()
    if not (mark.is_file() and mark.read_text() == wanted):
        uv = [sys.executable, "-m", "uv"]
        python = folder / "bin" / "python"
        _installing([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _installing(
            [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r", str(REQUIREMENTS)]
        )
        mark.write_text(wanted)
    return folder / "bin"


def _installing(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stdout.split()) or "no reason given"
        raise InstallationError(
            f"CTLearn cannot be installed, which needs uv (make installs it) and a package index: {reason[:300]}"
        )


def settings(quality: Mapping[str, str], n_images: int, epochs: int) -> dict[str, Any]:
    """Configure its tools: the model and all else as CTLearn has it, but our cuts and focal length.

    Parameters
    ----------
    quality : mapping of str to str
        Conditions over DL1 columns, by name.
    n_images : int
        In the smallest sample. Batches have CTLearn's 64 images, or fewer where its validation sample has not so
        many: without a full batch there it saves no model.
    epochs : int
    """
    batch_size = max(1, min(64, n_images // SMALLEST_PART))
    return {
        "TableQualityQuery": {"quality_criteria": [list(item) for item in quality.items()]},
        "DLImageReader": {"focal_length_choice": "EQUIVALENT"},
        "TrainCTLearnModel": {"n_epochs": epochs, "batch_size": batch_size},
        "PredictCTLearnModel": {"batch_size": batch_size},
    }


def train_command(commands: Path, config: Path, task: str, gammas: Path, protons: Path, model: Path) -> list[str]:
    """Train a model on the DL1 files in two folders; protons are for the particle type alone."""
    background = [f"--background={protons}"] if task == "type" else []
    return [
        str(commands / "ctlearn-train-model"),
        f"--config={config}",
        "--log-level=INFO",
        f"--signal={gammas}",
        *background,
        f"--reco={task}",
        f"--output={model}",
    ]


def predict_command(commands: Path, config: Path, models: Mapping[str, Path], dl1: Path, dl2: Path) -> list[str]:
    """Predict a DL1 file with the models of some tasks, without copying its images."""
    return [
        str(commands / "ctlearn-predict-mono-model"),
        f"--config={config}",
        "--log-level=INFO",
        f"--input_url={dl1}",
        f"--output={dl2}",
        *(f"--{task}_model={folder / 'ctlearn_model.keras'}" for task, folder in models.items()),
        "--no-dl1-images",
        "--no-true-images",
        "--overwrite",
    ]


def images_loaded(output: str) -> int:
    """Find the number of images that pass the cuts in what a tool printed.

    Raises
    ------
    ValueError
        If it did not.
    """
    if not (found := re.search(r"Number of events loaded: (\d+)", output)):
        raise ValueError("CTLearn did not say how many events it loaded.")
    return int(found[1])


def images_trained(output: str, config: Path) -> int:
    """Count the images that a training saw: full batches of nine tenths of those loaded, in each epoch."""
    options = json.loads(config.read_text())["TrainCTLearnModel"]
    loaded = images_loaded(output)
    training = loaded - int(0.1 * loaded)
    return training // options["batch_size"] * options["batch_size"] * options["n_epochs"]
