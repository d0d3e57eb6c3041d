import copy
import statistics
import subprocess
import sys

import numpy as np
import pytest
from tests.alerts.toy_bundle import PREPARATIONS, single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.guarantee import Threshold
from cherenkov_pipeline.alerts.images import CENTER, MISSING, SIZE
from cherenkov_pipeline.alerts.preparation import prepare
from cherenkov_pipeline.alerts.verdict import FALSE, REAL, UNSURE, judge, percent, warm_up
from cherenkov_pipeline.errors import UserError


def with_card(bundle, **changes):
    """The bundle with another card; the networks stay."""
    changed = copy.copy(bundle)
    changed.card = bundle.card.model_copy(update=changes)
    return changed


def lenient(bundle, **changes):
    """Nothing but what ``changes`` say makes a verdict unsure."""
    thresholds = {name: Threshold(0.5, 0.05, 0.1, 200, 180, 2, 0.03) for name in ("real", "false")}
    anomaly = bundle.card.anomaly
    detectors = {name: getattr(anomaly, name).model_copy(update={"limit": 1e9}) for name in type(anomaly).model_fields}
    defaults = {
        "thresholds": thresholds,
        "largest_disagreement": 1.0,
        "smallest_valid_fraction": 0.0,
        "largest_mismatch": 1e9,
        "anomaly": anomaly.model_copy(update=detectors),
    }
    return with_card(bundle, **defaults | changes)


def codes(verdict):
    return [reason.code for reason in verdict.reasons]


def test_verdicts_are_right_on_what_the_networks_have_learnt(bundle):
    images = toy_images(60, seed=7)
    verdicts = judge(lenient(bundle), images)
    assert [verdict.image_id for verdict in verdicts] == list(images.table["image_id"])
    right = [
        verdict.verdict == (REAL if is_real else FALSE)
        for verdict, is_real in zip(verdicts, images.table["is_real"], strict=True)
    ]
    assert np.mean(right) > 0.95


def test_probability_is_the_cooled_mean_of_the_logits(bundle):
    images = toy_images(4, seed=8)
    logits = [
        bundle.members[name].run(["logit"], prepare(images, preparation))[0]
        for name, preparation in PREPARATIONS.items()
    ]
    expected = 1 / (1 + np.exp(-np.mean(logits, axis=0) / bundle.card.temperature))
    verdicts = judge(bundle, images)
    np.testing.assert_allclose([verdict.p_astro for verdict in verdicts], expected, rtol=1e-5)
    for verdict in verdicts:
        assert verdict.confidence_pct == pytest.approx(100 * max(verdict.p_astro, 1 - verdict.p_astro))
        assert [name for name, _ in verdict.members] == ["plain", "masked"]


def test_alone_or_together_the_verdict_is_the_same(bundle):
    images = toy_images(70, seed=9)
    for row, verdict in list(enumerate(judge(bundle, images)))[::23]:
        (alone,) = judge(bundle, images[row : row + 1])
        assert alone.verdict == verdict.verdict
        assert alone.p_astro == pytest.approx(verdict.p_astro, rel=1e-4)
        np.testing.assert_allclose(alone.cam, verdict.cam, rtol=1e-3, atol=1e-3)
        found, expected = ([near.distance for near in one.neighbours] for one in (alone, verdict))
        assert found == pytest.approx(expected, abs=1e-5)


def test_nothing_to_judge(bundle):
    assert judge(bundle, toy_images(2)[:0]) == []


def test_bundle_that_cannot_judge_is_found_before_the_first_alert(bundle):
    warm_up(bundle)
    broken = copy.copy(bundle)
    broken.members = bundle.members | {"plain": bundle.members["masked"]}
    with pytest.raises(UserError, match="cannot judge"):
        warm_up(broken)


def test_nothing_speaks_against_a_clear_verdict(bundle):
    for verdict in judge(lenient(bundle), toy_images(6)):
        assert verdict.reasons == ()
        assert verdict.verdict == verdict.leaning


@pytest.mark.parametrize(("label", "row"), [("real", 0), ("false", 1)])
def test_below_the_threshold_of_its_class_it_is_unsure(bundle, label, row):
    images = toy_images(2)[row : row + 1]
    (verdict,) = judge(lenient(bundle), images)
    thresholds = dict(lenient(bundle).card.thresholds)
    thresholds[label] = Threshold(min(0.99999, verdict.confidence_pct / 100 + 1e-6), 0.05, 0.1, 9, 9, 0, 0.04)
    (verdict,) = judge(lenient(bundle, thresholds=thresholds), images)
    assert (verdict.verdict, verdict.leaning, codes(verdict)) == (UNSURE, label, ["below_threshold"])
    other = {label: lenient(bundle).card.thresholds[label], ("false" if label == "real" else "real"): thresholds[label]}
    assert judge(lenient(bundle, thresholds=other), images)[0].verdict == label


def test_without_a_valid_threshold_it_is_unsure_and_says_so(bundle):
    thresholds = {name: Threshold(None, 0.02, 0.1, 60, 60, 1, 0.064) for name in ("real", "false")}
    for verdict in judge(lenient(bundle, thresholds=thresholds), toy_images(2)):
        assert codes(verdict) == ["no_valid_threshold"]
        assert verdict.threshold_pct is None
        assert "2 % or less with 90 % certainty" in verdict.reasons[0].sentence


def test_each_reason_is_listed(bundle):
    anomaly = bundle.card.anomaly
    strict = with_card(
        bundle,
        largest_disagreement=0.0,
        smallest_valid_fraction=1.0,
        anomaly=anomaly.model_copy(
            update={
                name: getattr(anomaly, name).model_copy(update={"limit": 1e-9}) for name in type(anomaly).model_fields
            }
        ),
    )
    images = toy_images(1)
    images.codes[0, :30], images.snr[0, :20] = MISSING, np.nan
    images.table["snr_max"] *= 2
    (verdict,) = judge(strict, images)
    assert verdict.verdict == UNSURE
    assert set(codes(verdict)) >= {"members_disagree", "few_valid_pixels", "inconsistent_numbers", "anomalous"}
    assert codes(verdict).count("anomalous") == 2
    assert all(reason.sentence.endswith(".") for reason in verdict.reasons)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 2.0, 100.0])
def test_snr_max_that_is_not_of_the_image_makes_it_unsure(bundle, factor):
    """Such as that of another alert, or the one that belongs to snr_std."""
    images = toy_images(3)
    images.table["snr_max"] = factor * images.snr[:, CENTER, CENTER].astype(float)
    for verdict in judge(lenient(bundle, largest_mismatch=1.5), images):
        assert codes(verdict) == ([] if factor == 1 else ["inconsistent_numbers"])


class Silent:
    """A network whose outputs are all the same."""

    def __init__(self, session, value):
        self.session, self.value = session, value
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, names, inputs):
        return [np.full_like(output, self.value) for output in self.session.run(names, inputs)]


def silenced(bundle, value=np.nan):
    broken = copy.copy(bundle)
    broken.members = {name: Silent(session, value) for name, session in bundle.members.items()}
    return broken


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_network_that_gives_no_number_makes_it_unsure(bundle, value):
    (verdict,) = judge(silenced(bundle, value), toy_images(1))
    assert (verdict.verdict, codes(verdict)) == (UNSURE, ["not_computable"])
    assert verdict.p_astro is None


@pytest.mark.parametrize("value", [3e38, -1e36])
def test_map_of_huge_numbers_is_one_of_numbers(bundle, value):
    (verdict,) = judge(silenced(bundle, value), toy_images(1))
    assert np.isfinite(verdict.cam).all()
    assert (np.sign(verdict.cam) == np.sign(value)).all()


def test_map_adds_up_to_the_images_part_of_the_logit(bundle):
    images = toy_images(3)
    cams = [
        bundle.members[name].run(["cam"], prepare(images, preparation))[0] for name, preparation in PREPARATIONS.items()
    ]
    expected = np.mean([cam.sum(axis=(1, 2)) for cam in cams], axis=0)
    found = np.array([verdict.cam.mean() for verdict in judge(bundle, images)])
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05)
    assert judge(bundle, images)[0].cam.shape == (SIZE, SIZE)


def test_nearest_training_images(bundle):
    known = toy_images(120, seed=1)[10:11]  # one of them
    (verdict,) = judge(bundle, known)
    nearest = verdict.neighbours[0]
    assert nearest.image_id == known.table["image_id"][0]
    assert nearest.distance == pytest.approx(0, abs=1e-5)
    assert [near.distance for near in verdict.neighbours] == sorted(near.distance for near in verdict.neighbours)
    assert len(verdict.neighbours) == 5


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50 %"), (0.895, "89.5 %"), (0.99996, "99.996 %"), (1.0, "100 %"), (0.0, "0 %"), (1e-4, "0.01 %")],
)
def test_percent_does_not_round_to_certainty(share, text):
    assert percent(share) == text


HEAVY = {"tensorflow", "keras", "torch", "jax", "sklearn", "matplotlib", "pandas", "mlflow", "ctapipe", "tables"}

LISTED = """
import runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__")
finally:
    print(*(name for name in sys.modules if "." not in name))
"""


def modules_of(*command):
    done = subprocess.run(
        [sys.executable, "-c", LISTED, *map(str, command)], capture_output=True, text=True, check=True
    )
    verdict, modules = done.stdout.splitlines()[-2:]
    assert "true source" in verdict
    return set(modules.split())


def test_nothing_heavy_is_imported(bundle_path, tmp_path):
    (tmp_path / "a.npz").write_bytes(single_file(toy_images(1)))
    arguments = ["judge", tmp_path / "a.npz", "--bundle", bundle_path, "--output", tmp_path / "pages"]
    modules = modules_of("cherenkov_pipeline.alerts", *arguments)
    assert modules & (HEAVY | {"kedro"}) == set()
    assert "onnxruntime" in modules


def test_kedros_own_door_imports_no_tensorflow(bundle_path, tmp_path):
    (tmp_path / "a.npz").write_bytes(single_file(toy_images(1)))
    modules = modules_of("kedro", "alerts", "judge", tmp_path / "a.npz", "--bundle", bundle_path)
    assert modules & {"tensorflow", "keras"} == set()


def test_warm_verdict_is_fast(bundle):
    images = toy_images(21)
    latencies = [judge(bundle, images[row : row + 1])[0].latency_ms for row in range(len(images))]
    assert statistics.median(latencies) < 150
