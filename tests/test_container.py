"""The recipes of containers agree with the project; building them takes gigabytes and a registry of images."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cherenkov_pipeline import settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "container" / "Dockerfile").read_text()
APPTAINER = (ROOT / "container" / "Apptainer.def").read_text()


def copied_by_docker() -> set[str]:
    lines = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return {path for line in lines for path in line}


def copied_by_apptainer() -> set[str]:
    section = APPTAINER.split("%files\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in section.splitlines()}


def test_both_copy_the_same_tracked_files():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    first = {path.split("/")[0] for path in tracked}
    assert copied_by_docker() == copied_by_apptainer() <= first


def test_what_is_copied_is_sent_to_the_builder():
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied_by_docker()
    assert rules[1] == "*"


@pytest.mark.parametrize("recipe", [DOCKERFILE, APPTAINER])
def test_versions_are_those_of_the_project(recipe):
    python = (ROOT / ".python-version").read_text().strip()
    assert re.search(rf"python:{re.escape(python)}-", recipe)
    (uv,) = re.findall(r"uv==\S+", recipe)
    assert uv in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("recipe", [DOCKERFILE, APPTAINER])
def test_kernels_are_compiled_as_by_the_installation(recipe):
    (step,) = re.findall(r"python (-m \S+\.kernels)", (ROOT / "Makefile").read_text())
    assert f"python {step}\n" in recipe


@pytest.mark.parametrize("recipe", [DOCKERFILE, APPTAINER])
def test_what_is_in_a_container_can_be_configured(recipe, tmp_path):
    """Without ``conf/local``, which is not copied, Kedro does not start: the folder is made empty."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (made,) = re.findall(r"mkdir (conf/\S+)", recipe)
    (tmp_path / made).mkdir()
    loader = settings.CONFIG_LOADER_CLASS(str(tmp_path / "conf"), env=None, **settings.CONFIG_LOADER_ARGS)
    assert loader["parameters"]
    assert loader["catalog"]
