"""Nodes of the evaluation."""

import json

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.pipelines.evaluation.nodes import summarize


def test_summary_is_flat_and_valid_json():
    metrics = QTable({"metric": ["bias", "r2"], "value": [0.1, np.nan], "low": [0.0, np.nan], "high": [0.2, np.nan]})
    summary = summarize(metrics)
    assert summary == {"bias": 0.1, "bias_low": 0.0, "bias_high": 0.2}
    json.dumps(summary, allow_nan=False)
