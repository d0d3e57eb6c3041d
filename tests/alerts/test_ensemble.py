import numpy as np
import pytest
from scipy.stats import binom

from cherenkov_pipeline.alerts.ensemble import EnsembleParameters, Pooled, fit_temperature, pool
from cherenkov_pipeline.alerts.guarantee import find_threshold, one_each
from cherenkov_pipeline.alerts.verdict import sigmoid
from cherenkov_pipeline.errors import UserError

PARAMETERS = EnsembleParameters(members=("one", "two"), smallest_valid_fraction=0.3)
N = 3000


def _sample(seed=0, scale=3.0, noise=1.0):
    """Calibrated probabilities, whose logits were multiplied by ``scale``."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 3, N)
    is_real = rng.random(N) < sigmoid(logit)
    shift = noise * rng.normal(size=N)
    return {"one": scale * (logit + shift), "two": scale * (logit - shift)}, is_real


def _quality(valid_fraction, snr_mismatch=1.0):
    valid_fraction = np.asarray(valid_fraction, dtype=float)
    return {"valid_fraction": valid_fraction, "snr_mismatch": np.full(len(valid_fraction), snr_mismatch)}


def _pool(logits, is_real, parameters=PARAMETERS, **options):
    half = np.arange(N) < N // 2
    others = {"groups": np.arange(N), "quality": _quality(np.ones(N)), **options}
    return pool(logits, is_real, validation=half, calibration=~half, parameters=parameters, **others)


def test_temperature_is_that_of_the_pooled_logit():
    logits, is_real = _sample()
    pooled = _pool(logits, is_real)
    assert pooled.temperature == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(
        pooled.probability(logits), sigmoid((logits["one"] + logits["two"]) / 2 / pooled.temperature)
    )


@pytest.mark.parametrize("n", [30, 80])
def test_few_validation_images_are_enough_for_a_temperature(n):
    logits, is_real = _sample(scale=8.0, noise=0.1)
    own = {name: values[:n] for name, values in logits.items()}
    assert 3 < fit_temperature(own, is_real[:n], PARAMETERS.members) < 20


@pytest.mark.parametrize("chosen", [slice(19), "real"])
def test_too_few_for_a_temperature_are_told_of(chosen, caplog):
    logits, is_real = _sample()
    rows = np.flatnonzero(is_real) if chosen == "real" else np.arange(N)[chosen]
    own = {name: values[rows] for name, values in logits.items()}
    assert fit_temperature(own, is_real[rows], PARAMETERS.members) == 1
    assert "not calibrated" in caplog.text


def test_each_verdict_has_its_own_promise():
    logits, is_real = _sample(noise=0.1)
    strict = PARAMETERS.model_copy(update={"alpha_false": 0.03})
    same, other = _pool(logits, is_real), _pool(logits, is_real, strict)
    assert other.thresholds["real"] == same.thresholds["real"]
    assert other.thresholds["false"].value > same.thresholds["false"].value


def test_thresholds_keep_their_promise_on_images_that_nothing_was_fitted_to():
    logits, is_real = _sample(noise=0.1)
    pooled = _pool(logits, is_real)
    others, truth = _sample(seed=1, noise=0.1)
    verdicts = pooled.decide(others, _quality(np.ones(N)))
    for name, wrong in (("real", ~truth), ("false", truth)):
        assert pooled.thresholds[name].value is not None
        assert wrong[verdicts == name].mean() < 0.06
    assert 0.02 < np.mean(verdicts == "unsure") < 0.6


@pytest.mark.parametrize("overconfident", [1.0, 1.7])
def test_promise_is_broken_in_the_promised_share_of_redraws_at_most(overconfident):
    """Validation and calibration images drawn anew, each ensemble judged on images without end."""

    def draw(rng, n):
        # alerts of one burst resemble each other, and its members err together
        burst = np.repeat(np.arange(n // 2), 2)
        logit = rng.normal(0, 6, n // 2)[burst] + 0.5 * rng.normal(size=n)
        is_real = rng.random(n) < sigmoid(logit / overconfident)
        noise = 0.3 * rng.normal(size=(2, n))
        return {"one": 3 * logit + noise[0], "two": 3 * logit + noise[1]}, is_real, burst

    rng = np.random.default_rng(int(10 * overconfident))
    everything, truth, _ = draw(rng, 60_000)
    n_redraws, broken, given = 200, {"real": 0, "false": 0}, 0
    for redraw in range(n_redraws):
        logits, is_real, burst = draw(rng, 900)
        validation = np.arange(900) < 300
        pooled = pool(logits, is_real, burst, validation, ~validation, _quality(np.ones(900)), PARAMETERS, seed=redraw)
        verdicts = pooled.decide(everything, _quality(np.ones(len(truth))))
        for name, wrong in (("real", ~truth), ("false", truth)):
            said = verdicts == name
            given += said.any()
            broken[name] += said.any() and wrong[said].mean() > PARAMETERS.alpha[name]
    assert given > n_redraws / 2
    for name, count in broken.items():
        # more than by chance, if the promise were kept exactly
        assert binom.sf(count - 1, n_redraws, PARAMETERS.delta) > 1e-3, f"{name}: {count} of {n_redraws}"


def test_thresholds_are_found_on_one_image_of_each_group_of_the_calibration_images():
    logits, is_real = _sample()
    groups = np.arange(N) // 3
    pooled = _pool(logits, is_real, groups=groups, quality=_quality(np.where(np.arange(N) % 5, 1.0, 0.0)))
    usable = np.flatnonzero((np.arange(N) >= N // 2) & (np.arange(N) % 5 > 0))
    own = sigmoid(np.stack([logits["one"], logits["two"]]) / pooled.temperature)
    usable = usable[np.ptp(own, axis=0)[usable] <= PARAMETERS.largest_disagreement]
    usable = usable[one_each(groups[usable])]
    probability = pooled.probability(logits)[usable]
    real = probability >= 0.5
    assert pooled.thresholds["real"] == find_threshold(
        probability[real], ~is_real[usable][real], 0.05, 0.1, PARAMETERS.grid
    )
    assert pooled.thresholds["false"] == find_threshold(
        1 - probability[~real], is_real[usable][~real], 0.05, 0.1, PARAMETERS.grid
    )


def test_calibration_images_do_not_move_the_temperature_nor_validation_images_the_thresholds():
    logits, is_real = _sample()
    first = _pool(logits, is_real)
    half = np.arange(N) < N // 2
    flipped = _pool(logits, np.where(half, is_real, ~is_real))
    assert flipped.temperature == first.temperature
    assert flipped.thresholds["real"].value is None
    with pytest.raises(UserError, match="images of their own"):
        pool(logits, is_real, np.arange(N), half, half, _quality(np.ones(N)), PARAMETERS)
    with pytest.raises(UserError, match="wants two, but there are one"):
        _pool({"one": logits["one"]}, is_real)


@pytest.mark.parametrize(
    ("logits", "valid", "mismatch", "score", "expected"),
    [
        ((9, 9), 1.0, 1.0, 0.1, "real"),
        ((-9, -9), 1.0, 1.0, 0.1, "false"),
        ((1, 1), 1.0, 1.0, 0.1, "unsure"),  # below the threshold
        ((-9, 25), 1.0, 1.0, 0.1, "unsure"),  # the members disagree
        ((9, 9), 0.29, 1.0, 0.1, "unsure"),
        ((9, 9), 1.0, 1.6, 0.1, "unsure"),
        ((9, 9), 1.0, np.inf, 0.1, "unsure"),
        ((9, 9), 1.0, np.nan, 0.1, "unsure"),
        ((9, 9), 1.0, 1.0, 0.6, "unsure"),  # an anomaly
        ((9, 9), 1.0, 1.0, np.nan, "unsure"),
        ((np.nan, 9), 1.0, 1.0, 0.1, "unsure"),
    ],
)
def test_whatever_speaks_against_a_verdict_makes_it_unsure(logits, valid, mismatch, score, expected):
    n = 100
    good = find_threshold(np.full(n, 0.97), np.zeros(n, bool), 0.05, 0.1, grid=(0.95, 0.9))
    pooled = Pooled(("one", "two"), 1.0, {"real": good, "false": good}, {"autoencoder": 0.5}, PARAMETERS)
    given = {"one": np.array([logits[0]]), "two": np.array([logits[1]])}
    assert pooled.decide(given, _quality([valid], mismatch), {"autoencoder": np.array([score])}) == expected


def test_no_threshold_lies_below_the_smallest_confidence():
    """However well the confident ones are: weak ones must not ride on them."""
    n, rng = 2000, np.random.default_rng(4)
    logit = np.where(rng.random(n) < 0.9, 9.0, 1.0)  # confidence 0.9999 and 0.73
    is_real = (logit > 5) | (rng.random(n) < 0.8)
    none = np.zeros(n, dtype=bool)
    for smallest, expected in ((0.5, 0.5), (0.8, 0.8), (0.77, 0.77), (0.999, 0.999)):
        parameters = PARAMETERS.model_copy(update={"smallest_confidence": smallest, "members": ("one",)})
        found = pool({"one": logit}, is_real, np.arange(n), none, ~none, _quality(np.ones(n)), parameters)
        assert found.thresholds["real"].value == expected


def test_no_valid_threshold_is_unsure_always():
    none = find_threshold(np.ones(10), np.zeros(10, bool), 0.05, 0.1)
    assert none.value is None
    pooled = Pooled(("one",), 1.0, {"real": none, "false": none}, {}, PARAMETERS)
    assert (pooled.decide({"one": np.array([50.0, -50.0])}, _quality(np.ones(2))) == "unsure").all()
