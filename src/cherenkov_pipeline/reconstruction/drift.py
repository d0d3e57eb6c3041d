"""Whether new data look like a model's training data: noise and shape of the images, given their intensities.

What is compared with what (see `cherenkov_pipeline.models.reference` for how):

- simulated images with training images of the same particle, whatever the model's task: protons do not make the check
  of a model of gammas' energies fire;
- observed images with training images of protons, as nearly all are hadrons;
- where there is no such reference, only level and noise of the dark pixels, which hardly depend on the particle.

The distance of two distributions is the largest difference of their cumulated shares at the training data's deciles
(Kolmogorov-Smirnov). The same population has a distance near 0 however many images there are, so that a limit on the
distance, beyond what chance does, tells what matters.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.dl1.contents import EVENT, PRIMARY, particle_name
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.card import Reference
from cherenkov_pipeline.models.reference import count_images
from cherenkov_pipeline.models.saved import TrainedModel, fitting_camera
from cherenkov_pipeline.reconstruction.parameters import DriftParameters
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.quantities import LABELS, OF_PIXELS, given_quantities, image_quantities
from cherenkov_pipeline.tasks import get_task

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

OBSERVED = "observed"
"""Data without a true particle."""

CHANCE = 1.95
"""Times the root of 1/n + 1/m: the distance that two samples of one population exceed once in a thousand times."""

COLUMNS = {
    "telescope_type": "U64",
    "tasks": "U128",
    "data": "U32",
    "reference": "U32",
    "quantity": "U32",
    "n_images": int,
    "n_events": int,
    "distance": float,
    "chance": float,
    "median_at": float,
    "drifted": bool,
}

Record = dict[str, Any]


@dataclass
class _Compared:
    """Images of one kind of data that were compared with one reference."""

    reference: Reference
    names: tuple[str, ...]
    tasks: list[str]
    counts: dict[str, np.ndarray]
    n_images: int = 0
    n_events: int = 0


class DriftCounter:
    """Counts the images of a file between the deciles of the training data.

    Parameters
    ----------
    models : sequence of TrainedModel
        Those whose card has no references, as cards written before have none, are left out. Of several models of one
        task for a camera the first one counts.
    """

    def __init__(self, models: Sequence[TrainedModel]):
        self._models = models
        self._references: dict[str, list[tuple[tuple[Reference, ...], list[str]]]] = {}
        self._compared: dict[tuple[str, str, int], _Compared] = {}

    def add(self, telescope_type: str, camera: "CameraGeometry", chunk: EventChunk, selected: np.ndarray) -> None:
        """Count the selected images, (n,) bool, of a chunk of whole events of one telescope type."""
        if telescope_type not in self._references:
            self._references[telescope_type] = _references(self._models, camera)
        references = self._references[telescope_type]
        if not references or not selected.any():
            return
        images = chunk[selected]
        quantities, given = image_quantities(images), given_quantities(images.table)
        primaries = np.asarray(images.table[PRIMARY])
        for primary in np.unique(primaries):
            rows = primaries == primary
            data = OBSERVED if primary < 0 else particle_name(int(primary))
            events = np.stack([np.asarray(images.table[name])[rows] for name in EVENT])
            own = {name: values[rows] for name, values in quantities.items()}
            for number, (known, tasks) in enumerate(references):
                found = self._compared.setdefault((telescope_type, data, number), _compare(known, data, tasks))
                for name, counts in count_images(found.reference, given[rows], own).items():
                    if name in found.names:
                        found.counts[name] = found.counts.get(name, 0) + counts
                found.n_images += int(rows.sum())
                found.n_events += np.unique(events, axis=1).shape[1]

    def record(self) -> list[Record]:
        """Give the counts as plain values, for the record of the file and `drift_table`."""
        return [
            {
                "telescope_type": telescope_type,
                "tasks": found.tasks,
                "data": data,
                "reference": found.reference.particle,
                "n_reference": found.reference.n_images,
                "n_images": found.n_images,
                "n_events": found.n_events,
                "counts": {name: counts.tolist() for name, counts in found.counts.items()},
                "shares": {name: list(found.reference.shares[name]) for name in found.counts},
            }
            for (telescope_type, data, _), found in self._compared.items()
        ]


def _references(
    models: Sequence[TrainedModel], camera: "CameraGeometry"
) -> list[tuple[tuple[Reference, ...], list[str]]]:
    """Find the references of a camera's images and the tasks whose models have them; equal ones are there once."""
    found: list[tuple[tuple[Reference, ...], list[str]]] = []
    seen: set[str] = set()
    for trained in models:
        try:
            number, _ = fitting_camera(trained, camera)
        except UserError:
            continue
        name = trained.card.cameras[number].telescope_type
        own = tuple(one for one in trained.card.references if one.telescope_type == name)
        tasks = [task.name for task in get_task(trained.card.task).members if task.name not in seen]
        seen |= set(tasks)
        same = [others for known, others in found if known == own]
        if same:
            same[0].extend(tasks)
        elif own and tasks:
            found.append((own, tasks))
    return found


def _compare(references: Sequence[Reference], data: str, tasks: list[str]) -> _Compared:
    by_particle = {one.particle: one for one in references}
    wanted = "proton" if data == OBSERVED else data
    reference = by_particle.get(wanted, references[0])
    names = tuple(reference.shares) if wanted in by_particle else OF_PIXELS
    return _Compared(reference, names, tasks, {})


def drift_table(records: Sequence[Record], parameters: DriftParameters) -> QTable:
    """Judge the counts of some files together.

    Parameters
    ----------
    records : sequence of dict
        As `DriftCounter.record` gives them, those of all files one after the other.
    parameters : DriftParameters

    Returns
    -------
    QTable
        One row a telescope type, group of tasks, particle and quantity: ``telescope_type``, ``tasks`` (joined by a
        comma), ``data`` (the particle, or `OBSERVED`), ``reference`` (particle of the training images), ``quantity``,
        ``n_images``, ``n_events``, ``distance``, ``chance`` (distance that chance hardly exceeds), ``median_at`` (the
        quantile of the training data where the median of the new data lies) and ``drifted``.
    """
    joined: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        joined[record["telescope_type"], ", ".join(record["tasks"]), record["data"], record["reference"]].append(record)
    rows = []
    for key, parts in joined.items():
        n_images, n_events = (sum(part[name] for part in parts) for name in ("n_images", "n_events"))
        chance = CHANCE * np.sqrt(1 / n_events + 1 / parts[0]["n_reference"])
        for name in dict.fromkeys(name for part in parts for name in part["counts"]):
            counts = np.sum([part["counts"][name] for part in parts if name in part["counts"]], axis=0)
            distance, median_at = _distance(counts, np.asarray(parts[0]["shares"][name]))
            enough = n_events >= parameters.minimum_events
            drifted = bool(enough and distance > max(parameters.limit, chance))
            rows.append((*key, name, n_images, n_events, distance, chance, median_at, drifted))
    names, types = list(COLUMNS), list(COLUMNS.values())
    table = QTable(rows=rows, names=names, dtype=types) if rows else QTable(names=names, dtype=types)
    table.meta.update(limit=parameters.limit, minimum_events=parameters.minimum_events)
    return table


def _distance(counts: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """Distance of counts from the expected shares, and the expected quantile at their median."""
    if not counts.sum():
        return 0.0, np.nan
    found, expected = (np.concatenate([[0], np.cumsum(values / values.sum())]) for values in (counts, shares))
    return float(np.abs(found - expected).max()), float(np.interp(0.5, found, expected))


def describe_drift(table: QTable) -> str | None:
    """Say in one table of text which quantities differ; None where none does."""
    drifted = table[np.asarray(table["drifted"])]
    if not len(drifted):
        return None
    lines = [
        "The images do not look like the training data of the same intensities (distance beyond "
        f"{table.meta['limit']:g} of at most 1). Predictions may be biased and their errors wrong:",
        f"{'data':12}{'quantity':32}{'distance':>9}  {'median at quantile':20}{'images':>9}  models of",
    ]
    for row in drifted:
        place = f"{row['median_at']:.2f} ({'larger' if row['median_at'] > 0.5 else 'smaller'})"
        lines.append(
            f"{row['data']:12}{LABELS.get(row['quantity'], row['quantity']):32}{row['distance']:9.2f}  {place:20}"
            f"{row['n_images']:9,}  {row['tasks']}"
        )
    return "\n".join(lines)


def drift_summary(table: QTable) -> list[Mapping[str, Any]]:
    """Sum up each comparison in a sentence: ``data``, ``n_images`` and ``text``."""
    found = []
    for key in dict.fromkeys(zip(table["telescope_type"], table["tasks"], table["data"], strict=True)):
        rows = table[[tuple(row[name] for name in ("telescope_type", "tasks", "data")) == key for row in table]]
        text = f"{key[2]} images of {key[0]} against {rows['reference'][0]}s of the training, models of {key[1]}: "
        drifted = rows[np.asarray(rows["drifted"])]
        if len(drifted):
            named = (f"{LABELS.get(row['quantity'], row['quantity'])} ({row['distance']:.2f})" for row in drifted)
            text += f"differs in {', '.join(named)}"
        elif rows["n_events"][0] < table.meta["minimum_events"]:
            text += f"fewer than {table.meta['minimum_events']} events, not judged"
        else:
            text += f"none of {len(rows)} quantities differs, the largest distance is {max(rows['distance']):.2f}"
        found.append({"data": str(key[2]), "n_images": int(rows["n_images"][0]), "text": text})
    return found
