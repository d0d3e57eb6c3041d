"""Weights that a network begins with: those of a file, of keras-hub, of a training on simulated frames, or random ones.

Nothing falls back to random weights: where others are asked for and cannot be had, it is an error that says what was
tried and what can be done. No file is unpickled, and no code of a file is run.
"""

import importlib.util
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import h5py
import numpy as np

from cherenkov_pipeline.alerts.networks.build import LOGIT
from cherenkov_pipeline.alerts.preparation import BY_HAND
from cherenkov_pipeline.alerts.safetensors import read_safetensors
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint_file
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import LAST_LAYER

SIMULATED = "simulated"
KERAS_HUB = "keras_hub:"
PRESET = "resnet_18_imagenet"

WAYS_OUT = (
    f"choose null (random weights), {SIMULATED!r} (learnt from simulated frames), a file .weights.h5, .keras or"
    f" .safetensors with the weights of a ResNet18, or '{KERAS_HUB}{PRESET}'"
)

HEAD = (LAST_LAYER, LOGIT)
"""Layers that are not taken over: they are learnt anew."""

IGNORED = re.compile(r"fc\..*|.*\.num_batches_tracked")
"""Of torchvision's names: the classifier, and counters."""

TORCH_ORDER = ("weight", "bias", "running_mean", "running_var")
"""Torch's names of what a layer holds, in Keras' order."""

LayerWeights = Mapping[str, list[np.ndarray]]


@dataclass(frozen=True)
class Weights:
    """Weights by the names of layers.

    Attributes
    ----------
    layers : mapping
        Name -> arrays, in Keras' order and shapes.
    source : str
        What they are, for the card and for messages.
    fingerprint : str
        Of their file, or their name.
    """

    layers: LayerWeights
    source: str
    fingerprint: str

    def apply(self, network: keras.Model) -> None:
        """Give all layers of a network but its head these weights.

        Raises
        ------
        UserError
            If a layer is missing or has another shape. Layers of features by hand may be missing: weights from
            elsewhere know none.
        """
        wanted = {
            layer.name: layer
            for layer in network.layers
            if layer.weights
            and layer.name not in HEAD
            and (layer.name in self.layers or not layer.name.startswith(BY_HAND))
        }
        if missing := [name for name in wanted if name not in self.layers]:
            raise UserError(
                f"{self.source} holds no weights for {len(missing)} of the {len(wanted)} layers of {network.name}"
                f" ({', '.join(missing[:3])}...): it has {', '.join(sorted(self.layers)[:3]) or 'none'}...;"
                f" {WAYS_OUT}."
            )
        for name, layer in wanted.items():
            shapes = [[tuple(one.shape) for one in ones] for ones in (layer.weights, self.layers[name])]
            if shapes[0] != shapes[1]:
                raise UserError(
                    f"{self.source} has {shapes[1]} for the layer {name}, {network.name} needs {shapes[0]}: {WAYS_OUT}."
                )
            layer.set_weights(self.layers[name])


def find_weights(wanted: str | None, simulated: Path | None = None) -> Weights | None:
    """Find the weights that a parameter names.

    Parameters
    ----------
    wanted : str or None
        None: random weights. ``simulated``. A path to a file ``.weights.h5``, ``.keras`` or ``.safetensors`` (with the
        names of Keras' layers, or torchvision's and timm's). ``keras_hub:resnet_18_imagenet``, which is downloaded.
    simulated : Path, optional
        File that `~cherenkov_pipeline.alerts.pretraining.Pretraining` has made.

    Returns
    -------
    Weights or None
        None for random weights alone.

    Raises
    ------
    UserError
        If they cannot be had: what was tried, and the ways out.
    """
    if wanted is None:
        return None
    if wanted == SIMULATED:
        if simulated is None:
            raise UserError(f"There are no weights of a training on simulated frames: run it, or {WAYS_OUT}.")
        layers = _read_keras(simulated)
        return Weights(layers, "a training on simulated frames of another mask pattern", fingerprint_file(simulated))
    if wanted.startswith(KERAS_HUB):
        return Weights(_of_keras_hub(wanted.removeprefix(KERAS_HUB)), wanted, wanted)
    path = Path(wanted).expanduser()
    readers = {".weights.h5": _read_h5, ".keras": _read_keras, ".safetensors": _read_torch}
    reader = next((reader for suffix, reader in readers.items() if path.name.endswith(suffix)), None)
    if reader is None:
        raise UserError(f"The weights {wanted!r} are of no known kind: {WAYS_OUT}.")
    if not path.is_file():
        raise UserError(f"There is no file {path} with weights: correct the path, or {WAYS_OUT}.")
    return Weights(reader(path), str(path), fingerprint_file(path))


def _read_keras(path: Path) -> LayerWeights:
    """Read the weights in a ``.keras`` file, and nothing else of it."""
    try:
        with ZipFile(path) as archive:
            content = archive.read("model.weights.h5")
    except (OSError, KeyError, BadZipFile) as error:
        raise UserError(f"{path} is no whole .keras file ({error}): write it anew, or {WAYS_OUT}.") from error
    return _read_h5(path, io.BytesIO(content))


def _read_h5(path: Path, stream: io.BytesIO | None = None) -> LayerWeights:
    """Read weights as Keras 3 writes them: each group ``vars`` names its layer."""
    layers: dict[str, list[np.ndarray]] = {}

    def take(_: str, group: h5py.Group | h5py.Dataset) -> None:
        if isinstance(group, h5py.Group) and "name" in group.attrs and len(group):
            layers[str(group.attrs["name"])] = [group[str(number)][()] for number in range(len(group))]

    try:
        with h5py.File(stream or path) as content:
            content.visititems(take)
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no weights of Keras 3 ({error}): write it anew, or {WAYS_OUT}.") from error
    return layers


def _read_torch(path: Path) -> LayerWeights:
    """Read a safetensors file with torchvision's or timm's names, or Keras'."""
    return from_torch(read_safetensors(path))


def from_torch(tensors: Mapping[str, np.ndarray]) -> LayerWeights:
    """Turn tensors by torchvision's names into the weights of Keras' layers.

    ``layer2.0.downsample.1.running_mean`` is the third of ``layer2_0_downsample1``; kernels (out, in, rows, columns)
    become (rows, columns, in, out).
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, values in tensors.items():
        layer, _, kind = name.rpartition(".")
        if IGNORED.fullmatch(name) or kind not in TORCH_ORDER:
            continue
        keras_name = re.sub(r"downsample_(\d)", r"downsample\1", layer.replace(".", "_"))
        values = values.astype(np.float32)
        layers.setdefault(keras_name, {})[kind] = values.transpose(2, 3, 1, 0) if values.ndim == 4 else values
    return {name: [held[kind] for kind in TORCH_ORDER if kind in held] for name, held in layers.items()}


def _of_keras_hub(preset: str) -> LayerWeights:
    if importlib.util.find_spec("keras_hub") is None:
        raise UserError(f"The weights {KERAS_HUB}{preset} need keras-hub: pip install keras-hub, or {WAYS_OUT}.")
    import keras_hub

    try:
        backbone = keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:  # no network, no such preset, no rights: its libraries raise whatever they like
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"keras-hub gives no weights for {preset!r} ({reason}): {WAYS_OUT}.") from error
    return from_keras_hub({layer.name: layer.get_weights() for layer in backbone.layers if layer.weights})


def from_keras_hub(layers: LayerWeights) -> LayerWeights:
    """Rename keras-hub's layers: ``stack1_block0_2_bn`` is ``layer2_0_bn2``, ``stack1_block0_0_conv`` its shortcut."""
    return {_torch_name(name): values for name, values in layers.items()}


def _torch_name(name: str) -> str:
    if found := re.fullmatch(r"stack(\d)_block(\d)_(\d)_(conv|bn)", name):
        stack, block, number, kind = found.groups()
        place = f"layer{int(stack) + 1}_{block}"
        if number == "0":
            return f"{place}_downsample{0 if kind == 'conv' else 1}"
        return f"{place}_{kind}{number}"
    return {"conv1_conv": "conv1", "conv1_bn": "bn1"}.get(name, name)
