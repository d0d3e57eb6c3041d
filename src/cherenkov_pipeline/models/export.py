"""Trained networks as ONNX files, which any language and most inference engines read.

TensorFlow's graph is converted by tf2onnx. A network that runs on JAX or torch is saved and converted by TensorFlow in
a process of its own: its layers are the same on all backends. Every file is compared with the network on random
events, by onnxruntime, before it gets its name.

``python -m cherenkov_pipeline.models.export model.keras model.onnx`` exports a saved model.
"""

import argparse
import functools
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.files import atomic_path
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import ModelCard, card_path
from cherenkov_pipeline.models.saved import load_network

MODULE = "cherenkov_pipeline.models.export"  # also where it runs as a script
PACKAGES = ("onnx", "onnxruntime", "tf2onnx", "tensorflow")
OUTPUT = "outputs"
METADATA = "cherenkov_pipeline.card"
"""Name of the model card among the file's metadata."""

TOLERANCE = 1e-3
"""Largest difference of outputs of order one between network and file: sums in another order, in single precision."""

_CHECKED = 8
"""Random events that network and file are compared on."""


def export_onnx(
    model: keras.Model, path: str | os.PathLike, card: BaseModel | None = None, opset: int | None = None
) -> Path:
    """Write a network as an ONNX file.

    Inputs have the names and shapes of the network's, float32, with a free number of events. A network with one output
    has it by the name ``outputs``, with the columns of the task's likelihood; a dict of outputs keeps its names.

    Parameters
    ----------
    model : keras.Model
        From a dict of named inputs to one tensor or a dict of them.
    path : path-like
        Ends in ``.onnx``.
    card : ModelCard or another pydantic model, optional
        Written into the file's metadata, as JSON.
    opset : int, optional
        Version of ONNX' operators. Default: tf2onnx's.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        If a package is missing, the network has an operation that ONNX does not know, or the file does not predict
        what the network predicts.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UserError(f"An ONNX file ends in .onnx. Received: {path}")
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(f"The export needs {', '.join(missing)}: pip install 'cherenkov-pipeline[onnx]'.")
    with atomic_path(path) as part:
        if keras.backend.backend() == "tensorflow":
            _convert(model, part, opset)
        else:
            _convert_elsewhere(model, part, card, opset)
        _finish(part, model, card)
        _compare(model, part)
    return path


def run_onnx(path: str | os.PathLike, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the outputs of an ONNX file, by their names, by onnxruntime on one core.

    Parameters
    ----------
    path : path-like
    inputs : mapping
        Name -> (n, ...) array; those that the file does not read are left out.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    read = {tensor.name: np.asarray(inputs[tensor.name], dtype=np.float32) for tensor in session.get_inputs()}
    names = [tensor.name for tensor in session.get_outputs()]
    return dict(zip(names, session.run(names, read), strict=True))


def random_events(model: keras.Model, n: int) -> dict[str, np.ndarray]:
    """Make up inputs of a network: normal numbers, masks of 0 and 1, one type a telescope."""
    rng = np.random.default_rng(0)
    events = {}
    for tensor in model.inputs:
        shape = (n, *tensor.shape[1:])
        if tensor.name.endswith("mask") or tensor.name == "telescopes":
            values = rng.random(shape) < 0.7
        elif tensor.name == "telescope_types":
            values = np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
        else:
            values = rng.normal(size=shape)
        events[tensor.name] = values.astype(np.float32)
    return events


def _convert(model: keras.Model, path: Path, opset: int | None) -> None:
    _teach_converter()
    model(random_events(model, 1))  # Keras exports networks that have been called
    options = {} if opset is None else {"opset_version": opset}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tf2onnx, which still looks for numpy's old names
            model.export(path, format="onnx", verbose=False, **options)
    except (OSError, MemoryError):  # nothing that other layers would change, such as a full disk
        raise
    except Exception as error:
        raise UserError(
            f"The model {model.name} cannot be written as ONNX ({reason(error)}): use layers that ONNX knows."
        ) from error


@functools.cache
def _teach_converter() -> None:
    """Give tf2onnx the operations of TensorFlow that it does not know: erfc, of GELU, and log1p."""
    from tf2onnx.handler import tf_op
    from tf2onnx.utils import make_name

    def one(graph: Any, node: Any) -> str:
        dtype = {1: np.float32, 10: np.float16, 11: np.float64}[graph.get_dtype(node.input[0])]
        return graph.make_const(make_name("one"), np.array(1, dtype=dtype)).output[0]

    @tf_op("Erfc")
    class Erfc:
        """1 - erf(x)."""

        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            error = graph.make_node("Erf", [node.input[0]]).output[0]
            _replaced(graph, node, "Sub", [one(graph, node), error])

    @tf_op("Log1p")
    class Log1p:
        """log(1 + x)."""

        @classmethod
        def version_7(cls, graph: Any, node: Any, **_: Any) -> None:
            total = graph.make_node("Add", [one(graph, node), node.input[0]]).output[0]
            _replaced(graph, node, "Log", [total])

    def _replaced(graph: Any, node: Any, kind: str, inputs: list[str]) -> None:
        shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, list(node.output)
        graph.remove_node(node.name)
        graph.make_node(kind, inputs, outputs=outputs, shapes=shapes, dtypes=dtypes, name=make_name(node.name))


def _convert_elsewhere(model: keras.Model, path: Path, card: BaseModel | None, opset: int | None) -> None:
    """Convert with TensorFlow, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        if isinstance(card, ModelCard):  # which tells where own layers stand
            card_path(saved).write_text(card.model_dump_json())
        modules = ",".join(sorted({type(layer).__module__ for layer in model.layers}))
        command = [sys.executable, "-m", MODULE, str(saved), str(path), "--import", modules]
        command += [] if opset is None else ["--opset", str(opset)]
        done = subprocess.run(
            command, env=os.environ | {"KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"TensorFlow could not export the model {model.name}: {last}")


def _finish(path: Path, model: keras.Model, card: BaseModel | None) -> None:
    """Name the outputs, free the number of events, add the card."""
    import onnx

    content = onnx.load(path)
    # Keras flattens a dict of outputs in the order of its names
    names = sorted(model.output) if isinstance(model.output, dict) else [OUTPUT]
    renamed = {tensor.name: name for tensor, name in zip(content.graph.output, names, strict=True)}
    for node in content.graph.node:
        node.output[:] = [renamed.get(tensor, tensor) for tensor in node.output]
        node.input[:] = [renamed.get(tensor, tensor) for tensor in node.input]
    for tensor in content.graph.output:
        tensor.name = renamed[tensor.name]
    for tensor in (*content.graph.input, *content.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "events"
    content.producer_name = "cherenkov_pipeline"
    if card is not None:
        onnx.helper.set_model_props(content, {METADATA: card.model_dump_json()})
    try:
        onnx.checker.check_model(content)
    except onnx.checker.ValidationError as error:
        raise UserError(
            f"{model.name} cannot be written as ONNX ({reason(error)}): use layers that ONNX knows."
        ) from error
    onnx.save(content, path)


def _compare(model: keras.Model, path: Path) -> None:
    events = random_events(model, _CHECKED)
    expected, found = model.predict_on_batch(events), run_onnx(path, events)
    by_name = isinstance(expected, dict)
    for name, values in (expected if by_name else {OUTPUT: expected}).items():
        values = np.asarray(values)
        # an output with a name of its own is one quantity, such as a map: its largest value sets the scale
        scale = np.abs(values).max() if by_name else np.abs(values)
        difference = np.abs(found[name] - values) / np.maximum(1, scale)
        difference[np.isnan(found[name]) & np.isnan(values)] = 0
        if not difference.max() < TOLERANCE:
            raise UserError(
                f"The ONNX file of {model.name} predicts otherwise than the network (by {difference.max():.2g}): it is"
                " not written; report the model."
            )


def main() -> None:
    """Export a saved model."""
    parser = argparse.ArgumentParser(description="Write a saved model as an ONNX file.")
    parser.add_argument("model", type=Path, help=".keras file, or the folder that holds it")
    parser.add_argument("onnx", type=Path, help="file to write")
    parser.add_argument("--opset", type=int, help="version of ONNX' operators")
    parser.add_argument("--import", dest="modules", default="", help="modules of own layers, with commas")
    arguments = parser.parse_args()
    for name in filter(None, arguments.modules.split(",")):
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    try:
        path, model = load_network(arguments.model)
        card = ModelCard.model_validate_json(card_path(path).read_text()) if card_path(path).is_file() else None
        export_onnx(model, arguments.onnx, card, arguments.opset)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
