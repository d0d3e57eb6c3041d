"""Training: a trainer that can be killed at any moment, and the training of one task from an event store.

What to use when:

- `task.train_task`: one model for one task, or several tasks in one network, from an event store;
- `ensemble.train_ensemble`: several seeds of it as one model;
- `search.search_configurations`: the best configuration of it (`study`: the same of any other training);
- `trainer.train`: any Keras network, from any batches.

`forest` grows the random forests that networks are compared with. Only the parameters are light; the modules that train
networks import Keras.
"""

from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.training.parameters import (
    CosineSchedule,
    OptimizerParameters,
    PlateauSchedule,
    StepsSchedule,
    TrainingParameters,
    WeightParameters,
)

__all__ = [
    "CosineSchedule",
    "ForestParameters",
    "OptimizerParameters",
    "PlateauSchedule",
    "StepsSchedule",
    "TrainingParameters",
    "WeightParameters",
]
