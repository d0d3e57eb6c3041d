"""The alerts' pipelines as their users see them: commands in, files out. Each command is a process of its own."""

import json

import pandas as pd
import pytest

from cherenkov_pipeline.alerts.files import write_sub_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.datasets.sub_images import SubImagesDataset
from kedro_command import Kedro


@pytest.fixture(scope="module")
def kedro(tmp_path_factory) -> Kedro:
    """The whole pipeline, run once on the small sample of the environment `test`."""
    kedro = Kedro(tmp_path_factory.mktemp("first_alert"))
    kedro.run("--pipeline=grb_alerts")
    return kedro


@pytest.fixture(scope="module")
def images(kedro) -> SubImages:
    return SubImagesDataset(filepath=str(kedro.latest("02_intermediate/grb_alerts/images.h5"))).load()


def test_report_is_one_page_that_needs_nothing_else(kedro):
    page = kedro.latest("08_reporting/grb_alerts/report.html").read_text()
    assert len(page) < 5_000_000
    assert "resnet18_transfer" in page
    assert 'src="http' not in page


def test_every_training_is_an_experiment_once(kedro):
    path = kedro.data / "08_reporting/grb_alerts/experiments/experiments.csv"
    first = pd.read_csv(path)
    kedro.run("--pipeline=grb_alerts", "--nodes=grb_alerts.train_methods")
    second = pd.read_csv(path)
    pd.testing.assert_frame_equal(second[: len(first)], first)
    # networks are found trained, forests are grown again
    grown = first["epochs"].isna()
    assert list(second["experiment"][len(first) :]) == list(first["experiment"][grown])


@pytest.mark.slow
def test_cross_validation_search_ablation_and_false_alarms_follow(kedro):
    kedro.run("--pipeline=grb_alerts_validation")
    kedro.run("--pipeline=grb_alerts_false_alarms")
    kedro.run("--pipeline=grb_alerts_ablation")
    kedro.run("--pipeline=grb_alerts_search")
    assert "Another mask pattern" in kedro.latest("08_reporting/grb_alerts_validation/report.html").read_text()
    assert kedro.latest("08_reporting/grb_alerts/cross_validation_table.ecsv").exists()
    assert "cnn_scratch_mask" in kedro.latest("08_reporting/grb_alerts/best_configuration.yml").read_text()
    assert kedro.latest("08_reporting/grb_alerts/ablation_table.ecsv").exists()
    assert kedro.latest("08_reporting/grb_alerts/false_alarms_table.ecsv").exists()


def test_the_ensemble_judges_a_file(kedro, images, tmp_path):
    write_sub_images(images[:1], tmp_path / "alert.h5")
    bundles = kedro.data / "06_models/grb_alerts/ensemble"
    done = kedro("alerts", "judge", str(tmp_path / "alert.h5"), "--bundle", str(bundles), "--json")
    assert done.returncode == 0, done.stdout
    verdict = json.loads(done.stdout[done.stdout.index("{") :])
    assert verdict["verdict"] in {"real", "false", "unsure"}
