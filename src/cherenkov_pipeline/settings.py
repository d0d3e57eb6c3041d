"""Kedro project settings."""

from pathlib import Path

from omegaconf.resolvers import oc

from cherenkov_pipeline.config_loader import TaskConfigLoader
from cherenkov_pipeline.hooks import HOOKS  # noqa: F401

PROJECT = Path(__file__).parents[2]

# ours logs from catalog metadata and imports mlflow only when a pipeline runs; the underscore is needed
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)

CONFIG_LOADER_CLASS = TaskConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # an environment names only the leaves that it changes
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"], "slurm": ["slurm*"]},
    "custom_resolvers": {"oc.env": oc.env, "absolute": lambda path: str(PROJECT / path)},
}
