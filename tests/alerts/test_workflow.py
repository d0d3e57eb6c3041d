"""From simulated images to the bundle, as the environment `test` configures it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from kedro.io import Version
from pydantic import ValidationError

from cherenkov_pipeline.alerts import workflow
from cherenkov_pipeline.alerts.assembly import assemble
from cherenkov_pipeline.alerts.bundle import newest_bundle
from cherenkov_pipeline.alerts.ensemble import sigmoid
from cherenkov_pipeline.alerts.evaluation import plots, report, validation_report
from cherenkov_pipeline.alerts.files import write_sub_images
from cherenkov_pipeline.alerts.parameters import merged
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.training import load_card
from cherenkov_pipeline.alerts.verdict import judge
from cherenkov_pipeline.datasets.alert_bundle import AlertBundleDataset
from cherenkov_pipeline.datasets.experiments import ExperimentsDataset
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.report.render import render_markdown, render_report

CONF = Path(__file__).parents[2] / "conf"


def _parameters(env, **changes):
    found = yaml.safe_load((CONF / "base" / "parameters" / "grb_alerts.yml").read_text())["grb_alerts"]
    if env != "base":
        own = yaml.safe_load((CONF / env / "parameters" / "grb_alerts.yml").read_text())
        found = merged(found, own["grb_alerts"])
    return AlertParameters.model_validate({**found, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("alerts")


@pytest.fixture(scope="module")
def steps(folder):
    parameters = _parameters("test")
    images = workflow.obtain_images(parameters)
    splits = workflow.divide(images, parameters)
    return parameters, images, splits, *workflow.train_methods(images, splits, parameters, folder)


@pytest.fixture(scope="module")
def bundle(steps, folder):
    """As the catalog keeps it."""
    parameters, images, splits, predictions, *_ = steps
    dataset = AlertBundleDataset(filepath=str(folder / "ensemble"), version=Version(None, "2026-02-09T10.00.00.000Z"))
    assert not dataset.exists()
    dataset.save(assemble(images, splits, predictions, parameters, folder))
    newest = AlertBundleDataset(filepath=str(folder / "ensemble"), version=Version(None, None)).load()
    assert newest.folder == newest_bundle(folder / "ensemble")
    return newest


def test_defaults_are_parameters():
    parameters = _parameters("base")
    assert set(parameters.ensemble.members) <= set(parameters.methods)
    assert {method.method for method in parameters.chosen.values()} >= {
        "cnn_scratch",
        "cnn_scratch_mask",
        "cnn_transfer",
        "resnet18_transfer",
        "autoencoder",
        "isolation_forest",
    }


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        ({"members": ["random_forest"]}, "'random_forest' must be a network"),
        ({"members": ["cnn_scratch"], "detectors": ["cnn_scratch"]}, "must be an autoencoder or isolation forest"),
        ({"members": ["cnn_scratch"], "detectors": ["autoencoder", "unusual_drawing"]}, "one detector of each kind"),
    ],
)
def test_an_ensemble_of_what_it_cannot_be_is_refused(ensemble, message):
    with pytest.raises(ValidationError, match=message):
        _parameters("base", ensemble=ensemble)


def test_parts_are_apart(steps):
    _, images, splits, *_ = steps
    names = np.asarray(splits["split"])
    patterns = {name: set(images.table["mask_pattern"][names == name]) for name in np.unique(names)}
    assert patterns.keys() == {"train", "validation", "test", "calibration", "held_back"}
    assert not patterns["held_back"] & (patterns["train"] | patterns["validation"] | patterns["test"])
    bursts = {name: set(images.table["burst_id"][names == name]) for name in patterns}
    for name, own in bursts.items():
        for other, others in bursts.items():
            assert name == other or not own & others


def test_every_method_judges_every_image(steps):
    parameters, images, _, predictions, histories, experiments = steps
    for name in parameters.methods:
        assert np.isfinite(predictions[f"logit_{name}"]).all()
        assert len(predictions) == len(images)
    assert set(histories["method"]) == {
        "cnn_scratch",
        "cnn_scratch_mask",
        "cnn_transfer",
        "cnn_transfer_mask",
        "resnet18_transfer",
        "autoencoder",
        "unusual_drawing",
    }
    assert [row["experiment"] for row in experiments] == list(parameters.methods)


def test_weights_from_simulated_frames_are_learnt_once_and_named(steps, folder):
    parameters, *_ = steps
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


def test_weights_know_no_mask_pattern_of_the_images():
    for simulation in ({"held_back_pattern": 1001}, {"mask_patterns": [0, 1003]}):
        with pytest.raises(ValidationError, match="of its pre-training are also those"):
            _parameters("base", simulation=simulation)


def test_bundle_says_what_the_pipeline_said(steps, bundle):
    """The exported networks and numpy alone, against the networks of Keras."""
    parameters, images, _, predictions, *_ = steps
    chosen = slice(0, 30)
    verdicts = judge(bundle, images[chosen])
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
    expected = pooled.decide(
        logits, np.asarray(some["valid_fraction"]), workflow.scores_of(some, parameters.ensemble.detectors)
    )
    assert [one.verdict for one in verdicts] == list(expected)


def test_bundle_knows_what_it_was_made_from(steps, bundle):
    parameters, images, splits, *_ = steps
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


def test_report_shows_all_methods_and_the_talks_table(steps, tmp_path):
    parameters, images, _, predictions, histories, experiments = steps
    table = ExperimentsDataset(filepath=str(tmp_path / "experiments.csv"))
    table.save(experiments)
    table.save(experiments)
    assert len(table.load()) == len(experiments)
    evaluated = report.evaluate(images, predictions, histories, parameters)
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


def test_false_alarms_are_judged_by_the_bundle(steps, bundle):
    parameters, *_ = steps
    table = workflow.count_false_alarms(bundle, parameters)
    assert table.meta["n_frames"] == 20
    assert (np.diff(table["n_called"]) <= 0).all()
    assert 0 <= table.meta["n_real"] <= table["n_called"][0] <= 20


def test_cross_validation_is_scored_against_labels_and_truth(steps, tmp_path):
    _, images, splits, *_ = steps
    forests = {"forest": {"preset": "random_forest", "forest": {"n_trees_classification": 20}}}
    network = {
        "tiny": {
            "preset": "cnn_scratch",
            "network": {"options": {"filters": [4]}},
            "preparation": {"size": 8},
            "training": {"epochs": 1},
        }
    }
    chosen = _parameters("test", methods=network | forests, ensemble={"members": ["tiny"]}, search=None)
    predictions, table = workflow.cross_validate(images, splits, chosen, tmp_path)
    content = validation_report.report(images, splits, predictions, table, chosen, datetime.now(UTC))
    page = render_report(content)
    assert "not flight data" in page
    assert "Another mask pattern" in page
    assert "Against what was simulated" in page
    assert set(predictions["part"]) == {workflow.SAMPLE, workflow.HELD_BACK}
    sample = predictions[predictions["part"] == workflow.SAMPLE]
    assert len(sample) == np.isin(splits["split"], ["train", "validation", "test"]).sum()
    own = images[np.isin(splits["split"], ["train", "validation", "test"])]
    decided = np.asarray(sample["probability_ensemble"]) >= 0.5
    for against, column in (("label", "is_real"), ("simulated", "true_is_real")):
        row = table[
            (table["part"] == workflow.SAMPLE) & (table["against"] == against) & (table["metric"] == "accuracy")
        ]
        truth = np.asarray(own.table[column])[sample["row"]]
        assert row["value"][0] == pytest.approx(np.mean(decided == truth))


def test_variants_are_compared_with_the_first(steps, tmp_path):
    _, images, splits, *_ = steps
    forest = {"preset": "random_forest", "forest": {"n_trees_classification": 20}}
    variants = {"all": forest, "again": forest, "two": {**forest, "features": ["log_snr_max", "log_snr_std"]}}
    table = workflow.ablate(images, splits, _parameters("test", ablation=variants), tmp_path)
    assert list(table["variant"]) == list(variants)
    assert list(table["gain"][:2]) == [0, 0]
    assert list(table["p_value"][:2]) == [1, 1]
    assert table["gain"][2] == pytest.approx(table["accuracy"][2] - table["accuracy"][0])
    n = workflow.sample_rows(splits).sum()
    assert (table["only_it"][2] - table["only_first"][2]) / n == pytest.approx(table["gain"][2])
    assert (table["accuracy_low"] <= table["accuracy"]).all()
    assert plots.ablation(table).axes
    with pytest.raises(UserError, match="no variants"):
        workflow.ablate(images, splits, _parameters("test", ablation={}), tmp_path)


def test_own_images_take_the_place_of_simulated_ones(steps, tmp_path):
    _, images, *_ = steps
    own = images[np.asarray(images.table["part"]) == workflow.SAMPLE]
    write_sub_images(own, tmp_path / "own.h5")
    parameters = _parameters("test", path=str(tmp_path / "own.h5"))
    found = workflow.obtain_images(parameters)
    assert len(found) == len(own)
    assert set(workflow.divide(found, parameters)["split"]) == {"train", "validation", "test"}
    own.table.remove_columns(["is_real", "cause"])
    write_sub_images(own, tmp_path / "own.h5")
    with pytest.raises(UserError, match="no labels"):
        workflow.obtain_images(parameters)
