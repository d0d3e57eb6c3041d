"""The alerts' pipelines as their users see them: commands in, files out. Each command is a process of its own."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import QTable
from kedro.io import Version
from tests.alerts.project_parameters import project_parameters

from cherenkov_pipeline.alerts import workflow
from cherenkov_pipeline.alerts.assembly import assemble
from cherenkov_pipeline.alerts.bundle import Bundle, newest_bundle
from cherenkov_pipeline.alerts.evaluation import report
from cherenkov_pipeline.alerts.files import write_sub_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.training import load_card
from cherenkov_pipeline.alerts.verdict import judge, sigmoid
from cherenkov_pipeline.datasets.alert_bundle import AlertBundleDataset
from cherenkov_pipeline.datasets.astropy_table import AstropyTableDataset
from cherenkov_pipeline.datasets.experiments import ExperimentsDataset
from cherenkov_pipeline.datasets.sub_images import SubImagesDataset
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from kedro_command import Kedro


@pytest.fixture(scope="module")
def kedro(tmp_path_factory) -> Kedro:
    """The whole pipeline, run once on the small sample of the environment `test`."""
    kedro = Kedro(tmp_path_factory.mktemp("first_alert"))
    kedro.run("--pipeline=grb_alerts")
    return kedro


@dataclass(frozen=True)
class Left:
    """What the run has left."""

    kedro: Kedro
    parameters = project_parameters("test")

    @property
    def folder(self) -> Path:
        return self.kedro.data / "06_models/grb_alerts/checkpoints"

    @cached_property
    def images(self) -> SubImages:
        return SubImagesDataset(filepath=str(self.kedro.latest("02_intermediate/grb_alerts/images.h5"))).load()

    @cached_property
    def predictions(self) -> QTable:
        return self._table("07_model_output/grb_alerts/predictions.h5")

    @cached_property
    def splits(self) -> QTable:
        return self._table("08_reporting/grb_alerts/split_table.ecsv")

    @cached_property
    def histories(self) -> QTable:
        return self._table("06_models/grb_alerts/history.ecsv")

    @cached_property
    def experiments(self) -> list[dict[str, str]]:
        path = self.kedro.data / "08_reporting/grb_alerts/experiments/experiments.csv"
        return ExperimentsDataset(filepath=str(path)).load()

    @cached_property
    def bundle(self) -> Bundle:
        path = self.kedro.data / "06_models/grb_alerts/ensemble"
        bundle = AlertBundleDataset(filepath=str(path), version=Version(None, None)).load()
        assert bundle.folder == newest_bundle(path)
        return bundle

    def _table(self, name: str) -> QTable:
        return AstropyTableDataset(filepath=str(self.kedro.latest(name))).load()


@pytest.fixture(scope="module")
def left(kedro) -> Left:
    return Left(kedro)


def test_report_is_one_page_that_needs_nothing_else(kedro):
    page = kedro.latest("08_reporting/grb_alerts/report.html").read_text()
    assert len(page) < 5_000_000
    assert "resnet18_transfer" in page
    assert 'src="http' not in page


def test_images_are_drawn(kedro):
    assert kedro.latest("08_reporting/grb_alerts/images.png").stat().st_size > 10_000


def test_every_method_judges_every_image(left):
    parameters = left.parameters
    for name in parameters.methods:
        assert np.isfinite(left.predictions[f"logit_{name}"]).all()
    assert len(left.predictions) == len(left.images)
    assert set(left.histories["method"]) == {
        "cnn_scratch",
        "cnn_scratch_mask",
        "cnn_transfer",
        "cnn_transfer_mask",
        "resnet18_transfer",
        "autoencoder",
        "unusual_drawing",
    }
    assert [row["experiment"] for row in left.experiments][: len(parameters.methods)] == list(parameters.methods)


def test_weights_from_simulated_frames_are_learnt_once_and_named(left):
    parameters, folder = left.parameters, left.folder
    made = set((folder / "pretraining").glob("*.keras"))
    names = ("resnet18_transfer", "cnn_transfer", "cnn_transfer_mask")
    pretraining = Pretraining(parameters.simulation, folder / "pretraining")
    before = {path: path.stat().st_mtime_ns for path in made}
    assert {pretraining.weights(parameters.chosen[name]) for name in names} == made
    assert {path: path.stat().st_mtime_ns for path in made} == before
    assert len(made) == len(names)
    assert len(list((folder / "pretraining").glob("frames_*.h5"))) == 1
    assert pretraining.weights(parameters.chosen["cnn_scratch"]) is None
    for name in names:
        card = load_card(folder / workflow.MEMBERS / name / "model.keras")
        assert card.weights == "a training on simulated frames of another mask pattern"
    assert load_card(folder / workflow.MEMBERS / "cnn_scratch" / "model.keras").weights == "random weights"


def test_bundle_says_what_the_pipeline_said(left):
    """The exported networks and numpy alone, against the networks of Keras."""
    parameters, images, predictions = left.parameters, left.images, left.predictions
    chosen = slice(0, 30)
    verdicts = judge(left.bundle, images[chosen])
    pooled = workflow.pool_members(predictions, parameters)
    some = predictions[chosen]
    logits = workflow.logits_of(some, pooled.members)
    np.testing.assert_allclose([one.p_astro for one in verdicts], pooled.probability(logits), atol=2e-3)
    for number, verdict in enumerate(verdicts):
        for name, value in verdict.members:
            expected = sigmoid(logits[name][number] / pooled.temperature)
            assert value == pytest.approx(float(expected), abs=5e-3)
        for name, kind in (("unusual_drawing", "autoencoder"), ("unusual_features", "isolation_forest")):
            expected = some[f"anomaly_{name}"][number] / pooled.limits[name]
            assert verdict.anomalies[kind] == pytest.approx(float(expected), rel=1e-3)
    expected = pooled.decide(logits, some, workflow.scores_of(some, parameters.ensemble.detectors))
    assert [one.verdict for one in verdicts] == list(expected)


@pytest.mark.parametrize("kind", ["member", "autoencoder", "isolation_forest"])
def test_what_was_replaced_meanwhile_is_not_put_together(left, kind):
    """Such as by a training that was killed before its predictions were written."""
    ensemble, methods = left.parameters.ensemble, left.parameters.chosen
    detectors = {methods[name].method: f"anomaly_{name}" for name in ensemble.detectors}
    column = f"logit_{ensemble.members[0]}" if kind == "member" else detectors[kind]
    others = left.predictions.copy()
    others[column] += 0.5
    with pytest.raises(UserError, match=f"{column.partition('_')[2]}.* is not what made the predictions"):
        assemble(left.images, left.splits, others, left.parameters, left.folder)


def test_bundle_knows_what_it_was_made_from(left):
    parameters, images, splits, bundle = left.parameters, left.images, left.splits, left.bundle
    card = bundle.card
    assert card.simulated is True
    assert card.mask_patterns == tuple(sorted(parameters.simulation.mask_patterns))
    assert [member.name for member in card.members] == list(parameters.ensemble.members)
    train = np.asarray(splits["split"]) == "train"
    assert {member.n_training for member in card.members} == {int(train.sum())}
    assert list(bundle.neighbours.image_id) == list(images.table["image_id"][train])
    nearest = judge(bundle, images[np.flatnonzero(train)[:1]])[0].neighbours[0]
    assert nearest.image_id == images.table["image_id"][train][0]
    assert nearest.distance == pytest.approx(0, abs=1e-3)


def test_report_shows_all_methods_and_the_talks_table(left, tmp_path):
    parameters, predictions, experiments = left.parameters, left.predictions, left.experiments
    table = ExperimentsDataset(filepath=str(tmp_path / "experiments.csv"))
    table.save(experiments)
    table.save(experiments)
    assert len(table.load()) == len(experiments)
    evaluated = report.evaluate(left.images, predictions, left.histories, parameters)
    content = report.report(evaluated, predictions, table.load(), parameters, datetime.now(UTC))
    page = render_report(content)
    for name in parameters.methods:
        assert page.count(name) >= 2
    assert "not flight data" in page
    assert "Without wrong labels" in page
    assert "<script src" not in page
    assert "Accuracy, all images" in render_markdown(content)
    metrics = report.flat_metrics(evaluated)
    assert 0 <= metrics["ensemble_accuracy"] <= 1
    assert metrics["random_forest_accuracy"] > 0.6
    tested = np.asarray(predictions["split"]) == "test"
    right = (predictions["logit_random_forest"][tested] > 0) == predictions["is_real"][tested]
    assert metrics["random_forest_accuracy"] == pytest.approx(right.mean())


def test_false_alarms_are_judged_by_the_bundle(left):
    table = workflow.count_false_alarms(left.bundle, left.parameters)
    assert table.meta["n_frames"] == 20
    assert (np.diff(table["n_called"]) <= 0).all()
    assert 0 <= table.meta["n_real"] <= table["n_called"][0] <= 20


@pytest.mark.slow
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


def test_the_ensemble_judges_a_file(kedro, left, tmp_path):
    write_sub_images(left.images[:1], tmp_path / "alert.h5")
    bundles = kedro.data / "06_models/grb_alerts/ensemble"
    done = kedro("alerts", "judge", str(tmp_path / "alert.h5"), "--bundle", str(bundles), "--json")
    assert done.returncode == 0, done.stdout
    verdict = json.loads(done.stdout[done.stdout.index("{") :])
    assert verdict["verdict"] in {"real", "false", "unsure"}
