"""Training: a trainer that can be killed at any moment, and the training of one task from an event store.

`forest` grows the random forests that networks are compared with. Only the parameters are light; the modules that train
networks import Keras.
"""

from cherenkov_pipeline.training.forest_parameters import ForestParameters
from cherenkov_pipeline.training.parameters import OptimizerParameters, PlateauParameters, TrainingParameters

__all__ = ["ForestParameters", "OptimizerParameters", "PlateauParameters", "TrainingParameters"]
