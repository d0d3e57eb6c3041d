"""DL2 files that others made, as the predictions table that the evaluation takes.

Read are telescope and subarray tables in ctapipe's layout under any prefix: those of ctapipe's own tools, of CTLearn
(0.10: ``CTLearn``, or ``CTLearnClassifier``, ``CTLearnRegressor``, ``CTLearnCameraReconstructor``,
``CTLearnSkyReconstructor``), and ours; and those of sst1mpipe. What such a file does not say, such as predicted errors,
is NaN.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from astropy import units as u
from astropy.table import QTable, vstack
from pydantic import BaseModel, ConfigDict

from cherenkov_pipeline.directions import from_sky, plain, pointing_of, to_camera
from cherenkov_pipeline.dl1.contents import IMAGE, PARTICLES, PRIMARY, PRODUCTION_EVENT, production_of
from cherenkov_pipeline.dl1.provenance import COLUMNS, thrown_row
from cherenkov_pipeline.dl1.thrown import count_thrown, thrown_spectra
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.fingerprints import fingerprint, fingerprint_file
from cherenkov_pipeline.hdf5 import read_subarray
from cherenkov_pipeline.reconstruction.columns import COPIED
from cherenkov_pipeline.reconstruction.discover import Level, find_level, find_prefixes, only_prefix
from cherenkov_pipeline.reconstruction.paths import list_dl2
from cherenkov_pipeline.reconstruction.read import read_predictions
from cherenkov_pipeline.spectra import THROWN
from cherenkov_pipeline.tasks import Task, get_task

PREFIX = "::"
"""Between the path of DL2 files and the prefix of the columns that are meant."""

PLACE = ("reco_camera_x", "reco_camera_y")
SOFTWARE = "CTA ACTIVITY SOFTWARE NAME"
"""Attribute of a file: what wrote it."""


class Method(BaseModel):
    """Whose predictions of a task are read, and from where.

    Attributes
    ----------
    task : str
    level : {"telescope", "subarray"}
        Each image by itself, or whole events.
    prefix : str
        Of the columns.
    paths : tuple of str
    file_fingerprints : tuple of str
        Of the files' contents.
    energy : str or None
        Prefix of the energies that the curves of the particle type are per; None: there are none, or several.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    level: Level
    prefix: str
    paths: tuple[str, ...]
    file_fingerprints: tuple[str, ...]
    energy: str | None = None

    @property
    def mode(self) -> str:
        """``mono`` or ``stereo``, as the inputs of models have it."""
        return "mono" if self.level == "telescope" else "stereo"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the predictions that are meant, wherever the files lie."""
        return fingerprint(self.task, self.level, self.prefix, sorted(self.file_fingerprints))


def find_method(
    reference: str, task: str, level: Level | None = None, prefix: str | None = None, name: str = "dl2.path"
) -> Method:
    """Find out whose predictions DL2 files hold; events are not read yet.

    Parameters
    ----------
    reference : str
        A file, a folder or a pattern; with ``::`` and a prefix behind it where the files have several.
    task : str
    level : {"telescope", "subarray"}, optional
        Default: telescope where all files have predictions of single telescopes.
    prefix : str, optional
        As behind ``::``.
    name : str
        Parameter that the reference comes from, for the messages.

    Raises
    ------
    UserError
        If there are no such files, one has no predictions of the task, or it is not clear which are meant.
    """
    text, _, behind = reference.partition(PREFIX)
    paths = list_dl2(text, name)
    if level is None:
        level = "telescope" if {find_level(path, task) for path in paths} == {"telescope"} else "subarray"
    if level == "subarray" and task == "cameradirection":
        raise UserError(f"{text} has directions of whole events, which have no place in a camera: take skydirection.")
    wanted = {task: prefix or behind or None}
    found = {path: find_prefixes(path, level, wanted)[task] for path in paths}
    if len(set(found.values())) > 1:
        names = ", ".join(sorted(set(found.values())))
        raise UserError(f"{text} has predictions of {task} by {names}: give the files of one, or name its prefix.")
    return Method(
        task=task,
        level=level,
        prefix=next(iter(found.values())),
        paths=tuple(str(path) for path in paths),
        file_fingerprints=fingerprints_of(paths),
        energy=only_prefix(paths, level, "energy") if task == "type" else None,
    )


def fingerprints_of(paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Fingerprints of files' contents."""
    return tuple(fingerprint_file(path) for path in paths)


def read_method(method: Method) -> QTable:
    """Read the predictions of a method.

    Returns
    -------
    QTable
        Predictions table, as `read_file` gives it. Directions in the camera are made of those on the sky where a file
        has none. Of the particle type with ``reco_energy`` of the method's ``energy``, NaN where that is not valid.

    Raises
    ------
    UserError
        If a file is not as ctapipe has it, has an event twice, or nothing can be judged: no true values, none of the
        particles that the task is about, or no valid prediction.
    """
    task = get_task(method.task)
    parts = []
    for path, production in zip(map(Path, method.paths), productions_of(method.paths), strict=True):
        part = read_file(path, {method.task: method.prefix}, method.level)
        if method.energy:  # by itself: an event without an energy keeps its type
            part["reco_energy"] = read_file(path, {"energy": method.energy}, method.level)["reco_energy"]
        part["production"] = np.full(len(part), production)
        if task.to_truth and PLACE[0] not in part.colnames:
            _add_places(part, path)
        _check_unique(part, path)
        parts.append(part)
    table = vstack(parts, metadata_conflicts="silent")
    table.meta[THROWN] = thrown_spectra([Path(path) for path in method.paths])
    if method.energy and not np.isfinite(table["reco_energy"]).any():
        table.remove_column("reco_energy")
    _check_truth(table, task, method)
    if not table["is_valid"].any():
        raise UserError(f"{_files(method)} no valid prediction of {task.name} by {method.prefix}: give others.")
    return table


def read_file(path: Path, models: Mapping[str, str], level: Level) -> QTable:
    """Read what a file of any maker predicts.

    Parameters
    ----------
    path : Path
    models : mapping of str to str
        Task -> prefix of its columns.
    level : {"telescope", "subarray"}

    Returns
    -------
    QTable
        Predictions table, as `~cherenkov_pipeline.reconstruction.read.read_predictions` gives it; a prediction that is
        not finite is not valid, and one that is not valid is NaN. A gammaness of exactly 0 by CTLearn is none.

    Raises
    ------
    UserError
        If the file is not as ctapipe has it.
    """
    table = read_predictions(FileSet("", [{"path": str(path), "models": dict(models)}]), level=level)
    valid = np.asarray(table["is_valid"], dtype=bool)
    if "type" in models and _is_ctlearns(path, models["type"]):
        valid &= np.asarray(table["gammaness"]) != 0
    for task in map(get_task, models):
        for name in task.dl2_columns.values():
            if "_uncert" not in name:
                valid &= np.isfinite(plain(table, name))
    table["is_valid"] = valid
    for name in {name for task in map(get_task, models) for name in task.units}:
        if name in table.colnames:
            table[name][~valid] = np.nan
    return table


def productions_of(paths: Sequence[str]) -> list[str]:
    """Name what is in each file; files of the same name have as many folders before it as tell them apart."""
    files = [Path(path) for path in paths]
    named = [file.with_name(production_of(file)) for file in files]
    counts = Counter(named)
    wholes = [(name if counts[name] == 1 else file).parts for name, file in zip(named, files, strict=True)]
    ends = [whole[-1:] for whole in wholes]
    for length in range(2, max(map(len, wholes)) + 1):
        counts = Counter(ends)
        ends = [end if counts[end] == 1 else whole[-length:] for end, whole in zip(ends, wholes, strict=True)]
    return [str(Path(*end)) for end in ends]


def _add_places(table: QTable, path: Path) -> None:
    """Add the places in the camera of directions on the sky [m]."""
    subarray = read_subarray(path)
    direction = from_sky(plain(table, "reco_alt"), plain(table, "reco_az"), pointing_of(table))
    places = np.full((2, len(table)), np.nan)
    for tel_id in np.unique(table["tel_id"]):
        rows = np.asarray(table["tel_id"]) == tel_id
        places[:, rows] = np.stack(to_camera(direction, subarray.tel[tel_id].camera.geometry))[:, rows]
    for name, values in zip(PLACE, places, strict=True):
        table[name] = values << u.m


def _is_ctlearns(path: Path, prefix: str) -> bool:
    """Tell whether CTLearn made predictions, by the file's software or, in a merged file, by their prefix.

    CTLearn 0.10.4 loses what its classifier says of a file's last images, those that fill no batch: it writes 0 and
    calls it valid. Its softmax does not come to exactly 0. ctapipe-merge writes its own name over that of the software.
    """
    # not PyTables, which unpickles attributes
    with h5py.File(path) as file:
        software = file.attrs.get(SOFTWARE)
    return prefix.startswith("CTLearn") or software in (b"ctlearn", "ctlearn")


def _check_unique(table: QTable, path: Path) -> None:
    names = [name for name in IMAGE if name in table.colnames]
    if pd.DataFrame({name: np.asarray(table[name]) for name in names}).duplicated().any():
        raise UserError(
            f"{path} has an event twice ({', '.join(names)}): where productions with the same numbers were merged, "
            "give their files instead."
        )


def _check_truth(table: QTable, task: Task, method: Method) -> None:
    for name in dict.fromkeys((*(label for label in task.labels if label in COPIED), "true_energy")):
        known = np.asarray(table[name]) >= 0 if name == PRIMARY else np.isfinite(plain(table, name))
        if not known.any():
            raise UserError(f"{_files(method)} no {name}: {task.name} can be judged by simulated events alone.")
    primary = np.asarray(table[PRIMARY])
    if not (primary == PARTICLES["gamma"]).any():
        raise UserError(f"{_files(method)} no gammas ({PRIMARY} 0), which {task.name} is judged by: give such files.")
    if task.name == "type" and not (primary > 0).any():
        raise UserError(
            f"{_files(method)} gammas alone: the particle type is judged by other particles as well, give a "
            "folder or a pattern with files of both."
        )


def _files(method: Method) -> str:
    """Begin a sentence on the files: who holds."""
    first = method.paths[0]
    return f"{first} holds" if len(method.paths) == 1 else f"{first} and {len(method.paths) - 1} more hold"


def method_provenance(method: Method, predictions: QTable) -> pd.DataFrame:
    """Tabulate what is in the files of a method.

    Returns
    -------
    pandas.DataFrame
        `~cherenkov_pipeline.dl1.provenance.COLUMNS`: a row ``thrown`` for each particle, where the files tell (``n_in``
        showers, ``n_out`` events with a prediction or without), and a row ``prediction`` for each file (``n_in`` images
        or events, ``n_out`` valid predictions).
    """
    what = "images" if method.level == "telescope" else "events"
    rows = [*_thrown_rows(method, predictions)]
    production, valid = np.asarray(predictions["production"]), np.asarray(predictions["is_valid"])
    names = productions_of(method.paths)
    for path, name, digest in zip(method.paths, names, method.file_fingerprints, strict=True):
        own = valid[production == name]
        detail = f"{method.task} by {method.prefix}; {int((~own).sum())} {what} without a valid prediction"
        if method.energy and "reco_energy" in predictions.colnames:
            detail += f"; energies by {method.energy}"
        rows.append(("prediction", Path(path).name, digest, len(own), int(own.sum()), detail))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _thrown_rows(method: Method, predictions: QTable) -> list[tuple]:
    try:
        thrown = count_thrown([Path(path) for path in method.paths])
    except UserError as error:
        return [("thrown", "", "", pd.NA, pd.NA, f"not known: {error}")]
    names = {number: name for name, number in PARTICLES.items()}
    keys = pd.DataFrame({name: np.asarray(predictions[name]) for name in (*PRODUCTION_EVENT, PRIMARY)})
    events = keys.drop_duplicates()[PRIMARY].value_counts()
    return [
        thrown_row(names.get(primary, str(primary)), n, int(events.get(primary, 0))) for primary, n in thrown.items()
    ]
