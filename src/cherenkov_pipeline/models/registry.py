"""The models that can be chosen by name: light descriptions, built only when asked for.

A builder is named by its dotted path ``package.module:function``, or by the file that it stands in,
``path/to/file.py:function``. Parameters may name one directly, which is how a user's own backbone or head is plugged
in; ``examples/own_model.py`` is a template:

- backbone: ``function(inputs, **options) -> features``, ``inputs`` a dict of Keras tensors by name; or ``(features,
  point)`` with a direction (lon, lat) [deg] that the output layer of the likelihood ``point`` starts from;
- head: ``function(features, **options) -> features`` that the task's output layer reads.

Layers are named with the prefix ``backbone_`` or ``head_``.
"""

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.models import options
from cherenkov_pipeline.models.forest_features import COLUMNS
from cherenkov_pipeline.store.parameters import InputParameters

CHANNELS = ("cleaned_log_image", "cleaned_relative_peak_time")

SHAPE = (
    "log_hillas_intensity",
    "hillas_width",
    "hillas_length",
    "hillas_kurtosis",
    "timing_deviation",
    "peak_time_std",
    "leakage_intensity_width_1",
    "leakage_intensity_width_2",
    "leakage_pixels_width_1",
    "concentration_cog",
    "concentration_core",
    "concentration_pixel",
    "log_morphology_n_pixels",
    "morphology_n_islands",
    "log_intensity_max",
    "intensity_skewness",
)
"""Image parameters that are the same for a turned and mirrored image."""


@dataclass(frozen=True)
class ModelEntry:
    """One backbone or head.

    Attributes
    ----------
    builder : str
        ``package.module:function``.
    options : type
        Model of the builder's options.
    description : str
        One line.
    input : mapping
        What the model needs of `~cherenkov_pipeline.store.parameters.InputParameters`; a task's ``input`` may change
        it.
    mode : {"mono", "stereo"}
        Whether it reads single images, or all images of an event.
    trainer : {"gradient", "forest"}
        Whether its weights are learnt by steps, or its trees grown.
    head : mapping
        Its head where the parameters name none.
    """

    builder: str
    options: type[Parameters]
    description: str
    input: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["mono", "stereo"] = "mono"
    trainer: Literal["gradient", "forest"] = "gradient"
    head: Mapping[str, Any] = field(default_factory=dict)


REGISTRY: dict[str, ModelEntry] = {
    "single_tel": ModelEntry(
        "cherenkov_pipeline.models.single_tel:single_tel",
        options.SingleTelOptions,
        "Convolutions with pooling on the image of one telescope (CTLearn's SingleCNN).",
        {"channels": CHANNELS, "mapping": "axial"},
    ),
    "resnet": ModelEntry(
        "cherenkov_pipeline.models.resnet:resnet",
        options.ResNetOptions,
        "CTLearn's thin ResNet with squeeze-and-excitation on an interpolated image; for GPUs.",
        {"channels": CHANNELS, "mapping": "bilinear"},
        head={"options": {"units": (512, 256)}},
    ),
    "hex_resnet": ModelEntry(
        "cherenkov_pipeline.models.resnet:resnet",
        options.HexResNetOptions,
        "Residual network with hexagonal kernels on the camera's own lattice, without interpolation; for GPUs.",
        {"channels": CHANNELS, "mapping": "axial"},
        head={"options": {"units": (512, 256)}},
    ),
    "cnn_rnn": ModelEntry(
        "cherenkov_pipeline.models.cnn_rnn:cnn_rnn",
        options.CnnRnnOptions,
        "Stereo: one convolutional network for all telescopes, and an LSTM over them (CTLearn's CNN-RNN).",
        {"channels": CHANNELS, "mapping": "axial"},
        mode="stereo",
        head={"options": {"units": (1024, 512), "dropout": 0.5}},
    ),
    "variable_input": ModelEntry(
        "cherenkov_pipeline.models.variable_input:variable_input",
        options.VariableInputOptions,
        "Stereo: one convolutional network for all telescopes, whose features are read side by side.",
        {"channels": CHANNELS, "mapping": "axial"},
        mode="stereo",
        head={"options": {"units": (1024, 512), "dropout": 0.5}},
    ),
    "set_network": ModelEntry(
        "cherenkov_pipeline.models.set_network:set_network",
        options.SetNetworkOptions,
        "Dense layers on the brightest pixels in the shower's frame, pooled; trains in minutes on a laptop.",
        {"channels": (), "mapping": None, "brightest": 64, "parameters": SHAPE},
        head={"options": {"units": ()}},
    ),
    "stereo_set_network": ModelEntry(
        "cherenkov_pipeline.models.stereo_set_network:stereo_set_network",
        options.StereoSetNetworkOptions,
        "Stereo: a set network for each telescope, messages between them, and the geometry of the shower.",
        {"channels": (), "mapping": None, "brightest": 64, "parameters": SHAPE},
        mode="stereo",
        head={"options": {"units": ()}},
    ),
    "random_forest": ModelEntry(
        "cherenkov_pipeline.models.decision_forest:forest_features",
        options.ForestParameters,
        "Random forests on image parameters: the collaboration's method (sst1mpipe).",
        {"channels": (), "mapping": None, "parameters": COLUMNS},
        trainer="forest",
    ),
}

HEADS: dict[str, ModelEntry] = {
    "dense": ModelEntry("cherenkov_pipeline.models.heads:dense", options.DenseOptions, "Dense layers."),
}


def complete_input(model: str, given: Mapping[str, Any] | None = None) -> InputParameters:
    """Complete the input of a task with what its model needs.

    Parameters
    ----------
    model : str
        Name in `REGISTRY`, or a path to a user's own backbone, which has the defaults of `InputParameters`.
    given : mapping, optional
        Fields of `InputParameters` that were chosen; they are taken as they are.
    """
    entry = REGISTRY.get(model)
    needed = {} if entry is None else {"mode": entry.mode, **entry.input}
    return InputParameters.model_validate({**needed, **(given or {})})


def check_options(name: str, options: Mapping[str, Any], entries: Mapping[str, ModelEntry]) -> dict[str, Any]:
    """Check the options of a named entry and fill in its defaults; a path's are checked when it is built.

    Raises
    ------
    ValueError
        If the name is unknown or an option is wrong.
    """
    if ":" in name:
        return dict(options)
    if name not in entries:
        raise ValueError(
            f"choose one of {', '.join(entries)}, or your own package.module:function or file.py:function."
            f" Received: {name!r}"
        )
    return entries[name].options.model_validate(dict(options)).model_dump(mode="json")


def resolve(name: str, entries: Mapping[str, ModelEntry], options: Mapping[str, Any]) -> Callable[..., Any]:
    """Import the builder of an entry or path.

    Raises
    ------
    UserError
        If it cannot be imported, whatever its file raises, or does not take the options.
    """
    path = entries[name].builder if name in entries else name
    module, _, function = path.rpartition(":")
    try:
        builder = getattr(_from_file(module) if module.endswith(".py") else importlib.import_module(module), function)
    except UserError:
        raise
    except (ImportError, AttributeError) as error:
        raise UserError(f"Cannot import {path} ({error}): install its package, or correct the name.") from error
    except Exception as error:  # a user's file may raise anything
        raise UserError(f"Cannot import {path} ({reason(error)}): correct {module}.") from error
    try:
        inspect.signature(builder).bind(None, **options)
    except TypeError as error:
        raise UserError(f"{path} does not take the options {dict(options)}: {error}.") from error
    return builder


def own_source(name: str, entries: Mapping[str, ModelEntry], options: Mapping[str, Any]) -> Path | None:
    """File that holds a user's own builder, see `resolve`; None for an entry, and for what stands in no file."""
    if name in entries:
        return None
    module, _, _ = name.rpartition(":")
    if module.endswith(".py"):
        return Path(module).expanduser()
    # where it is defined, not where it is imported from
    source = getattr(sys.modules[inspect.unwrap(resolve(name, entries, options)).__module__], "__file__", None)
    return Path(source) if source else None


def _from_file(path: str) -> ModuleType:
    """Import a file, again when it has changed."""
    found = Path(path).expanduser().resolve()
    try:
        changed = found.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}), which a model names: correct the path.") from error
    return _imported(found, changed)


@functools.lru_cache
def _imported(path: Path, changed: int) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    # dataclasses and pickles look their module up; a package of the same name stays what it is
    sys.modules.setdefault(path.stem, module)
    try:
        specification.loader.exec_module(module)
    except BaseException:
        if sys.modules.get(path.stem) is module:  # half made
            del sys.modules[path.stem]
        raise
    return module
