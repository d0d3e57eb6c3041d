"""One model for one task, from the event store."""

from cherenkov_pipeline.pipelines.training.pipeline import create_pipeline as create_pipeline
