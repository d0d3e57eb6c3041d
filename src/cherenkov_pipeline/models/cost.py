"""What a network costs, and what it consists of."""

from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import Cost


def model_cost(model: keras.Model) -> Cost:
    """Count parameters, layers with weights, and floating-point operations."""
    layers = [layer for layer in model.layers if layer.trainable_weights]
    return Cost(parameters=model.count_params(), layers=len(layers), gflops=count_operations(model) / 1e9)


def count_operations(model: keras.Model) -> int:
    """Floating-point operations of one forward pass of one event, as the backend counts them.

    A multiplication and an addition count as two. TensorFlow and JAX count every operation, JAX none on the padding
    of an image; torch counts convolutions and matrix products, which is all but a few per cent.
    """
    event = {tensor.name: np.zeros((1, *tensor.shape[1:]), dtype="float32") for tensor in model.inputs}
    return int(COUNTERS[keras.backend.backend()](model, event))


def _count_tensorflow(model: keras.Model, event: dict[str, np.ndarray]) -> int:
    import tensorflow as tf

    signature = {name: tf.TensorSpec(values.shape, values.dtype) for name, values in event.items()}
    function = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(signature)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    log = tf.get_logger()
    level = log.level
    log.setLevel("ERROR")  # the profiler itself calls deprecated functions
    try:
        return tf.compat.v1.profiler.profile(function.graph, options=options).total_float_ops
    finally:
        log.setLevel(level)


def _count_jax(model: keras.Model, event: dict[str, np.ndarray]) -> float:
    import jax

    weights = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]

    def forward(inputs: dict[str, np.ndarray]) -> Any:
        return model.stateless_call(weights, others, inputs, training=False)[0]

    return jax.jit(forward).lower(event).cost_analysis()["flops"]


def _count_torch(model: keras.Model, event: dict[str, np.ndarray]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(event, training=False)
    return counter.get_total_flops()


COUNTERS: dict[str, Callable[[keras.Model, dict[str, np.ndarray]], float]] = {
    "tensorflow": _count_tensorflow,
    "jax": _count_jax,
    "torch": _count_torch,
}


def layer_table(model: keras.Model) -> QTable:
    """List the layers, in the order of computation.

    Returns
    -------
    QTable
        ``name``, ``kind``, ``part`` (input, backbone or head), ``output_shape`` (text, of one event), ``parameters``,
        ``inputs`` (names of the layers that it reads, with commas).
    """
    rows = [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "part": "input" if isinstance(layer, keras.layers.InputLayer) else layer.name.partition("_")[0],
            "output_shape": ", ".join(
                "x".join(str(size) for size in output.shape[1:]) for output in keras.tree.flatten(layer.output)
            ),
            "parameters": layer.count_params(),
            "inputs": ",".join(_sources(layer)),
        }
        for layer in model.layers
    ]
    return QTable(rows=rows)


def _sources(layer: keras.layers.Layer) -> list[str]:
    return [parent.operation.name for node in layer._inbound_nodes for parent in node.parent_nodes]


def summary_text(model: keras.Model) -> str:
    """Layers and number of parameters, as plain text."""
    table = layer_table(model)
    return "\n".join([*table.pformat(max_lines=-1, max_width=-1, align="<"), f"parameters: {model.count_params():,}"])
