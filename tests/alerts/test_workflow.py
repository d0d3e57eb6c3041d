"""Images, their split, and what is cross-validated, as the environment `test` configures it: test_first_alert.py."""

from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import ValidationError
from tests.alerts.project_parameters import project_parameters

from cherenkov_pipeline.alerts import workflow
from cherenkov_pipeline.alerts.evaluation import plots, validation_report
from cherenkov_pipeline.alerts.files import write_sub_images
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.report.render import render_report


@pytest.fixture(scope="module")
def sample():
    parameters = project_parameters("test")
    images = workflow.obtain_images(parameters)
    return images, workflow.divide(images, parameters)


def test_defaults_are_parameters():
    parameters = project_parameters("base")
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
        project_parameters("base", ensemble=ensemble)


@pytest.mark.parametrize("seed", [1, 0])
def test_bursts_of_the_pretraining_are_no_others(seed):
    simulation = {"n_images": 80, "seed": seed}
    with pytest.raises(ValidationError, match=f"cnn_transfer: .* have {seed} to {seed + 3}: .* the same bursts"):
        project_parameters("test", simulation=simulation)
    assert project_parameters("test", simulation={**simulation, "seed": 2}).simulation.seed == 2


def test_labels_follow_the_map_of_causes(sample):
    table = sample[0].table
    changed = workflow.relabelled(table, {"known_source": False})
    known = np.asarray(table["cause"]) == "known_source"
    assert np.asarray(table["true_is_real"])[known].all()
    assert not np.asarray(changed["true_is_real"])[known].any()
    # who labelled wrongly still does
    wrong = [np.asarray(one["is_real"]) != np.asarray(one["true_is_real"]) for one in (table, changed)]
    np.testing.assert_array_equal(*wrong)
    np.testing.assert_array_equal(changed["is_real"][~known], table["is_real"][~known])
    table = table.copy()
    table.remove_column("true_is_real")
    assert not np.asarray(workflow.relabelled(table, {"known_source": False})["is_real"])[known].any()
    with pytest.raises(ValidationError, match="label_map"):
        project_parameters("test", label_map={"unknown_source": True})
    chosen = project_parameters("test", label_map={"known_source": False})
    assert {cause for cause, counts in chosen.is_real.items() if counts} == {"grb"}


def test_parts_are_apart(sample):
    images, splits = sample
    names = np.asarray(splits["split"])
    patterns = {name: set(images.table["mask_pattern"][names == name]) for name in np.unique(names)}
    assert patterns.keys() == {"train", "validation", "test", "calibration", "held_back"}
    assert not patterns["held_back"] & (patterns["train"] | patterns["validation"] | patterns["test"])
    bursts = {name: set(images.table["burst_id"][names == name]) for name in patterns}
    for name, own in bursts.items():
        for other, others in bursts.items():
            assert name == other or not own & others


def test_thresholds_are_found_on_right_labels():
    table = workflow.obtain_images(project_parameters("test", simulation={"n_images": 80, "label_noise": 0.4})).table
    wrong = {part: np.mean(one["is_real"] != one["true_is_real"]) for part, one in parts_of(table).items()}
    assert wrong[workflow.SAMPLE] > 0.2
    assert wrong[workflow.CALIBRATION] == 0


def parts_of(table):
    part = np.asarray(table["part"])
    return {name: table[part == name] for name in np.unique(part)}


def test_weights_know_no_mask_pattern_of_the_images():
    for simulation in ({"held_back_pattern": 1001}, {"mask_patterns": [0, 1003]}):
        with pytest.raises(ValidationError, match="of its pre-training are also those"):
            project_parameters("base", simulation=simulation)


def test_cross_validation_is_scored_against_labels_and_truth(sample, tmp_path):
    images, splits = sample
    forests = {"forest": {"preset": "random_forest", "forest": {"n_trees_classification": 20}}}
    network = {
        "tiny": {
            "preset": "cnn_scratch",
            "network": {"options": {"filters": [4]}},
            "preparation": {"size": 8},
            "training": {"epochs": 1},
        }
    }
    chosen = project_parameters("test", methods=network | forests, ensemble={"members": ["tiny"]}, search=None)
    predictions, table = workflow.cross_validate(images, splits, chosen, tmp_path)
    content = validation_report.report(images, splits, predictions, table, chosen, datetime.now(UTC))
    page = render_report(content)
    assert "not flight data" in page
    assert "Another mask pattern" in page
    assert f"from {chosen.n_calibration} images of their own" in page
    assert "Against what was simulated" in page
    assert set(predictions["part"]) == {workflow.SAMPLE, workflow.HELD_BACK}
    apart = splits["split"] != workflow.CALIBRATION
    content = validation_report.report(images[apart], splits[apart], predictions, table, chosen, datetime.now(UTC))
    assert "from the predictions of the other folds" in render_report(content)
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
        assert f"{100 * np.mean(decided == truth):.1f} %" in content.summary


def test_variants_are_compared_with_the_first(sample, tmp_path):
    images, splits = sample
    forest = {"preset": "random_forest", "forest": {"n_trees_classification": 20}}
    variants = {"all": forest, "again": forest, "two": {**forest, "features": ["log_snr_max", "log_snr_std"]}}
    table = workflow.ablate(images, splits, project_parameters("test", ablation=variants), tmp_path)
    assert list(table["variant"]) == list(variants)
    assert list(table["gain"][:2]) == [0, 0]
    assert list(table["p_value"][:2]) == [1, 1]
    assert table["gain"][2] == pytest.approx(table["accuracy"][2] - table["accuracy"][0])
    n = workflow.sample_rows(splits).sum()
    assert (table["only_it"][2] - table["only_first"][2]) / n == pytest.approx(table["gain"][2])
    assert (table["accuracy_low"] <= table["accuracy"]).all()
    assert plots.ablation(table).axes
    with pytest.raises(UserError, match="no variants"):
        workflow.ablate(images, splits, project_parameters("test", ablation={}), tmp_path)


def test_own_images_take_the_place_of_simulated_ones(sample, tmp_path):
    images, _ = sample
    own = images[np.asarray(images.table["part"]) == workflow.SAMPLE]
    write_sub_images(own, tmp_path / "own.h5")
    parameters = project_parameters("test", path=str(tmp_path / "own.h5"))
    found = workflow.obtain_images(parameters)
    assert len(found) == len(own)
    assert set(workflow.divide(found, parameters)["split"]) == {"train", "validation", "test"}
    few = r"set alpha_real to 0\.\d+ or more .* alpha_false to 0\.\d+ or more .* below grb_alerts\.ensemble\.$"
    with pytest.raises(UserError, match=few):
        workflow.train_methods(found, workflow.divide(found, parameters), parameters, tmp_path)
    own.table.remove_columns(["is_real", "cause"])
    write_sub_images(own, tmp_path / "own.h5")
    with pytest.raises(UserError, match="no labels"):
        workflow.obtain_images(parameters)
