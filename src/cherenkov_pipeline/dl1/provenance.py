"""Where the events of a store come from: one table, from the raw files to the split."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cherenkov_pipeline.file_plans import FileSet

if TYPE_CHECKING:
    from pandas import DataFrame

type Record = Mapping[str, Any]

COLUMNS = ("step", "item", "fingerprint", "n_in", "n_out", "detail")


class HasProvenance(Protocol):
    """An event store, as far as its provenance is concerned."""

    fingerprint: str
    provenance: Record


def provenance_table(
    raw_files: Sequence[Record],
    converted_files: FileSet,
    dl1_files: FileSet | None = None,
    stores: Mapping[str, HasProvenance] | None = None,
) -> "DataFrame":
    """Tabulate inputs, cuts and counts of every step.

    Parameters
    ----------
    raw_files : sequence of dict
        The inputs (`cherenkov_pipeline.dl1.inputs.RawInput` as dict).
    converted_files : FileSet
        Made from them by `cherenkov_pipeline.dl1.convert.plan_dl1`: one of each, also of those without an image.
    dl1_files : FileSet, optional
        Made from these by `cherenkov_pipeline.dl1.merge.plan_merge`. Default: the converted files.
    stores : dict of EventStore, optional
        Made from the DL1 files.

    Returns
    -------
    pandas.DataFrame
        Columns ``step`` (``thrown``, ``raw file``, ``DL1 file``, ``store input``, ``cut`` or ``split``), ``item``,
        ``fingerprint``, ``n_in`` and ``n_out`` (images; of what was thrown: uses of showers, and events), ``detail``.
    """
    from pandas import DataFrame

    dl1_records = (converted_files if dl1_files is None else dl1_files).records
    rows = [
        *_thrown_rows(converted_files.records),
        *_raw_rows(raw_files, _inputs(converted_files.records), _inputs(dl1_records)),
        *_dl1_rows(dl1_records),
    ]
    for name, store in (stores or {}).items():
        rows += _store_rows(Path(name).name, store)
    return DataFrame(rows, columns=list(COLUMNS))


def _inputs(records: Sequence[Record]) -> dict[str, Record]:
    return {item["fingerprint"]: item for record in records for item in record["inputs"]}


def thrown_row(particle: str, n_thrown: int, n_events: int) -> tuple:
    """Make the row of what was thrown of a particle, and of what triggered."""
    return ("thrown", particle, "", n_thrown, n_events, f"{n_thrown - n_events} uses of showers in no event")


def _thrown_rows(records: Sequence[Record]) -> Iterator[tuple]:
    """Sum the files that have the same particles, of those that tell."""
    counts: dict[str, Counter] = {}
    for record in records:
        if record["n_thrown"] is not None:
            count = counts.setdefault(", ".join(record["particles"]) or "no event", Counter())
            count.update(thrown=record["n_thrown"], events=record["n_events"])
    for particles, count in counts.items():
        yield thrown_row(particles, count["thrown"], count["events"])


def _raw_rows(
    raw_files: Sequence[Record], converted: Mapping[str, Record], used: Mapping[str, Record]
) -> Iterator[tuple]:
    for raw in raw_files:
        item = converted[raw["fingerprint"]]
        n_events, n_images = item["n_events"], item["n_images"]
        detail = [raw["kind"], f"{raw['size'] / 1e6:.1f} MB"]
        if item["problem"]:
            detail.append(f"ends early ({item['problem']}), its {n_events} readable events are kept")
        if raw["fingerprint"] not in used:
            detail.append(f"no image in {n_events} events: left out")
        yield ("raw file", Path(raw["path"]).name, raw["fingerprint"], n_images, n_images, "; ".join(detail))


def _dl1_rows(records: Sequence[Record]) -> Iterator[tuple]:
    for record in records:
        n_read = sum(item["n_images"] for item in record["inputs"])
        particles = ", ".join(f"{n} {name} events" for name, n in record["particles"].items())
        types = ", ".join(f"{one['n_images']} images of {name}" for name, one in record["telescope_types"].items())
        thrown = "how many showers were thrown is not known" if particles and record["n_thrown"] is None else ""
        sources = f"from {_names(record['inputs'])}"
        detail = "; ".join(filter(None, (particles or f"{record['n_events']} events", thrown, types, sources)))
        yield ("DL1 file", Path(record["path"]).name, record["fingerprint"], n_read, record["n_images"], detail)


def _names(inputs: Sequence[Record]) -> str:
    first = Path(inputs[0]["path"]).name
    return first if len(inputs) == 1 else f"{first} and {len(inputs) - 1} more"


def _store_rows(name: str, store: HasProvenance) -> Iterator[tuple]:
    provenance = store.provenance
    for item in provenance["inputs"]:
        detail = f"{name}; pixel order mapped to the store's" if item["pixels_reordered"] else name
        yield ("store input", item["production"], item["fingerprint"], item["n_read"], item["n_selected"], detail)
    for cut in provenance["cuts"]:
        detail = f"{name}; {cut['condition']}" if cut["condition"] else name
        yield ("cut", cut["cut"], store.fingerprint, cut["n_in"], cut["n_out"], detail)
    for sample in provenance["samples"]:
        item, n = f"{sample['particle']} {sample['split']}", sample["n_images"]
        yield ("split", item, store.fingerprint, n, n, f"{name}; {sample['n_showers']} showers")
