"""From labelled sub-images of ECLAIRs to the ensemble that judges them."""

from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_ablation_pipeline as create_ablation_pipeline
from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_false_alarm_pipeline as create_false_alarm_pipeline
from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_pipeline as create_pipeline
from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_search_pipeline as create_search_pipeline
from cherenkov_pipeline.pipelines.grb_alerts.pipeline import create_validation_pipeline as create_validation_pipeline
