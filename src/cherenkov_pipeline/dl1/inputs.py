"""Raw input: a file, a folder or a pattern becomes a list of files whose content is known."""

import glob
import logging
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.fingerprints import fingerprint_file

logger = logging.getLogger(__name__)

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

Kind = Literal["simtel", "dl1"]


class UnusableDL1Error(UserError):
    """A damaged HDF5 file, or one of ctapipe that DL1 cannot be taken from."""


@dataclass(frozen=True)
class RawInput:
    """A file that DL1 can be made from.

    Attributes
    ----------
    path : str
    kind : str
        ``"simtel"`` (sim_telarray, compressed or not) or ``"dl1"`` (ctapipe's HDF5 with DL1 data in it).
    size : int
        In bytes.
    fingerprint : str
        Of the content.
    """

    path: str
    kind: Kind
    size: int
    fingerprint: str


def find_inputs(raw_path: str | Path) -> list[RawInput]:
    """Find the simtel and DL1 files that ``raw_path`` stands for.

    Parameters
    ----------
    raw_path : str or pathlib.Path
        A file, a folder (searched with its subfolders; what is no file of showers is passed over, with a warning,
        but not a damaged one) or a pattern such as ``runs/gamma_*.simtel.zst``.

    Returns
    -------
    list of RawInput
        Sorted by path.

    Raises
    ------
    UserError
        If nothing is there, a named file is of no use, a file of showers is damaged, or two files have the same
        content, which would let the same events stand in training and test.
    """
    paths = list_paths(raw_path)
    folder = Path(raw_path).expanduser()
    kinds = _kinds_in_folder(folder, paths) if folder.is_dir() else {path: classify(path) for path in paths}
    inputs = _raw_inputs(kinds)
    _refuse_copies(inputs)
    return inputs


def list_paths(raw_path: str | Path, name: str = "raw_path", kind: str = "simtel or DL1") -> list[Path]:
    """List the files that ``raw_path`` stands for, without looking into them.

    Parameters
    ----------
    raw_path : str or pathlib.Path
        A file, a folder or a pattern.
    name, kind : str
        Parameter that it comes from, and what it should hold, for the messages.

    Raises
    ------
    UserError
        If there is none.
    """
    try:
        path = Path(raw_path).expanduser().absolute()
    except RuntimeError as error:  # the home of somebody who is not there
        raise UserError(f"{raw_path}: {error} Correct {name}.") from error
    if path.is_dir():
        paths = list(_visible_files(path))
        if not paths:
            raise UserError(f"{raw_path} is empty: set {name} to {kind} files.")
    elif path.exists():
        paths = [path]
    elif glob.has_magic(str(path)):
        pattern = path.relative_to(path.anchor)
        try:
            paths = [found for found in sorted(Path(path.anchor).glob(str(pattern))) if found.is_file()]
        except ValueError as error:
            raise UserError(f"{raw_path} is no pattern ({error}): correct {name}.") from error
        if not paths:
            raise UserError(f"No file matches {raw_path}: correct {name}.")
    else:
        raise UserError(f"{raw_path} does not exist: set {name} to a {kind} file, a folder or a pattern.")
    return paths


def inputs_of(file_set: FileSet) -> list[RawInput]:
    """Take the DL1 files of an earlier step (simulated here) as inputs."""
    return [RawInput(record["path"], "dl1", record["size"], record["fingerprint"]) for record in file_set.records]


def classify(path: Path) -> Kind:
    """Tell from its content what a file is.

    Raises
    ------
    UserError
        If it is neither simtel nor a DL1 file that the installed ctapipe reads; the message says why.
    """
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: make it again or take it out.")
    with path.open("rb") as stream:
        is_hdf5 = stream.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    if is_hdf5:
        _check_dl1(path)
        return "dl1"
    _check_simtel(path)
    return "simtel"


def _kinds_in_folder(folder: Path, paths: Sequence[Path]) -> dict[Path, Kind]:
    kinds: dict[Path, Kind] = {}
    passed_over = []
    for path in paths:
        try:
            kinds[path] = classify(path)
        except UserError as error:
            # a damaged file of showers must not disappear among the notes and logs
            if ".simtel" in path.suffixes or isinstance(error, UnusableDL1Error):
                raise
            passed_over.append(path.name)
    if not kinds:
        raise UserError(f"{folder} holds only {_some(passed_over)}: set raw_path to simtel or DL1 files.")
    if passed_over:
        logger.warning("Neither simtel nor DL1, passed over in %s: %s", folder, _some(passed_over))
    return kinds


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _raw_inputs(kinds: Mapping[Path, Kind]) -> list[RawInput]:
    # threads: hashing a file leaves the others a core, and a slow disk, to work with
    with ThreadPoolExecutor() as pool:
        fingerprints = pool.map(fingerprint_file, kinds)
        return [
            RawInput(str(path), kind, path.stat().st_size, found)
            for (path, kind), found in zip(kinds.items(), fingerprints, strict=True)
        ]


def _refuse_copies(inputs: Sequence[RawInput]) -> None:
    first_with: dict[str, str] = {}
    for item in inputs:
        other = first_with.setdefault(item.fingerprint, item.path)
        if other != item.path:
            raise UserError(f"{other} and {item.path} have the same content: take one of them out.")


def _check_simtel(path: Path) -> None:
    from eventio.file_types import is_eventio
    from zstandard import ZstdError

    try:
        if is_eventio(path):
            return
    except (EOFError, OSError, zlib.error, ZstdError) as error:
        raise UserError(f"{path} cannot be decompressed ({error}): copy it again or take it out.") from error
    raise UserError(f"{path} is neither simtel nor DL1 HDF5 (or cut off at its beginning): take it out.")


def _check_dl1(path: Path) -> None:
    # not by PyTables, which unpickles attributes: until this is known to be ctapipe's file, it may be anybody's
    import h5py
    from ctapipe.io.hdf5dataformat import DL1_SUBARRAY_TRIGGER_TABLE, DL1_TEL_IMAGES_GROUP, DL1_TEL_PARAMETERS_GROUP
    from ctapipe.io.hdf5eventsource import COMPATIBLE_DATA_MODEL_VERSIONS

    def rows(name: str) -> int:
        """Rows of a table, or of all tables in a group."""
        node = file.get(name)
        tables = node.values() if isinstance(node, h5py.Group) else [node]
        return sum(table.size or 0 for table in tables if isinstance(table, h5py.Dataset) and table.dtype.names)

    try:
        with h5py.File(path) as file:
            version, levels = (
                _text(file.attrs.get(f"CTA PRODUCT DATA {name}")) for name in ("MODEL VERSION", "LEVELS")
            )
            has_images = rows(DL1_TEL_IMAGES_GROUP) + rows(DL1_TEL_PARAMETERS_GROUP) > 0
            has_events = rows(DL1_SUBARRAY_TRIGGER_TABLE) > 0
    except (OSError, RuntimeError, KeyError) as error:
        raise UnusableDL1Error(f"{path} is a damaged HDF5 file: make it again or take it out.") from error
    if not re.fullmatch(r"v[\d.]+", version):
        raise UserError(f"{path} is HDF5, but not in ctapipe's data model: make DL1 with ctapipe-process.")
    if version not in COMPATIBLE_DATA_MODEL_VERSIONS:
        known = f"{COMPATIBLE_DATA_MODEL_VERSIONS[0]} to {COMPATIBLE_DATA_MODEL_VERSIONS[-1]}"
        raise UnusableDL1Error(f"{path} has ctapipe's data model {version}, not {known}: make it with a newer ctapipe.")
    # where nothing triggered, ctapipe makes no table of events or images, but says that they would be DL1
    if has_images != has_events or not (has_images or "DL1" in levels):
        raise UnusableDL1Error(
            f"{path} holds no DL1 images or parameters of telescopes: make it with ctapipe-process or take it out."
        )


def _text(attribute: object) -> str:
    """Text of an attribute, which PyTables writes as bytes; empty if there is none."""
    return attribute.decode(errors="replace") if isinstance(attribute, bytes) else str(attribute or "")
