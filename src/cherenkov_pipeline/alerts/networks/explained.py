"""Which parts of a sub-image speak for a real source and which against it: Grad-CAM within the network.

Selvaraju et al. 2017, arXiv:1610.02391. The gradient of the logit with respect to the last map is the same everywhere
where the map is averaged and judged by one dense layer: its weights, over the number of cells (Zhou et al. 2016,
arXiv:1512.04150). So no gradient has to be computed, and the map can be exported with the network.
"""

import os
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from cherenkov_pipeline.alerts.networks.build import LOGIT, POOLED, last_map_of
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import LAST_LAYER
from cherenkov_pipeline.models.export import export_onnx

CAM = "cam"
EMBEDDING = "embedding"


def explained(network: keras.Model) -> keras.Model:
    """Make a network that also says why.

    Parameters
    ----------
    network : keras.Model
        From `~cherenkov_pipeline.alerts.networks.build.build_network`.

    Returns
    -------
    keras.Model
        From the same inputs to a dict of ``logit`` (n,), ``cam`` (n, rows, columns): what each cell of the last map
        adds to the logit. Grad-CAM's ReLU is left out: what is below zero speaks against a real source, and is the map
        of the opposite verdict. The sum of the map, the side inputs' part and a constant are the logit. ``embedding``
        (n, features): the averaged last map, by which similar images are found.
    """
    last_map = last_map_of(network)
    rows, columns, n_features = last_map.shape[1:]
    weights = network.get_layer(LAST_LAYER).kernel[:n_features, 0]
    temperature = network.get_layer(LOGIT).constants["temperature"][0]
    layer = keras.layers.Conv2D(1, 1, use_bias=False, name="class_weights")
    seen = layer(last_map)
    factor = 1 / (rows * columns * temperature)
    layer.set_weights([np.reshape(keras.ops.convert_to_numpy(weights) * factor, layer.kernel.shape)])
    outputs = {
        LOGIT: keras.ops.squeeze(network.output, -1),
        CAM: keras.layers.Reshape((rows, columns), name=CAM)(seen),
        EMBEDDING: network.get_layer(POOLED).output,
    }
    return keras.Model(network.input, outputs, name=network.name)


def export_explained(network: keras.Model, path: str | os.PathLike, card: BaseModel | None = None) -> Path:
    """Write a network with its map as an ONNX file, which is compared with the network before it gets its name.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.models.export.export_onnx`.
    """
    return export_onnx(explained(network), path, card)
