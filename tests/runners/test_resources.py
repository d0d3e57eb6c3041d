"""What jobs ask for, and where it is said."""

from pathlib import Path

import pytest
import yaml

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.runners.resources import read_parameters

GIVEN = {
    "folder": "/scratch/runs",
    "default": {"cpus": 2, "memory": "8 GB"},
    "tags": {"cpu": {"time": "4 h", "files_per_job": 4}, "gpu": {"gpus": 1, "cpus": 8}},
}
SHIPPED = Path(__file__).parents[2] / "conf" / "cluster" / "slurm.yml"


def test_a_tag_changes_only_what_it_names():
    parameters = read_parameters(GIVEN)
    plain, gpu = parameters.resources_for(["training"]), parameters.resources_for({"training", "gpu"})
    assert (plain.cpus, plain.gpus, plain.memory.to_value("GB")) == (2, 0, 8)
    assert (gpu.cpus, gpu.gpus, gpu.memory.to_value("GB")) == (8, 1, 8)
    assert parameters.resources_for(["cpu"]).time.to_value("min") == 240


def test_the_last_of_several_tags_comes_first():
    assert read_parameters(GIVEN).resources_for(["gpu", "cpu"]).model_dump(include={"cpus", "files_per_job"}) == {
        "cpus": 8,
        "files_per_job": 4,
    }


def test_options_of_sbatch_are_added_to_those_of_all():
    given = {
        "folder": "/tmp",
        "default": {"sbatch": {"exclude": "node7"}},
        "tags": {"gpu": {"sbatch": {"constraint": "a"}}},
    }
    assert read_parameters(given).resources_for(["gpu"]).sbatch == {"exclude": "node7", "constraint": "a"}


def test_the_command_line_comes_before_the_site_and_the_site_before_the_project(tmp_path, monkeypatch):
    site = tmp_path / "site.yml"
    site.write_text("tags: {gpu: {partition: long, gpus: 0}}\n")
    monkeypatch.setenv("CHERENKOV_SLURM", str(site))
    gpu = read_parameters(GIVEN, {"tags": {"gpu": {"partition": "urgent"}}}).resources_for(["gpu"])
    assert (gpu.partition, gpu.gpus, gpu.cpus) == ("urgent", 0, 8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tags": {"gpu": {"gpu": 1}}}, r"tags\.gpu: gpu"),
        ({"tags": {"gpu": {"time": "3"}}}, r"tags\.gpu: time: expected a value in min"),
        ({"default": {"cpus": 0}}, r"default\.cpus"),
        ({"excutor": "local"}, "excutor"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(wrong, message):
    with pytest.raises(UserError, match=message) as caught:
        read_parameters(GIVEN, wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "- a list\n", "a: [\n"])
def test_an_unusable_file_of_the_site_is_told(content, tmp_path, monkeypatch):
    site = tmp_path / "site.yml"
    if content:
        site.write_text(content)
    monkeypatch.setenv("CHERENKOV_SLURM", str(site))
    with pytest.raises(UserError, match=str(site)) as caught:
        read_parameters(GIVEN)
    assert "\n" not in str(caught.value)


def test_what_is_shipped_is_valid():
    shipped = yaml.safe_load(SHIPPED.read_text()) | {"folder": "/tmp"}
    assert read_parameters(shipped).resources_for(["gpu"]).gpus == 1
