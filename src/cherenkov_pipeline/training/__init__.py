"""Training: a trainer that can be killed at any moment, and the training of one task from an event store.

Only the parameters are light; the modules that train import Keras.
"""

from cherenkov_pipeline.training.parameters import OptimizerParameters, PlateauParameters, TrainingParameters

__all__ = ["OptimizerParameters", "PlateauParameters", "TrainingParameters"]
