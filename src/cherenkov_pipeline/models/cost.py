"""What a network costs, and what it consists of."""

import math

from astropy.table import QTable

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import Cost


def model_cost(model: keras.Model) -> Cost:
    """Count parameters, layers with weights, and floating-point operations."""
    layers = [layer for layer in model.layers if layer.trainable_weights]
    return Cost(parameters=model.count_params(), layers=len(layers), gflops=count_operations(model) / 1e9)


def count_operations(model: keras.Model) -> int:
    """Floating-point operations of one forward pass of one event.

    A multiplication and an addition count as two. TensorFlow's profiler counts every operation of the graph; with
    other backends the products of convolutions and dense layers are counted, which is all but a few per cent.
    """
    if keras.backend.backend() == "tensorflow":
        return _profiled_operations(model)
    return sum(_layer_operations(layer) for layer in model.layers)


def _profiled_operations(model: keras.Model) -> int:
    import tensorflow as tf

    signature = {tensor.name: tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs}
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


def _layer_operations(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Dense):
        # applied to every element but the last dimension
        return 2 * math.prod(layer.input.shape[1:]) * layer.units
    if hasattr(layer, "kernel") and hasattr(layer, "kernel_size"):
        return 2 * math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    return 0


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
            "output_shape": "x".join(str(size) for size in layer.output.shape[1:]),
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
