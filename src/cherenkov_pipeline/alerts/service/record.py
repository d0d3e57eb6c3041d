"""What is written of a verdict: a JSON object, with the names of GCN's schema where it has one."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.preparation import resized
from cherenkov_pipeline.alerts.service.notices import Notice
from cherenkov_pipeline.alerts.verdict import FALSE, NAMES, REAL, Verdict

SCHEMA = "cherenkov-pipeline/alert-verdict/1"

OF_NOTICE = ("notice", "image_duration", "image_energy_range")
"""What a notice adds to a record."""

CAM_SIZE = 14
"""Pixels a side of the Grad-CAM map in a record."""


def verdict_record(
    verdict: Verdict, bundle: Bundle, source: Mapping[str, Any], notice: Notice | None = None
) -> dict[str, Any]:
    """Make the record of a verdict.

    ``image_snr``, ``image_duration``, ``image_energy_range``, ``p_astro`` and ``classification`` are named as in
    https://gcn.nasa.gov/schema (core, Statistics).

    Parameters
    ----------
    verdict : Verdict
    bundle : Bundle
        That has given it.
    source : mapping
        Where the image comes from: ``file``, ``input_sha256``, ``burst_id``, ``judged`` (time).
    notice : Notice, optional

    Returns
    -------
    dict
        Plain values.
    """
    card, p_astro = bundle.card, verdict.p_astro
    classification = {} if p_astro is None else {NAMES[REAL]: _rounded(p_astro), NAMES[FALSE]: _rounded(1 - p_astro)}
    threshold = card.thresholds[verdict.leaning]
    return {
        "schema": SCHEMA,
        **source,
        "image_id": verdict.image_id,
        "verdict": verdict.verdict,
        "verdict_name": NAMES[verdict.verdict],
        "leaning": verdict.leaning,
        "confidence_pct": _rounded(verdict.confidence_pct),
        "threshold_pct": _rounded(verdict.threshold_pct),
        "unsure_reasons": [asdict(reason) for reason in verdict.reasons],
        "p_astro": _rounded(p_astro),
        "classification": classification,
        "image_snr": _rounded(verdict.image_snr),
        "snr_std": _rounded(verdict.snr_std),
        "valid_fraction": _rounded(verdict.valid_fraction),
        "members": [{"name": name, "p_astro": _rounded(value)} for name, value in verdict.members],
        "anomalies": {name: _rounded(value) for name, value in verdict.anomalies.items()},
        "neighbours": [
            {**asdict(neighbour), "distance": _rounded(neighbour.distance)} for neighbour in verdict.neighbours
        ],
        "guarantee": {name: getattr(threshold, name) for name in ("alpha", "delta", "n_accepted", "n_errors")},
        "simulated_training": card.simulated,
        "models": [{"name": member.name, "sha256": member.sha256} for member in card.members],
        "bundle_sha256": bundle.sha256,
        "bundle_created": card.created,
        "versions": card.versions,
        "latency_ms": round(verdict.latency_ms, 1),
        **notice_part(notice),
        "cam": resized(verdict.cam[np.newaxis, ..., np.newaxis], CAM_SIZE)[0, ..., 0].astype(float).round(3).tolist(),
    }


def notice_part(notice: Notice | None) -> dict[str, Any]:
    """List what a notice adds to a record."""
    if notice is None:
        return {"notice": None}
    part: dict[str, Any] = {"notice": notice.as_dict()}
    if notice.timescale is not None:
        part["image_duration"] = notice.timescale
    if notice.energy_low is not None and notice.energy_high is not None:
        part["image_energy_range"] = [notice.energy_low, notice.energy_high]
    return part


def without_notice(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give all of a record but what a notice adds."""
    return {name: value for name, value in record.items() if name not in OF_NOTICE}


def as_json(record: Mapping[str, Any]) -> str:
    """Write a record so that people can read it too: lists of numbers stay on one line."""
    text = json.dumps(record, indent=1, allow_nan=False)
    return re.sub(r"\[[-\d.,eE+\s]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"


def _rounded(value: float | None) -> float | None:
    """Six digits; None for what is no number."""
    return float(f"{value:.6g}") if value is not None and np.isfinite(value) else None
