"""Metrics, figures and report of one model."""

from cherenkov_pipeline.pipelines.evaluation.pipeline import create_dl2_pipeline as create_dl2_pipeline
from cherenkov_pipeline.pipelines.evaluation.pipeline import create_pipeline as create_pipeline
