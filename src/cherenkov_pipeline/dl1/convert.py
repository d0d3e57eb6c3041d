"""Simtel files, and DL1 files made by others, become DL1 files with what was asked for in them.

Reading, calibration and cleaning are ctapipe's own components, parametrisation and writing faster ones with the same
results, in the order of ctapipe-process. A DL1 file that already has what is wanted stays where it is; one that has too
much is copied without it.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.image_processing import camera_calibrator, image_processor
from cherenkov_pipeline.dl1.inputs import RawInput
from cherenkov_pipeline.dl1.merge import copy_stripped, levels_to_strip
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.settings import context_metadata, make_settings, read_settings
from cherenkov_pipeline.dl1.telescopes import wanted_telescopes
from cherenkov_pipeline.dl1.thrown import limit_showers
from cherenkov_pipeline.dl1.written import incomplete, start_activity, written_completely
from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint

if TYPE_CHECKING:
    from ctapipe.containers import ArrayEventContainer
    from ctapipe.instrument import SubarrayDescription
    from ctapipe.io import EventSource

logger = logging.getLogger(__name__)

# what eventio and ctapipe say, as a warning, when a simtel file ends early
TRUNCATION_MESSAGES = ("File seems to be truncated", "Might be truncated", "Error in _read_next_object")


def plan_dl1(inputs: Sequence[RawInput], parameters: DL1Parameters) -> FilePlan:
    """Plan one DL1 file for each input.

    Parameters
    ----------
    inputs : sequence of RawInput
    parameters : DL1Parameters

    Returns
    -------
    FilePlan
        DL1 inputs that hold what is wanted, and nothing else, are kept where they are. The fingerprint of a job is that
        of its own input and the parameters: inputs that are added leave the others' files as they are. Each record is
        that of `cherenkov_pipeline.dl1.contents.describe` with ``truncated`` and ``inputs``: path, kind, size,
        fingerprint, ``n_events`` and ``n_images`` that were read, and the ``problem`` that ended reading early, or
        None.

    Raises
    ------
    UserError
        If a DL1 input lacks something that is wanted and cannot be computed, or that ctapipe needs to read its events
        one by one.
    """
    names = _output_names(inputs)
    identities = [_identity(item, parameters) for item in inputs]
    jobs, kept = [], []
    for item, name, identity in zip(inputs, names, identities, strict=True):
        contents = _check_dl1_input(item, parameters) if item.kind == "dl1" else None
        if contents is None or _needs_reading(item, contents, parameters):
            if contents:
                _check_readable(item, contents)
            jobs.append(FileJob(name, partial(process_file, item=item, parameters=parameters), identity))
        elif levels_to_strip(contents["levels"], parameters.keep):
            jobs.append(FileJob(name, partial(_strip_file, item=item, parameters=parameters), identity))
        else:
            kept.append({**_unprocessed_record(item, contents), "path": item.path, "fingerprint": item.fingerprint})
    return FilePlan(
        fingerprint=fingerprint("dl1", list(zip(names, identities, strict=True))),
        jobs=jobs,
        kept=kept,
        description="DL1",
        n_workers=parameters.n_workers,
    )


def _identity(item: RawInput, parameters: DL1Parameters) -> str:
    """Fingerprint of all that the DL1 file of an input depends on."""
    from ctapipe import __version__ as ctapipe_version

    return fingerprint(
        "dl1",
        item.fingerprint,
        parameters.model_dump(mode="json", exclude={"n_workers", "merge_into"}),
        ctapipe_version,
        code_fingerprint("dl1"),
    )


def process_file(path: Path, item: RawInput, parameters: DL1Parameters) -> dict[str, Any]:
    """Process one simtel or DL1 file with ctapipe.

    Images of a DL1 file that have parameters keep them, and their cleaning: selecting telescopes changes no value.
    ctapipe writes true parameters only with the images.

    Parameters
    ----------
    path : pathlib.Path
        DL1 file to write.
    item : RawInput
    parameters : DL1Parameters

    Returns
    -------
    dict
        Record of the file, see `plan_dl1`.

    Raises
    ------
    UserError
        If the file cannot be opened, ends early while ``on_truncated`` is ``"fail"``, or has none of the
        wanted telescopes.
    """
    with written_completely(path):
        with _open_source(item, parameters) as source, _reading_problems(item.path) as reading:
            _write_dl1(path, source, reading, item, parameters)
            last_shower = _last_shower(source)
        if reading.problem is not None and last_shower is not None:
            limit_showers(path, last_shower)
    if reading.problem is not None:
        found = f"{item.path} ends early ({reading.problem}) after {reading.n_events} readable events"
        if parameters.on_truncated == "fail":
            raise UserError(f"{found}: copy it again, take it out, or set dl1.on_truncated to keep.")
        logger.warning("%s: these are kept.", found)
    contents = describe(path)
    if (contents["n_events"], contents["n_images"]) != (reading.n_events, reading.n_images):
        raise incomplete(path)
    return _record(item, contents, reading.n_events, reading.n_images, reading.problem)


def _strip_file(path: Path, item: RawInput, parameters: DL1Parameters) -> dict[str, Any]:
    """Copy a DL1 file without what is not wanted."""
    copy_stripped(path, [item.path], parameters.keep)
    return _unprocessed_record(item, describe(path))


def _unprocessed_record(item: RawInput, contents: dict[str, Any]) -> dict[str, Any]:
    return _record(item, contents, contents["n_events"], contents["n_images"], problem=None)


def _record(
    item: RawInput, contents: dict[str, Any], n_events: int, n_images: int, problem: str | None
) -> dict[str, Any]:
    return {
        **contents,
        "inputs": [{**asdict(item), "n_events": n_events, "n_images": n_images, "problem": problem}],
        "truncated": problem is not None,
    }


@dataclass
class _Reading:
    """What came out of a source so far."""

    path: str
    n_events: int = 0
    n_images: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def problem(self) -> str | None:
        return self.errors[0] if self.errors else None

    def events(self, source: "EventSource") -> Iterator["ArrayEventContainer"]:
        """Give the events that can be read."""
        events = iter(source)
        while True:
            # eventio's parsers fail in all ways on damaged bytes; only reading is forgiven, never processing or writing
            try:
                event = next(events)
            except StopIteration:
                return
            except MemoryError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise TemporaryError(f"{self.path} cannot be read now ({error.strerror}): run again.") from error
                self.errors.append(str(error))
                return
            self.n_events += 1
            self.n_images += len(event.r1.tel) or len(event.dl1.tel)
            yield event


@contextmanager
def _reading_problems(path: str) -> Iterator[_Reading]:
    """Collect what eventio and ctapipe only warn about; other warnings go their way."""
    reading = _Reading(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield reading
    for warning in caught:
        text = str(warning.message)
        if any(message in text for message in TRUNCATION_MESSAGES):
            reading.errors.append(text)
        elif "eventio file has no histograms" not in text:  # the record says it: n_thrown is None
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def _open_source(item: RawInput, parameters: DL1Parameters) -> Iterator["EventSource"]:
    allowed_tels = None
    if parameters.telescope_types or parameters.telescope_ids:
        with _source(item, parameters) as source:
            allowed_tels = set(_wanted_telescopes(source.subarray, item, parameters))
    with _source(item, parameters, allowed_tels) as source:
        yield source


def _source(item: RawInput, parameters: DL1Parameters, allowed_tels: set[int] | None = None) -> "EventSource":
    from ctapipe.io import SimTelEventSource

    from cherenkov_pipeline.hdf5 import HDF5EventSource

    source_class = SimTelEventSource if item.kind == "simtel" else HDF5EventSource
    try:
        return source_class(item.path, focal_length_choice=parameters.focal_length_choice, allowed_tels=allowed_tels)
    except (StopIteration, EOFError) as error:
        raise UserError(f"{item.path} ends before its first event: copy it again or take it out.") from error
    except Exception as error:  # as in _Reading.events
        reason = str(error).partition("\n")[0]
        hint = " Set dl1.focal_length_choice to EQUIVALENT." if "focal length" in reason else ""
        raise UserError(f"{item.path} cannot be opened: {reason}.{hint}") from error


def _last_shower(source: "EventSource") -> int | None:
    """Tell the number of the last shower that was read, seen by a telescope or not; they count from 1."""
    shower = getattr(getattr(source, "file_", None), "current_mc_shower", None)
    return None if shower is None else int(shower["shower"])


def _wanted_telescopes(subarray: "SubarrayDescription", item: RawInput, parameters: DL1Parameters) -> list[int]:
    return wanted_telescopes(subarray, parameters.telescope_types, parameters.telescope_ids, item.path)


def _write_dl1(path: Path, source: "EventSource", reading: _Reading, item: RawInput, parameters: DL1Parameters) -> None:
    from ctapipe.io import write_table
    from ctapipe.io.hdf5dataformat import DL1_IMAGE_STATISTICS_TABLE
    from traitlets.config import Config

    from cherenkov_pipeline.dl1.bulk import BulkDataWriter

    start_activity()
    keep = parameters.keep
    calibrate = camera_calibrator(source.subarray, parameters)
    process = image_processor(source.subarray, parameters)
    written = {
        "output_path": path,
        "write_dl1_images": keep.images,
        "write_dl1_parameters": keep.parameters,
        "write_r1_waveforms": keep.waveforms,
    }
    cleaned = item.kind == "simtel"
    with BulkDataWriter(source, config=Config(DataWriter=written)) as write:
        for event in reading.events(source):
            if not event.dl1.tel:
                calibrate(event)
            if not _has_parameters(event, parameters):
                process(event)
                cleaned = True
            if not keep.true_images:
                for camera in event.simulation.tel.values() if event.simulation else ():
                    camera.true_image = None
            write(event)
        write.write_simulated_shower_distributions(source.simulated_shower_distributions)
        write.context_metadata = context_metadata(_settings(item, parameters, cleaned))
    write_table(process.check_image.to_table(functions=True), path, DL1_IMAGE_STATISTICS_TABLE)


def _settings(item: RawInput, parameters: DL1Parameters, cleaned: bool) -> dict[str, Any] | None:
    """Tell how the result is made; of a DL1 input, what is not done again stays as it was."""
    if item.kind == "simtel":
        return make_settings(parameters, calibrated=True)
    before = read_settings(item.path)
    if not cleaned:
        return before
    return {**make_settings(parameters, calibrated=False), "calibration": before["calibration"] if before else None}


def _has_parameters(event: "ArrayEventContainer", parameters: DL1Parameters) -> bool:
    return all(
        camera.parameters is not None and (camera.image_mask is not None or not parameters.keep.images)
        for camera in event.dl1.tel.values()
    )


def _check_dl1_input(item: RawInput, parameters: DL1Parameters) -> dict[str, Any]:
    contents = describe(item.path)
    if not contents["n_images"]:
        return contents
    if parameters.keep.images and "images" not in contents["levels"]:
        raise UserError(f"{item.path} holds no images: set dl1.keep.images to false or give a file with them.")
    if parameters.keep.parameters and not {"images", "parameters"} & set(contents["levels"]):
        raise UserError(f"{item.path} holds neither image parameters nor images to compute them from.")
    return contents


def _check_readable(item: RawInput, contents: dict[str, Any]) -> None:
    """Refuse what ctapipe's event source stumbles over: simulated images or parameters without the true ones."""
    levels = contents["levels"]
    for level in ("images", "parameters"):
        if contents["particles"] and level in levels and f"true_{level}" not in levels:
            raise UserError(
                f"{item.path} holds no true {level}, so ctapipe cannot read its events one by one: make it again with "
                "them and with image parameters, or choose telescopes by selection.telescope_ids instead of dl1."
            )


def _needs_reading(item: RawInput, contents: dict[str, Any], parameters: DL1Parameters) -> bool:
    """Tell whether a DL1 input must go through ctapipe event by event."""
    from cherenkov_pipeline.hdf5 import read_subarray

    if not contents["n_images"]:
        return False
    # ctapipe writes the cleaning masks only together with the parameters
    needed = {"parameters", "image_masks"} if parameters.keep.images else {"parameters"}
    if parameters.keep.parameters and not needed <= set(contents["levels"]):
        return True
    if not (parameters.telescope_types or parameters.telescope_ids):
        return False
    subarray = read_subarray(item.path)
    return len(_wanted_telescopes(subarray, item, parameters)) < len(subarray)


def _output_names(inputs: Sequence[RawInput]) -> list[str]:
    """Name the outputs after the inputs; equal names get the beginning of the fingerprint."""
    stems = [_stem(Path(item.path).name) for item in inputs]
    return [
        f"{stem}.dl1.h5" if stems.count(stem) == 1 else f"{stem}-{item.fingerprint[:8]}.dl1.h5"
        for stem, item in zip(stems, inputs, strict=True)
    ]


def _stem(name: str) -> str:
    for suffix in (".gz", ".zst", ".h5", ".hdf5", ".simtel", ".dl1", ".dl2", ".DL1", ".DL2"):
        name = name.removesuffix(suffix)
    return name
