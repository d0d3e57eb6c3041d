"""Air showers, from nothing to DL1."""

from cherenkov_pipeline.pipelines.simulation.pipeline import create_pipeline as create_pipeline
