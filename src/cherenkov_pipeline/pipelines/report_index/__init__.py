"""The page of all reports."""

from cherenkov_pipeline.pipelines.report_index.pipeline import create_pipeline as create_pipeline
