"""Any simtel or DL1 files, to DL2."""

from cherenkov_pipeline.pipelines.reconstruction.pipeline import create_pipeline as create_pipeline
