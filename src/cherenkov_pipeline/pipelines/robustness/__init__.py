"""Metrics of one model on data that it was not made for."""

from cherenkov_pipeline.pipelines.robustness.pipeline import create_pipeline as create_pipeline
