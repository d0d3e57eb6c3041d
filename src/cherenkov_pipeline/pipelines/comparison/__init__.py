"""Several models of one task, on the same events."""

from cherenkov_pipeline.pipelines.comparison.pipeline import create_dl2_pipeline as create_dl2_pipeline
from cherenkov_pipeline.pipelines.comparison.pipeline import create_pipeline as create_pipeline
