"""DL1 files merged into fewer, and stripped, with ctapipe's own merger.

Within one file an event is known by its observation and event number alone. So files merge only where this stays
unique: never two particles, two arrays or two runs of the same number in one file.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cherenkov_pipeline.dl1.contents import describe, with_events
from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData
from cherenkov_pipeline.dl1.settings import common_settings, read_settings, write_settings
from cherenkov_pipeline.dl1.written import incomplete, start_activity, written_completely
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan, FileSet
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint

type Record = Mapping[str, Any]


def plan_merge(file_set: FileSet, parameters: DL1Parameters) -> FilePlan:
    """Plan the merging of DL1 files into ``parameters.merge_into`` files.

    Parameters
    ----------
    file_set : FileSet
        DL1 files with the records of `cherenkov_pipeline.dl1.contents.describe`. Files without an image are left
        out.
    parameters : DL1Parameters

    Returns
    -------
    FilePlan
        With ``merge_into`` null, all files are kept as they are. Records are those of `plan_dl1`, with the ``inputs``
        of all the sources.

    Raises
    ------
    UserError
        If there is no image at all, the files cannot be merged into so few, or were made with different settings.
    """
    from ctapipe import __version__ as ctapipe_version

    records = with_events(file_set).records
    plan_fingerprint = fingerprint(
        "merged", file_set.fingerprint, parameters.merge_into, parameters.keep, ctapipe_version, code_fingerprint("dl1")
    )
    if parameters.merge_into is None:
        return FilePlan(plan_fingerprint, jobs=(), kept=records, description="merge")
    common_settings({record["path"]: record.get("dl1_settings") for record in records})
    groups = _mergeable_groups(records)
    shares = _shares([sum(record["n_images"] for record in group) for group in groups.values()], parameters.merge_into)
    if parameters.merge_into < len(groups):
        raise UserError(
            f"{len(records)} DL1 files cannot be merged into {parameters.merge_into}, {'; '.join(groups)} must stay "
            f"apart: set dl1.merge_into to {len(groups)} or more, or to null."
        )
    jobs = []
    for (label, group), share in zip(groups.items(), shares, strict=True):
        for sources in _distribute(group, share, label):
            name = f"{label.replace(' ', '_').replace(',', '')}_{len(jobs):04d}.dl1.h5"
            jobs.append(FileJob(name, partial(merge_files, sources=sources, keep=parameters.keep)))
    return FilePlan(plan_fingerprint, jobs, description="merge", n_workers=parameters.n_workers)


def merge_files(path: Path, sources: Sequence[Record], keep: KeptData) -> dict[str, Any]:
    """Merge DL1 files into one and give its record.

    Raises
    ------
    UserError
        If ctapipe finds them incompatible, or an event got lost.
    """
    copy_stripped(path, [record["path"] for record in sources], keep)
    merged = describe(path)
    for count in ("n_events", "n_images"):
        if merged[count] != sum(record[count] for record in sources):
            raise incomplete(path)
    inputs = [item for record in sources for item in record.get("inputs", [_as_input(record)])]
    return {**merged, "inputs": inputs, "truncated": any(item["problem"] for item in inputs)}


def copy_stripped(path: Path, sources: Sequence[str], keep: KeptData) -> None:
    """Copy DL1 files into one, without what is not kept.

    ctapipe's merger leaves out how the files were made; it is written again if it is known of all of them.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    sources : sequence of str
    keep : KeptData

    Raises
    ------
    UserError
        If ctapipe finds them incompatible, they were made with different settings, or a column is stored in one as it
        is and in another as scaled integers: ctapipe's merger would mix the two.
    """
    from ctapipe.io.hdf5merger import CannotMerge

    from cherenkov_pipeline.hdf5 import HDF5Merger

    settings = common_settings({source: read_settings(source) for source in sources})
    _check_encodings(sources)
    start_activity()
    merger = HDF5Merger(
        path,
        dl1_images=keep.images,
        dl1_parameters=keep.parameters,
        r0_waveforms=False,
        r1_waveforms=keep.waveforms,
        true_images=keep.true_images and keep.images,
        true_parameters=keep.true_images and keep.parameters,
    )
    with written_completely(path):
        with merger:
            for source in sources:
                try:
                    merger(source)
                except CannotMerge as error:
                    raise UserError(f"{source} cannot be merged: {error}") from error
        write_settings(path, settings)


def levels_to_strip(levels: Sequence[str], keep: KeptData) -> list[str]:
    """Tell which data levels of a file (see `describe`) are not kept."""
    kept = {
        "images": keep.images,
        "image_masks": keep.images,
        "parameters": keep.parameters,
        "waveforms": keep.waveforms,
        "true_images": keep.true_images and keep.images,
        "true_parameters": keep.true_images and keep.parameters,
    }
    return [level for level in levels if not kept[level]]


def _mergeable_groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group records by what must not be mixed in a file, under a name that tells them apart."""
    arrays = list(dict.fromkeys(record["array"] for record in records))
    groups: dict[str, list[Record]] = {}
    for record in records:
        label = " ".join(record["particles"]) or "observed"
        if len(arrays) > 1:
            label += f" array {arrays.index(record['array']) + 1}"
        if record["particles"] and record["n_thrown"] is None:
            # effective areas need the thrown showers of the whole file
            label += " of unknown number"
        groups.setdefault(label, []).append(record)
    return groups


def _shares(weights: Sequence[int], total: int) -> list[int]:
    """Share ``total`` files between groups: one each, the rest where files would be largest."""
    shares = [1] * len(weights)
    for _ in range(total - len(weights)):
        largest = max(range(len(weights)), key=lambda index: weights[index] / shares[index])
        shares[largest] += 1
    return shares


def _distribute(records: Sequence[Record], n_files: int, label: str) -> list[list[Record]]:
    """Distribute records over at most ``n_files`` files of similar size, no run number twice in one."""
    files: list[list[Record]] = [[] for _ in range(min(n_files, len(records)))]
    for record in sorted(records, key=lambda record: -record["n_images"]):
        free = [file for file in files if not any(set(record["obs_ids"]) & set(other["obs_ids"]) for other in file)]
        if not free:
            taken = {run for file in files for other in file for run in other["obs_ids"]}
            raise UserError(
                f"{len(records)} files of {label} cannot be merged into {len(files)}, events of run "
                f"{min(taken & set(record['obs_ids']))} would be fused: set dl1.merge_into higher, or to null."
            )
        min(free, key=lambda file: sum(other["n_images"] for other in file)).append(record)
    order = {id(record): index for index, record in enumerate(records)}
    return [sorted(file, key=lambda record: order[id(record)]) for file in files if file]


def _check_encodings(sources: Sequence[str]) -> None:
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for source in sources:
        for column, encoding in _encodings(source).items():
            first, expected = known.setdefault(column, (source, encoding))
            if encoding != expected:
                raise UserError(
                    f"{source} and {first} cannot be merged, the column {column[1]} is stored differently ({encoding}; "
                    f"{expected}): set dl1.merge_into to null, or make them again with the same DataWriter options."
                )


def _encodings(path: str) -> dict[tuple[str, str], str]:
    """How images and waveforms are stored: (node, column) -> type, and scale and offset of integers."""
    from ctapipe.io.hdf5dataformat import DL1_TEL_IMAGES_GROUP, R1_TEL_GROUP
    from ctapipe.io.hdf5tableio import get_column_attrs

    from cherenkov_pipeline.hdf5 import tables

    with tables.open_file(path) as file:
        return {
            (table._v_pathname, name): _encoding(column)
            for group in (DL1_TEL_IMAGES_GROUP, R1_TEL_GROUP)
            if group in file.root
            for table in file.root[group]._f_iter_nodes("Table")
            for name, column in get_column_attrs(table).items()
        }


def _encoding(column: Mapping[str, Any]) -> str:
    text = str(column["DTYPE"].base)
    if "TRANSFORM_SCALE" in column:
        text += f" of scale {column['TRANSFORM_SCALE']:g} and offset {column['TRANSFORM_OFFSET']:g}"
    return text


def _as_input(record: Record) -> dict[str, Any]:
    """Describe a file that was made from no other (simulated here) as an input."""
    known = {name: record[name] for name in ("path", "size", "fingerprint", "n_events", "n_images")}
    return {**known, "kind": "dl1", "problem": None}
