"""How a DL1 file was made: kept in the file itself, and compared before files, or data and a model, come together.

The settings of a file are plain values::

    {"cleaning": {...}, "calibration": {...} or None, "focal_length_choice": "EQUIVALENT", "versions": {...}}

``cleaning`` and ``calibration`` are those of `cherenkov_pipeline.dl1.parameters`; None where others, or a simulation of
charges, did that step. A file of others carries no settings: ctapipe 0.32 writes none of its configuration into its
files. They stand, as JSON, in ctapipe's context metadata, an attribute of the file's root.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline import __version__
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.revision import git_revision

if TYPE_CHECKING:
    from cherenkov_pipeline.hdf5 import tables

type Settings = Mapping[str, Any]

COMPARED = ("cleaning", "calibration", "focal_length_choice")
"""What decides about the numbers in a file; versions are there for the record."""

_KEY = "CHERENKOV PIPELINE DL1 SETTINGS"
_ATTRIBUTE = f"CONTEXT {_KEY}"


def make_settings(parameters: DL1Parameters, *, calibrated: bool) -> dict[str, Any]:
    """Describe how a file is made now.

    Parameters
    ----------
    parameters : DL1Parameters
    calibrated : bool
        Whether charges are taken from waveforms with these parameters.
    """
    return {
        "cleaning": parameters.cleaning.model_dump(mode="json"),
        "calibration": parameters.calibration.model_dump(mode="json") if calibrated else None,
        "focal_length_choice": parameters.focal_length_choice,
        "versions": _versions(),
    }


def context_metadata(settings: Settings | None) -> dict[str, str]:
    """Put settings into the ``context_metadata`` of ctapipe's `~ctapipe.io.DataWriter`."""
    return {} if settings is None else {_KEY: json.dumps(settings)}


def write_settings(path: str | Path, settings: Settings | None) -> None:
    """Write settings into a finished file, as a DataWriter does; None: nothing."""
    from ctapipe.io.metadata import write_to_hdf5

    from cherenkov_pipeline.hdf5 import tables

    if settings is not None:
        with tables.open_file(str(path), "a") as file:
            write_to_hdf5({_ATTRIBUTE: json.dumps(settings)}, file)


def read_settings(file: "str | Path | tables.File") -> dict[str, Any] | None:
    """Read the settings of a DL1 file, by its path or open; None where it carries none."""
    from cherenkov_pipeline.hdf5 import read_hdf5_metadata

    text = read_hdf5_metadata(file).get(_ATTRIBUTE)
    return None if text is None else json.loads(str(text))


def differences(found: Settings, expected: Settings) -> list[str]:
    """Tell what was done otherwise; a step that one of them does not know is not compared.

    Returns
    -------
    list of str
        Such as ``"cleaning.picture_threshold_pe 9 instead of 8"``.
    """
    return [
        f"{name} {value} instead of {wanted}"
        for part in COMPARED
        if found.get(part) is not None and expected.get(part) is not None
        for name, value, wanted in _unequal(part, found[part], expected[part])
    ]


def common_settings(files: Mapping[str, Settings | None]) -> dict[str, Any] | None:
    """Find the settings that files share.

    Parameters
    ----------
    files : mapping
        Path of each file, for the message, and its settings (``dl1_settings`` of its record).

    Returns
    -------
    dict or None
        Those of the files, with the versions of all of them; None as soon as those of one are not known.

    Raises
    ------
    UserError
        If two files were made differently.
    """
    known = {name: settings for name, settings in files.items() if settings is not None}
    together: dict[str, Any] = {}
    for name, settings in known.items():
        for part in COMPARED:
            first, expected = together.setdefault(part, (name, settings.get(part)))
            if changed := differences({part: settings.get(part)}, {part: expected}):
                raise UserError(
                    f"{name} and {first} cannot be used together, they were made with different settings "
                    f"({', '.join(changed)}): make them again with the same dl1 parameters."
                )
            if expected is None:
                together[part] = name, settings.get(part)
    if not known or len(known) < len(files):
        return None
    versions = join_versions([settings["versions"] for settings in known.values()])
    return {**{part: value for part, (_, value) in together.items()}, "versions": versions}


def _unequal(name: str, found: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    if not isinstance(found, Mapping):
        return [] if found == expected else [(name, found, expected)]
    return [
        (f"{name}.{key}", found.get(key), expected.get(key))
        for key in dict.fromkeys([*found, *expected])
        if found.get(key) != expected.get(key)
    ]


def join_versions(versions: list[Mapping[str, str]]) -> dict[str, str]:
    """Versions of packages that made several files; where they differ, all of them."""
    names = dict.fromkeys(name for one in versions for name in one)
    return {name: ", ".join(dict.fromkeys(one[name] for one in versions if name in one)) for name in names}


@cache
def _versions() -> dict[str, str]:
    return {"cherenkov_pipeline": __version__, "git_revision": git_revision(), "ctapipe": version("ctapipe")}
