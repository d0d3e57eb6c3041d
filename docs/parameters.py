"""Write docs/parameters.md, all parameters with their meaning, from the models that check them: ``make docs``."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import astropy.units as u
import yaml
from pydantic_core import PydanticUndefined

from cherenkov_pipeline.alerts.networks.registry import NETWORKS
from cherenkov_pipeline.alerts.parameters import AutoencoderMethod, ForestMethod, IsolationForestMethod, NetworkMethod
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.config import NAME, Parameters
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY
from cherenkov_pipeline.performance.parameters import ComparisonParameters, DL2Parameters, EvaluationParameters
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.robustness.parameters import RobustnessParameters
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters
from cherenkov_pipeline.store.parameters import InputParameters, StoreParameters
from cherenkov_pipeline.training.ensemble_parameters import EnsembleParameters
from cherenkov_pipeline.training.parameters import (
    CosineSchedule,
    PlateauSchedule,
    SpectrumParameters,
    StepsSchedule,
    TrainingParameters,
)
from cherenkov_pipeline.training.search_parameters import RangeParameters, SearchParameters

DOCS = Path(__file__).parent
PAGE = DOCS / "parameters.md"
BASE = DOCS.parent / "conf" / "base" / "parameters"

type Section = tuple[str, str, type[Parameters]]
"""Heading, place among the parameters, the model of what stands there."""

type Field = tuple[str, Any, str | None]
"""Name, default, meaning."""

TASK = "task_defaults"
OR_NULL = "null, or "
SECTIONS: list[Section] = [
    ("Simulation", "simulation", SimulationParameters),
    ("A production of the simulation", "simulation.training.gamma_diffuse", Production),
    ("DL1 files", "dl1", DL1Parameters),
    ("Cuts", "selection", SelectionParameters),
    ("Event store", "store", StoreParameters),
    ("Model", f"{TASK}.model", ModelParameters),
    ("Input of a network", f"{TASK}.input", InputParameters),
    ("Training", f"{TASK}.training", TrainingParameters),
    ("Schedule plateau", f"{TASK}.training.schedule", PlateauSchedule),
    ("Schedule cosine", f"{TASK}.training.schedule", CosineSchedule),
    ("Schedule steps", f"{TASK}.training.schedule", StepsSchedule),
    ("A spectrum that events are weighted to", f"{TASK}.training.weights.spectra.gamma", SpectrumParameters),
    ("Ensemble", f"{TASK}.ensemble", EnsembleParameters),
    ("Search", f"{TASK}.search", SearchParameters),
    ("A range of the search", f"{TASK}.search.space.training.batch_size", RangeParameters),
    ("Evaluation", "evaluation", EvaluationParameters),
    ("DL2 of others", "dl2", DL2Parameters),
    ("Comparison", "comparison", ComparisonParameters),
    ("Reconstruction", "reconstruction", ReconstructionParameters),
    ("Instrument response", "instrument_response", ResponseParameters),
    ("Robustness", "robustness", RobustnessParameters),
    ("Alerts", "grb_alerts", AlertParameters),
    ("A method of the alerts that is a network", "grb_alerts.methods.METHOD", NetworkMethod),
    ("The autoencoder of the alerts", "grb_alerts.methods.METHOD", AutoencoderMethod),
    ("The isolation forest of the alerts", "grb_alerts.methods.METHOD", IsolationForestMethod),
    ("The random forest of the alerts", "grb_alerts.methods.METHOD", ForestMethod),
]
OPTIONS: list[Section] = [
    *((f"Options of `{name}`", f"{TASK}.model.options", entry.options) for name, entry in REGISTRY.items()),
    *((f"Options of the head `{name}`", f"{TASK}.model.head.options", entry.options) for name, entry in HEADS.items()),
    *(
        (f"Options of the network `{name}` of the alerts", "grb_alerts.methods.METHOD.network.options", entry.options)
        for name, entry in NETWORKS.items()
        if entry.options.model_fields
    ),
]
NOTES = {
    "Model": "The head is that of a backbone of your own; registered models bring theirs.",
    "Input of a network": "Values of a backbone of your own; registered models bring theirs.",
    "Training": "The blocks of `energy` and `type` in `training.yml` name auxiliary tasks.",
    "A method of the alerts that is a network": "`METHOD` is the method's name; its `preset` names what the rest "
    "changes, and has other values where it names them.",
}
INTRODUCTION = """\
# Parameters

Made by `make docs` from the models that check the parameters. A parameter's place is that of its section and its name:
`--params=task_defaults.training.epochs=3`. The value is that of `conf/base`, where it stands there, or the one that
counts where nothing is given; `local`, `cluster` and `test` change some. What the blocks of a task leave out is that
of `task_defaults`. "null, or" stands before the values of a block that is left out unless it is given.

Three parameters stand alone: `raw_path` (simtel or DL1 files to process: a file, a folder, a pattern; null: simulated
showers), `input_path` (the same for `reconstruction`; null: the simulated point source) and `backend` (of Keras, for a
whole run: tensorflow, jax, torch; null: that of `KERAS_BACKEND`).
"""


def render() -> str:
    """Write the page."""
    here: dict[str, Any] = {}
    for path in sorted(BASE.glob("*.yml")):
        here |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    sections = (_section(*section, here) for section in SECTIONS + OPTIONS)
    return "\n".join([INTRODUCTION, *sections])


def _section(heading: str, place: str, model: type[Parameters], here: Mapping[str, Any]) -> str:
    lines = [f"## {heading}", "", f"`{place}`", "", *([NOTES[heading], ""] if heading in NOTES else [])]
    lines += ["| name | value | meaning |", "|---|---|---|"]
    for name, default, description in _fields(model):
        meaning = " ".join((description or "").split()).replace("|", r"\|")
        lines.append(f"| `{name}` | {_text(_looked_up(here, f'{place}.{name}', default))} | {meaning} |")
    return "\n".join([*lines, ""])


def _fields(model: type[Parameters], prefix: str = "", given: Parameters | None = None) -> Iterator[Field]:
    """Fields of a model, those of models within it by dotted names."""
    for name, field in model.model_fields.items():
        default = getattr(given, name) if given else field.get_default(call_default_factory=True)
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else [field.annotation]
        within = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Parameters)]
        values = _values(field.annotation)
        if len(within) == 1:
            inner = _fields(within[0], f"{prefix}{name}.", default if isinstance(default, within[0]) else None)
            yield from inner if default is not None else ((key, _Optional(value), said) for key, value, said in inner)
        elif get_origin(field.annotation) is not Literal or len(values) > 1:
            # a single literal only tells kinds of blocks apart
            said = field.description
            if values:
                said = f"{(said or '').rstrip('.')}. One of {', '.join(f'`{value}`' for value in values)}."
            yield f"{prefix}{name}", "" if default is PydanticUndefined else default, said


@dataclass(frozen=True)
class _Optional:
    """Default within a block that is null by default."""

    value: Any


def _values(annotation: Any) -> list[str]:
    """Words that may be written."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return [value for kind in get_args(annotation) for value in _values(kind)]
    return []


def _looked_up(here: Any, place: str, default: Any) -> Any:
    """Value in ``conf/base``, or the default."""
    for part in place.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return default
        here = here[part]
    return here


def _text(value: Any) -> str:
    if isinstance(value, _Optional):
        inner = _text(value.value).removeprefix(OR_NULL)
        return f"{OR_NULL}{inner}" if inner else "null"
    if isinstance(value, Parameters):
        value = _plain(value)
    if isinstance(value, u.Quantity):
        value = str(value)
    if isinstance(value, (list, tuple, set, frozenset)) and not value:
        return "[]"
    if isinstance(value, (Mapping, list, tuple, set, frozenset)) and value:
        plain = yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10_000).strip()
        return textwrap.shorten(plain, 100, placeholder=" ...").replace("|", r"\|")
    known = {None: "null", True: "true", False: "false"}
    return known.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, Parameters):
        name = {NAME: value.name} if hasattr(value, NAME) else {}
        return name | value.model_dump(mode="json", exclude_defaults=True)
    return value if isinstance(value, bool | int | float | None) else str(value)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
