"""What a store's provenance tells of several parts together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.contents import PRIMARY, particle_name
from cherenkov_pipeline.dl1.settings import common_settings, join_versions
from cherenkov_pipeline.store.split import SPLITS

type Record = Mapping[str, Any]


def merge_provenance(records: Sequence[Record], columns: Callable[[Sequence[str]], Table]) -> dict[str, Any]:
    """Give parts one account.

    Parameters
    ----------
    records : sequence of dict
        Provenance of the parts, as `cherenkov_pipeline.store.build.build_part` writes it.
    columns : callable
        Gives the named columns of all images: a shower may be in several parts.

    Returns
    -------
    dict
        As that of a part: counts are added, ``inputs`` are in the order of the parts, with names that differ.
    """
    inputs = [item for record in records for item in record["inputs"]]
    table = columns([PRIMARY, "split", "shower"])
    return {
        **records[0],
        "n_images": sum(record["n_images"] for record in records),
        "inputs": [{**item, "production": name} for item, name in zip(inputs, distinct_names(inputs), strict=True)],
        "cuts": sum_cuts([record["cuts"] for record in records]),
        "samples": samples(*(np.asarray(table[name]) for name in table.colnames)),
        "dl1_settings": common_settings({record["inputs"][0]["path"]: record["dl1_settings"] for record in records}),
        "versions": join_versions([record["versions"] for record in records]),
    }


def distinct_names(inputs: Sequence[Record]) -> list[str]:
    """Names of DL1 files, each with the beginning of its fingerprint where names are equal."""
    names = [item["production"] for item in inputs]
    return [
        name if names.count(name) == 1 else f"{name}-{item['fingerprint'][:8]}"
        for name, item in zip(names, inputs, strict=True)
    ]


def sum_cuts(cuts: Sequence[Sequence[Record]]) -> list[dict[str, Any]]:
    """Add the counts of several parts that were cut alike."""
    return [
        {**rows[0], **{name: sum(row[name] for row in rows) for name in ("n_in", "n_cut", "n_out")}}
        for rows in zip(*cuts, strict=True)
    ]


def samples(primary: np.ndarray, split: np.ndarray, shower: np.ndarray) -> list[dict[str, Any]]:
    """Count images and showers of each particle on each side of the split.

    Parameters
    ----------
    primary, split, shower : ndarray
        (n,) columns ``true_shower_primary_id``, ``split``, ``shower``.

    Returns
    -------
    list of dict
        ``particle``, ``split``, ``n_images``, ``n_showers``.
    """
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
