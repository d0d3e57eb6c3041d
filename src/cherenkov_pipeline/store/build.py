"""DL1 files to event stores, one a telescope type."""

import functools
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from cherenkov_pipeline import __version__
from cherenkov_pipeline.dl1.cameras import camera_fingerprint, pixel_order
from cherenkov_pipeline.dl1.contents import particle_name
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import require_selected, select, sum_counts
from cherenkov_pipeline.dl1.written import written_completely
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import FileJob, FilePlan, FileSet, fingerprint, fingerprint_file
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.store.chunks import PRIMARY, EventChunk, cameras, iter_chunks
from cherenkov_pipeline.store.events import EventStore
from cherenkov_pipeline.store.layout import LAYOUT_VERSION
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import SplitParameters, StoreParameters
from cherenkov_pipeline.store.split import SPLITS, shower_ids, split_codes
from cherenkov_pipeline.store.writer import StoreWriter

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry


@dataclass(frozen=True)
class Source:
    """A DL1 file that goes into a store.

    Attributes
    ----------
    path : str
    production : str
        Its name in the store, which tells events of equal numbers in different files apart.
    fingerprint : str
        Of its content.
    """

    path: str
    production: str
    fingerprint: str


def plan_store(dl1_files: FileSet, selection: SelectionParameters, parameters: StoreParameters) -> FilePlan:
    """Plan the event stores of a set of DL1 files.

    Parameters
    ----------
    dl1_files : FileSet
    selection : SelectionParameters
        Images that are used.
    parameters : StoreParameters

    Returns
    -------
    FilePlan
        One job a telescope type; records as `build_store` returns them.

    Raises
    ------
    UserError
        If there are no files, a file has no images or image parameters, or cameras of one telescope type differ.
    """
    sources = _sources(dl1_files)
    by_type = _by_telescope_type(sources)
    identity = fingerprint(
        [asdict(source) | {"path": ""} for source in sources],
        selection,
        parameters.split,
        LAYOUT_VERSION,
        code_fingerprint("dl1", "store"),
    )
    names = _file_names({telescope_type: camera.name for telescope_type, (camera, _) in by_type.items()})
    jobs = [
        FileJob(
            names[telescope_type],
            functools.partial(
                build_store,
                sources=found,
                telescope_type=telescope_type,
                selection=selection,
                parameters=parameters,
                identity=fingerprint(identity, telescope_type),
            ),
        )
        for telescope_type, (_, found) in by_type.items()
    ]
    return FilePlan(identity, jobs, description="event store", n_workers=parameters.n_workers)


def build_store(
    path: Path,
    sources: Sequence[Source],
    telescope_type: str,
    selection: SelectionParameters,
    parameters: StoreParameters,
    identity: str,
) -> dict[str, Any]:
    """Write the store of one telescope type, in chunks.

    Parameters
    ----------
    path : path-like
        File to write.
    sources : sequence of Source
        DL1 files with images of this type. The first one's pixel order is the store's.
    telescope_type : str
    selection : SelectionParameters
    parameters : StoreParameters
    identity : str
        Fingerprint that the store carries.

    Returns
    -------
    dict
        ``telescope_type``, ``camera``, ``camera_fingerprint``, ``n_pixels``, ``n_images``; ``inputs``: per file
        ``n_read`` = ``n_cut`` + ``n_selected``; ``cuts``: ``n_in`` = ``n_cut`` + ``n_out`` of each cut over all files;
        ``samples``: images and showers of each particle on each side of the split; ``selection``, ``split``,
        ``versions``. The store's ``provenance`` is the same.

    Raises
    ------
    UserError
        If no image passes the selection, or the file does not hold what was written.
    OSError
        With ``errno.ENOSPC``, if writing failed and the disk is full.
    """
    camera = cameras(sources[0].path)[telescope_type]
    inputs, counts = [], []
    with written_completely(path, read_back=_verify), StoreWriter(path) as writer:
        for code, source in enumerate(sources):
            order = _pixel_order(camera, cameras(source.path)[telescope_type])
            n_read, n_before = 0, writer.n_images
            for chunk in iter_chunks(source.path, telescope_type, parameters.chunk_size):
                mask, chunk_counts = select(chunk.table, selection)
                counts = [sum_counts([*counts, chunk_counts])]
                n_read += len(chunk)
                if mask.any():
                    _append(writer, chunk[mask], order, source.production, code, parameters.split)
            n_selected = writer.n_images - n_before
            inputs.append(
                {
                    **asdict(source),
                    "n_read": n_read,
                    "n_cut": n_read - n_selected,
                    "n_selected": n_selected,
                    "pixels_reordered": order is not None,
                }
            )
        _require_images(counts, telescope_type)
        record = {
            "telescope_type": telescope_type,
            "camera": camera.name,
            "camera_fingerprint": camera_fingerprint(camera),
            "n_pixels": int(camera.n_pixels),
            "n_images": writer.n_images,
            "inputs": inputs,
            "cuts": _rows(counts[0]),
            "samples": _samples(writer.read_back(PRIMARY), writer.read_back("split"), writer.read_back("shower")),
            "selection": selection.model_dump(mode="json"),
            "split": parameters.split.model_dump(mode="json"),
            "versions": _versions(),
        }
        writer.finish(identity, telescope_type, camera, [source.production for source in sources], record)
    return record


def _verify(path: Path) -> None:
    EventStore(path).verify()


def _append(
    writer: StoreWriter,
    chunk: EventChunk,
    order: np.ndarray | None,
    production: str,
    code: int,
    split: SplitParameters,
) -> None:
    if order is not None:
        chunk = chunk.reorder_pixels(order)
    table = chunk.table
    table["production"] = np.full(len(table), code, dtype=np.int32)
    table["shower"] = shower_ids(table, production)
    table["split"] = split_codes(np.asarray(table["shower"]), split)
    writer.append(table, pack(chunk.image, chunk.peak_time, chunk.image_mask))


def _sources(dl1_files: FileSet) -> list[Source]:
    if not len(dl1_files):
        raise UserError("There are no DL1 files to make an event store from: simulate or convert some first.")
    found = [
        (
            str(path),
            path.name.removesuffix(".h5").removesuffix(".dl1"),
            record.get("fingerprint") or fingerprint_file(path),
        )
        for path, record in zip(dl1_files.paths, dl1_files.records, strict=True)
    ]
    names = [name for _, name, _ in found]
    return [
        Source(path, name if names.count(name) == 1 else f"{name}-{digest[:8]}", digest) for path, name, digest in found
    ]


def _by_telescope_type(sources: Sequence[Source]) -> "dict[str, tuple[CameraGeometry, list[Source]]]":
    """First camera and files of each telescope type that has images; all cameras of a type must fit together."""
    by_type: dict[str, tuple[CameraGeometry, list[Source]]] = {}
    for source in sources:
        for telescope_type, camera in cameras(source.path).items():
            first, found = by_type.setdefault(telescope_type, (camera, []))
            _pixel_order(first, camera, found[0].path if found else "", source.path)
            found.append(source)
    if not by_type:
        raise UserError(f"There is no image in any of the {len(sources)} DL1 files: give files with events.")
    return by_type


def _pixel_order(
    reference: "CameraGeometry", camera: "CameraGeometry", reference_path: str = "", path: str = ""
) -> np.ndarray | None:
    """Pixels of ``camera`` in the reference's order; None if they have it already."""
    if camera_fingerprint(reference) == camera_fingerprint(camera):
        return None
    try:
        return pixel_order(reference, camera)
    except UserError as error:
        raise UserError(f"{path} does not fit {reference_path}. {error}") from None


def _file_names(camera_names: Mapping[str, str]) -> dict[str, str]:
    """Telescope type -> file name: the camera's, or the type's where two types have a camera of the same name."""
    used = list(camera_names.values())
    return {
        telescope_type: f"{name if used.count(name) == 1 else telescope_type}.store.h5".replace("/", "_")
        for telescope_type, name in camera_names.items()
    }


def _require_images(counts: Sequence[Table], telescope_type: str) -> None:
    if not counts:
        raise UserError(f"There is no image of {telescope_type} in the DL1 files.")
    try:
        require_selected(counts[0])
    except UserError as error:
        raise UserError(f"{telescope_type}: {error}") from None


def _rows(counts: Table) -> list[dict[str, Any]]:
    return [{name: np.asarray(row[name]).item() for name in counts.colnames} for row in counts]


def _samples(primary: np.ndarray, split: np.ndarray, shower: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "particle": "unknown" if number < 0 else particle_name(int(number)),
            "split": side,
            "n_images": int(chosen.sum()),
            "n_showers": len(np.unique(shower[chosen])),
        }
        for number in np.unique(primary)
        for code, side in enumerate(SPLITS)
        for chosen in [(primary == number) & (split == code)]
    ]


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("ctapipe", "h5py", "numpy")}
    return {"cherenkov_pipeline": __version__, "python": platform.python_version(), **packages}
