"""How the benchmarks train: with the parameters that the project ships."""

from pathlib import Path
from typing import Any

from cherenkov_pipeline.config_loader import TaskConfigLoader
from cherenkov_pipeline.settings import CONFIG_LOADER_ARGS
from cherenkov_pipeline.training.parameters import TrainingParameters

CONF = Path(__file__).parents[1] / "conf"


def shipped_training(task: str, seed: int, epochs: int, **changes: Any) -> TrainingParameters:
    """Training parameters of a task's block, or of ``joint``, in the environment ``local``.

    Parameters
    ----------
    task : str
    seed, epochs : int
        Instead of what stands there; the warm-up is shorter where the epochs are few.
    **changes
        Further fields.
    """
    block = TaskConfigLoader(str(CONF), env="local", **CONFIG_LOADER_ARGS)["parameters"][task]["training"]
    schedule = block["schedule"] | {"warmup_epochs": min(1.0, epochs / 4)}
    return TrainingParameters.model_validate(block | {"schedule": schedule, "seed": seed, "epochs": epochs} | changes)
