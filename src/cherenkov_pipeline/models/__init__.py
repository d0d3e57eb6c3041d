"""Networks: backbone and head by name, the model card, files.

Parameters, the registry and `on_disk`, which reads cards, are light; the modules that build and load networks import
Keras.
"""

import os

# before Keras imports TensorFlow: its notes on CPU features and missing GPUs are no news to the user
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from cherenkov_pipeline.models.parameters import HeadParameters, ModelParameters, PretrainedParameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, ModelEntry, complete_input

__all__ = [
    "HEADS",
    "REGISTRY",
    "HeadParameters",
    "ModelEntry",
    "ModelParameters",
    "PretrainedParameters",
    "complete_input",
]
