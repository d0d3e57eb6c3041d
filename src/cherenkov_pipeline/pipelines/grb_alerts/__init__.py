"""From labelled sub-images of ECLAIRs to the ensemble that judges them."""

from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_pipeline as create_pipeline
