"""The structure of a network as text, for fingerprints.

Layers and operations that were given no name get one from Keras, which counts all that the process has made: ``cast``,
then ``cast_1``. Here they are counted from the first of the network.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cherenkov_pipeline.models.backend import keras

NUMBERED = re.compile(r"((?:forward_|backward_)?(\w+?))(?:_\d+)?")
"""Name that Keras gives: that of the class, and a number from the second on."""

NAMED = ("name", "keras_history", "input_layers", "output_layers")
"""Keys under which the names of layers stand."""


def structure(model: keras.Model) -> str:
    """Describe a network as JSON, alike whatever the process has built before, also after saving and loading."""
    return json.dumps(_renamed(json.loads(model.to_json()), {}))


def _renamed(part: Any, names: Mapping[str, str], key: str = "") -> Any:
    if isinstance(part, dict):
        # a network in the network counts by itself; its own name is one of the outer one's
        inner = _names(part["layers"]) if "layers" in part else names
        return {name: _renamed(one, names if name == "name" else inner, name) for name, one in part.items()}
    if isinstance(part, list):
        return [_renamed(one, names, key) for one in part]
    return names.get(part, part) if key in NAMED else part


def _names(layers: list[Any]) -> dict[str, str]:
    """Name that Keras gave -> name here."""
    count, names = Counter(), {}
    for kind, name in _named(layers):
        match = NUMBERED.fullmatch(name)
        if match and name not in names and match[2].replace("_", "") == kind.replace("_", "").lower():
            names[name] = f"{match[1]}_{count[match[1]]}" if count[match[1]] else match[1]
            count[match[1]] += 1
    return names


def _named(part: Any) -> Iterator[tuple[str, str]]:
    """Class and name of all that has both, without what is inside of further networks."""
    if isinstance(part, dict):
        config = part.get("config")
        inside = config if isinstance(config, dict) else {}
        if isinstance(name := part.get("name", inside.get("name")), str) and "class_name" in part:
            yield part["class_name"], name
        if "layers" in part:
            return
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _named(one)
