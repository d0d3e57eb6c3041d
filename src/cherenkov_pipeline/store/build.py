"""DL1 files to an event store: a part for each file and telescope type."""

import functools
import logging
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
from cherenkov_pipeline.dl1.contents import IMAGE, PRIMARY, production_of
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import require_selected, select, sum_counts
from cherenkov_pipeline.dl1.settings import common_settings, read_settings
from cherenkov_pipeline.dl1.written import written_completely
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan, FileSet
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint, fingerprint_file
from cherenkov_pipeline.spectra import THROWN
from cherenkov_pipeline.store.account import distinct_names, samples, sum_cuts
from cherenkov_pipeline.store.chunks import DL1Images, cameras, open_images
from cherenkov_pipeline.store.layout import LAYOUT_VERSION
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import SplitParameters, StoreParameters
from cherenkov_pipeline.store.part import open_part
from cherenkov_pipeline.store.split import run_ids, shower_ids, split_codes
from cherenkov_pipeline.store.writer import StoreWriter

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A DL1 file that goes into a store.

    Attributes
    ----------
    path : str
    production : str
        Its name without suffixes.
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
        One job for each file and telescope type with images in it; records as `build_part` returns them. A job's
        fingerprint covers its own file, the pixel order, selection and split: files that are added leave the parts
        of the others as they are.

    Raises
    ------
    UserError
        If there are no files, a file has no images or image parameters, cameras of one telescope type differ, or files
        were cleaned or calibrated differently.
    """
    sources = _sources(dl1_files)
    common_settings({source.path: read_settings(source.path) for source in sources})
    by_type = _by_telescope_type(sources, dl1_files.records)
    labels = _labels({telescope_type: found[0][1].name for telescope_type, found in by_type.items()})
    names = dict(zip(sources, distinct_names([asdict(source) for source in sources]), strict=True))
    jobs = []
    for telescope_type, found in by_type.items():
        reference = found[0][1]
        for source, camera in found:
            identity = fingerprint(
                asdict(source) | {"path": ""},
                telescope_type,
                camera_fingerprint(reference),
                selection,
                parameters.split,
                LAYOUT_VERSION,
                code_fingerprint("dl1", "store", "spectra"),
            )
            function = functools.partial(
                build_part,
                source=source,
                telescope_type=telescope_type,
                camera=reference,
                order=_pixel_order(reference, camera, found[0][0].path, source.path),
                selection=selection,
                parameters=parameters,
                identity=identity,
            )
            jobs.append(FileJob(f"{labels[telescope_type]}_{names[source]}.store.h5", function, identity))
    return FilePlan(
        fingerprint([(job.name, job.fingerprint) for job in jobs]),
        jobs,
        description="event store",
        n_workers=parameters.n_workers,
        check=require_images,
    )


def build_part(
    path: Path,
    source: Source,
    telescope_type: str,
    camera: "CameraGeometry",
    order: np.ndarray | None,
    selection: SelectionParameters,
    parameters: StoreParameters,
    identity: str,
) -> dict[str, Any]:
    """Write the images of one telescope type in one DL1 file, in slices.

    The tables are read first, so that the number of images is known before the first one is read.

    Parameters
    ----------
    path : path-like
        File to write.
    source : Source
    telescope_type : str
    camera : ctapipe.instrument.CameraGeometry
        In the pixel order of the store.
    order : ndarray or None
        (n_pixels,) the file's pixels in the order of the store; None where they are in it.
    selection : SelectionParameters
    parameters : StoreParameters
    identity : str
        Fingerprint that the part carries.

    Returns
    -------
    dict
        ``telescope_type``, ``camera``, ``camera_fingerprint``, ``n_pixels``, ``n_images`` (may be 0); ``inputs``: the
        one file with ``n_read`` = ``n_cut`` + ``n_selected`` and ``thrown``, see
        `cherenkov_pipeline.dl1.thrown.thrown_spectra`; ``cuts``: ``n_in`` = ``n_cut`` + ``n_out`` of each cut;
        ``samples``: images and showers of each particle on each side of the split; ``selection``, ``split``,
        ``dl1_settings``, ``versions``. The part's ``provenance`` is the same.

    Raises
    ------
    UserError
        If the DL1 file cannot be read, or the part does not hold what was written.
    OSError
        With ``errno.ENOSPC``, if writing failed and the disk is full.
    """
    from cherenkov_pipeline.dl1.thrown import thrown_spectra

    with (
        written_completely(path, read_back=_verify),
        StoreWriter(path) as writer,
        open_images(source.path, telescope_type) as images,
    ):
        slices, counts = [], []
        for table in images.tables():
            mask, slice_counts = select(table, selection)
            counts = [sum_counts([*counts, slice_counts])]
            writer.append_events(_labelled(table[mask], source.production, parameters.split))
            slices.append((table[[*IMAGE]], mask))
        if not slices:
            raise UserError(f"{source.path} has images of {telescope_type} without parameters: make it with both.")
        for keys, mask in slices:
            _append_pixels(writer, images, keys, mask, order, parameters.chunk_size)
        n_read = sum(len(mask) for _, mask in slices)
        counted = {"n_read": n_read, "n_cut": n_read - writer.n_images, "n_selected": writer.n_images}
        made = {THROWN: thrown_spectra([Path(source.path)])}
        record = {
            "telescope_type": telescope_type,
            "camera": camera.name,
            "camera_fingerprint": camera_fingerprint(camera),
            "n_pixels": int(camera.n_pixels),
            "n_images": writer.n_images,
            "inputs": [{**asdict(source), **counted, **made, "pixels_reordered": order is not None}],
            "cuts": _rows(counts[0]),
            "samples": samples(*(writer.read_back(name) for name in (PRIMARY, "split", "shower"))),
            "selection": selection.model_dump(mode="json"),
            "split": parameters.split.model_dump(mode="json"),
            "dl1_settings": read_settings(source.path),
            "versions": _versions(),
        }
        writer.finish(identity, telescope_type, camera, images.telescopes, record)
    return record


def require_images(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse parts without a single image; tell of telescope types of which none is left.

    Parameters
    ----------
    records : sequence of dict
        Of all parts.

    Raises
    ------
    UserError
        Naming the cut that removed the last images.
    """
    problems = []
    for telescope_type in dict.fromkeys(record["telescope_type"] for record in records):
        cuts = sum_cuts([record["cuts"] for record in records if record["telescope_type"] == telescope_type])
        try:
            require_selected(Table(rows=cuts))
        except UserError as error:
            problems.append(f"{telescope_type}: {error}")
    if not any(record["n_images"] for record in records):
        raise UserError(" ".join(problems))
    for problem in problems:
        logger.warning("%s There will be no store of it.", problem)


def _verify(path: Path) -> None:
    open_part(path).verify()


def _labelled(table: Table, production: str, split: SplitParameters) -> Table:
    table["shower"] = shower_ids(table, production)
    groups = np.asarray(table["shower"]) if split.by == "shower" else run_ids(table)
    table["split"] = split_codes(groups, split)
    return table


def _append_pixels(
    writer: StoreWriter, images: DL1Images, keys: Table, mask: np.ndarray, order: np.ndarray | None, n_rows: int
) -> None:
    for start in range(0, len(mask), n_rows):
        rows = slice(start, start + n_rows)
        pixels = [values[mask[rows]] for values in images.read(keys[rows])]
        writer.append_pixels(pack(*(values if order is None else values[:, order] for values in pixels)))


def _sources(dl1_files: FileSet) -> list[Source]:
    if not len(dl1_files):
        raise UserError("There are no DL1 files to make an event store from: simulate or convert some first.")
    return [
        Source(
            str(path),
            production_of(path),
            record.get("fingerprint") or fingerprint_file(path),
        )
        for path, record in zip(dl1_files.paths, dl1_files.records, strict=True)
    ]


def _by_telescope_type(
    sources: Sequence[Source], records: Sequence[Mapping[str, Any]]
) -> "dict[str, list[tuple[Source, CameraGeometry]]]":
    """Files of each telescope type that has images in them, with their cameras."""
    by_type: dict[str, list[tuple[Source, CameraGeometry]]] = {}
    known: dict[tuple[str, str], CameraGeometry] = {}
    for source, record in zip(sources, records, strict=True):
        for telescope_type, camera in _cameras(source, record, known).items():
            by_type.setdefault(telescope_type, []).append((source, camera))
    if not by_type:
        raise UserError(f"There is no image in any of the {len(sources)} DL1 files: give files with events.")
    return by_type


def _cameras(
    source: Source, record: Mapping[str, Any], known: "dict[tuple[str, str], CameraGeometry]"
) -> "dict[str, CameraGeometry]":
    """Cameras of a file; it is not opened where its record tells of cameras that were seen before."""
    told = {(name, one["geometry"]): name for name, one in record.get("telescope_types", {}).items() if one["n_images"]}
    if told and told.keys() <= known.keys() and {"images", "image_masks", "parameters"} <= set(record["levels"]):
        return {name: known[key] for key, name in told.items()}
    found = cameras(source.path)
    known.update({(name, camera_fingerprint(camera)): camera for name, camera in found.items()})
    return found


def _pixel_order(
    reference: "CameraGeometry", camera: "CameraGeometry", reference_path: str, path: str
) -> np.ndarray | None:
    """Pixels of ``camera`` in the reference's order; None if they have it already."""
    if camera is reference or camera_fingerprint(reference) == camera_fingerprint(camera):
        return None
    try:
        return pixel_order(reference, camera)
    except UserError as error:
        raise UserError(f"{path} does not fit {reference_path}. {error}") from None


def _labels(camera_names: Mapping[str, str]) -> dict[str, str]:
    """Telescope type -> beginning of file names: the camera's name, the type's where two have cameras of one name."""
    used = list(camera_names.values())
    return {
        telescope_type: (name if used.count(name) == 1 else telescope_type).replace("/", "_")
        for telescope_type, name in camera_names.items()
    }


def _rows(counts: Table) -> list[dict[str, Any]]:
    return [{name: np.asarray(row[name]).item() for name in counts.colnames} for row in counts]


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("ctapipe", "h5py", "numpy")}
    return {"cherenkov_pipeline": __version__, "python": platform.python_version(), **packages}
