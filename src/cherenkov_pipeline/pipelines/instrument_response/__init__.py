"""Effective area, dispersion, background and sensitivity, from DL2 files."""

from cherenkov_pipeline.pipelines.instrument_response.pipeline import create_pipeline as create_pipeline
