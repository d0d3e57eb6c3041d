"""Metrics of a model under each condition, and their ratio to the nominal one.

What was thrown is the same under all conditions, so that the bootstrap draws the same throws for all of them (paired):
what makes a shower hard drops out of the ratio. A throw that did not trigger under a condition counts nothing there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.metrics import Metric, as_json, percentile_bounds, replicas
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.qualities import QUALITIES, Quality
from cherenkov_pipeline.performance.robustness.conditions import NOMINAL
from cherenkov_pipeline.performance.sample import Sample

FURTHER = ("bias", "right_side", "coverage_68", "background_efficiency_70", "calibration_error")
"""Metrics beside the one that ranks models, of those that the task has."""

WITHOUT_RATIO = ("bias",)
"""Metrics that may be 0 or change their sign: the difference alone tells."""

NONE = np.array([], dtype=int)

NOTHING = "nothing"
"""Noticed: a text, as an empty one does not survive in ECSV."""

ZENITH = "zenith"
"""Noticed by the reconstruction's warning, not by the drift check."""


def robustness_table(
    task: str, predictions: QTable, drift: QTable, counts: QTable, parameters: EvaluationParameters
) -> QTable:
    """Make the table.

    Parameters
    ----------
    task : str
    predictions, drift, counts : QTable
        Of `robustness.predictions.predict_conditions`. The conditions are those of the counts: under some there may be
        no event.
    parameters : EvaluationParameters
        Number of resamples, confidence level and seed.

    Returns
    -------
    QTable
        One row a condition, setting and metric, the nominal condition first: ``condition``, ``setting``, ``nominal``
        and their ``setting_unit``, ``metric``, ``label``, ``unit``, ``n``, ``value``, ``ratio`` and ``difference`` to
        the nominal value, each of them with ``_low`` and ``_high``; ``changed``: whether the interval of the
        difference excludes 0, False where that cannot be judged; ``noticed``: what the reconstruction warns of, with
        commas between, or `NOTHING`. Where there are no events, values are NaN.
    """
    quality = QUALITIES[task]
    metrics = [one for one in quality.metrics if one.name == quality.headline]
    metrics += [one for one in quality.metrics if one.name in FURTHER]
    groups, judged, conditions = _groups(predictions), _groups(drift), _groups(counts)
    events = {key: predictions[groups.get(key, NONE)] for key in conditions}
    showers = np.unique(np.asarray(predictions["shower"]))
    found = {key: _evaluate(quality, metrics, own, showers, parameters) for key, own in events.items()}
    rows = []
    for key, (sample, resampled) in found.items():
        first = counts[conditions[key][0]]
        named = {
            "condition": str(key[0]),
            "setting": float(first["setting"]),
            "nominal": float(first["nominal"]),
            # an empty text is masked in a table that was read
            "setting_unit": str(first["unit"]) if first["unit"] else "",
        }
        noticed = ", ".join(_noticed(events[key], drift[judged.get(key, NONE)])) or NOTHING
        for metric in metrics:
            row = _row(metric, (sample, resampled), found[NOMINAL, None], parameters.confidence)
            rows.append({**named, **row, "noticed": noticed})
    table = QTable(rows=rows)
    table.meta.update(
        task=task, headline=quality.headline, confidence=parameters.confidence, resamples=parameters.resamples
    )
    return table


def _groups(table: QTable) -> dict[tuple[str, float | None], np.ndarray]:
    """Rows of each condition and setting, in their order; the nominal one has no setting."""
    names, settings = np.asarray(table["condition"]).astype(str), np.asarray(table["setting"], dtype=float)
    keys = [
        (name, None if name == NOMINAL else setting)
        for name, setting in zip(names.tolist(), settings.tolist(), strict=True)
    ]
    places: dict[tuple[str, float | None], list[int]] = {}
    for number, key in enumerate(keys):
        places.setdefault(key, []).append(number)
    return {key: np.array(rows) for key, rows in places.items()}


def _evaluate(
    quality: Quality, metrics: list[Metric], table: QTable, showers: np.ndarray, parameters: EvaluationParameters
) -> tuple[Sample, dict[str, np.ndarray]]:
    """Sample of a condition, and its replicas: the n-th of all conditions are of the same throws."""
    sample = quality.sample(table)
    # labels of a sample count the showers of its own table
    own = np.unique(np.asarray(table["shower"]))[sample.showers]
    absent = np.setdiff1d(showers, own)
    columns = {name: np.append(values, np.full(len(absent), np.nan)) for name, values in sample.columns.items()}
    rng = np.random.default_rng(np.random.SeedSequence(parameters.seed))
    return sample, replicas(columns, metrics, np.append(own, absent), parameters, rng)


def _row(
    metric: Metric,
    condition: tuple[Sample, Mapping[str, np.ndarray]],
    nominal: tuple[Sample, Mapping[str, np.ndarray]],
    confidence: float,
) -> dict[str, Any]:
    value, usual = (float(metric(sample.columns)) for sample, _ in (condition, nominal))
    drawn, drawn_usual = (resampled[metric.name] for _, resampled in (condition, nominal))
    with np.errstate(divide="ignore", invalid="ignore"):
        estimates = {
            "value": (value, drawn),
            "ratio": (np.divide(value, usual), drawn / drawn_usual),
            "difference": (value - usual, drawn - drawn_usual),
        }
    if metric.name in WITHOUT_RATIO:
        estimates["ratio"] = (np.nan, np.full_like(drawn, np.nan))
    row = {
        "metric": metric.name,
        "label": metric.label,
        "unit": metric.unit,
        "n": metric.count(condition[0].columns),
    }
    sample = condition[0]
    for name, (number, numbers) in estimates.items():
        low, high = percentile_bounds(numbers, confidence)
        if name == "value":
            low, high = metric.bounds(sample.columns, sample.showers, numbers, confidence)
        row |= {name: float(number), f"{name}_low": low, f"{name}_high": high}
    row["changed"] = bool(row["difference_low"] > 0 or row["difference_high"] < 0)
    return row


def is_judged(row: QTable.Row) -> bool:
    """Tell whether a row has a difference and its interval: without, nothing is known of a change."""
    return bool(np.isfinite([row[f"difference{end}"] for end in ("", "_low", "_high")]).all())


def _noticed(predictions: QTable, drift: QTable) -> list[str]:
    quantities = [str(row["quantity"]) for row in drift if row["drifted"]]
    outside = bool(np.any(predictions["outside_validity"]))
    return [*dict.fromkeys(quantities), *([ZENITH] if outside else [])]


def robustness_numbers(table: QTable) -> dict[str, Any]:
    """Give the table as plain values: condition -> setting -> metrics and what is noticed.

    What is not finite is null, and ``changed`` where that is not known.
    """
    numbers: dict[str, Any] = {"task": table.meta["task"], "headline": table.meta["headline"], "conditions": {}}
    names = [f"{name}{end}" for name in ("value", "ratio", "difference") for end in ("", "_low", "_high")]
    for row in table:
        settings = numbers["conditions"].setdefault(str(row["condition"]), {})
        setting = settings.setdefault(setting_text(row), {"noticed": str(row["noticed"]), "metrics": {}})
        setting["metrics"][str(row["metric"])] = {
            "unit": str(row["unit"]),
            "n": int(row["n"]),
            "changed": bool(row["changed"]) if is_judged(row) else None,
            **{name: as_json(row[name]) for name in names},
        }
    return numbers


def setting_text(row: QTable.Row) -> str:
    """Write the setting of a condition with its unit; empty for the nominal one."""
    if np.isnan(row["setting"]):
        return ""
    # an empty text is masked in a table that was read
    return f"{row['setting']:g} {row['setting_unit']}" if row["setting_unit"] else f"{row['setting']:g}"
