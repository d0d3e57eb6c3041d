"""Raw files of any kind, to DL1 and the event store."""

from cherenkov_pipeline.pipelines.data_processing.pipeline import create_pipeline as create_pipeline
