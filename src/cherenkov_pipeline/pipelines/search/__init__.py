"""The best configuration of one task, by many trainings."""

from cherenkov_pipeline.pipelines.search.pipeline import create_pipeline as create_pipeline
