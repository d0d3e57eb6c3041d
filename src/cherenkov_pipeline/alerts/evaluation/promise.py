"""Whether the promise of the thresholds is kept: they are found again and again, from images drawn anew."""

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.alerts.ensemble import EnsembleParameters
from cherenkov_pipeline.alerts.guarantee import find_threshold, one_each
from cherenkov_pipeline.alerts.verdict import FALSE, REAL


def promise_table(
    probability: np.ndarray,
    is_real: np.ndarray,
    groups: np.ndarray,
    parameters: EnsembleParameters,
    n_redraws: int = 200,
    seed: int = 0,
) -> QTable:
    """Count how often a promise is broken.

    The images at hand, one of each group, stand for all that there are. Each redraw takes as many of them with
    replacement, finds thresholds, and sees which share of the verdicts that these give to all images is wrong.

    Parameters
    ----------
    probability : ndarray
        (n,), of a real source, of images that nothing was fitted to and that nothing but confidence makes unsure.
    is_real : ndarray of bool
        (n,), labels.
    groups : ndarray
        (n,), what images belong to.
    parameters : EnsembleParameters
    n_redraws, seed : int

    Returns
    -------
    QTable
        One row a verdict: ``verdict``, ``alpha``, ``delta``, ``n`` (images that lean to it), ``given`` (share of the
        redraws with a threshold), ``broken`` (share of the redraws with more wrong verdicts than ``alpha``; at most
        ``delta`` if the promise is kept), ``wrong`` (mean share of wrong verdicts, where there are any).
    """
    rows = one_each(groups, seed)
    probability, is_real = np.asarray(probability)[rows], np.asarray(is_real, dtype=bool)[rows]
    confidence, leans_real = np.maximum(probability, 1 - probability), probability >= 0.5
    rng = np.random.default_rng(seed)
    wrong: dict[str, list[float]] = {REAL: [], FALSE: []}
    for _ in range(n_redraws):
        drawn = rng.integers(len(rows), size=len(rows))
        for name, leaning, is_wrong in ((REAL, leans_real, ~is_real), (FALSE, ~leans_real, is_real)):
            own = drawn[leaning[drawn]]
            found = find_threshold(
                confidence[own], is_wrong[own], parameters.alpha[name], parameters.delta, parameters.grid
            )
            if found.value is not None:
                wrong[name].append(float(is_wrong[leaning & (confidence >= found.value)].mean()))
    return QTable(
        {
            "verdict": list(wrong),
            "alpha": [parameters.alpha[name] for name in wrong],
            "delta": [parameters.delta] * len(wrong),
            "n": [int(leans_real.sum()), int((~leans_real).sum())],
            "given": [len(shares) / n_redraws for shares in wrong.values()],
            "broken": [sum(share > parameters.alpha[name] for share in wrong[name]) / n_redraws for name in wrong],
            "wrong": [float(np.mean(shares)) if shares else np.nan for shares in wrong.values()],
        },
        meta={"n_redraws": n_redraws},
    )
