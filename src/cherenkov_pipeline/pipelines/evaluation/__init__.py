"""Metrics, figures and report of one model."""

from cherenkov_pipeline.pipelines.evaluation.pipeline import create_pipeline as create_pipeline
