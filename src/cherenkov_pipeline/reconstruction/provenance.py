"""Where predictions come from: one table, from the raw files to the valid predictions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.dl1.provenance import COLUMNS, provenance_table
from cherenkov_pipeline.file_plans import FileSet

if TYPE_CHECKING:
    from astropy.table import QTable
    from pandas import DataFrame


def reconstruction_provenance(
    raw_files: Sequence[Mapping[str, Any]], dl1_files: FileSet, dl2_files: FileSet, drift: "QTable | None" = None
) -> "DataFrame":
    """Tabulate inputs and counts of every step.

    Parameters
    ----------
    raw_files : sequence of dict
        The inputs (`cherenkov_pipeline.dl1.inputs.RawInput` as dict).
    dl1_files, dl2_files : FileSet
        Made from them.
    drift : QTable, optional
        How the images compare with the training data, `cherenkov_pipeline.reconstruction.drift.drift_table`.

    Returns
    -------
    pandas.DataFrame
        As `cherenkov_pipeline.dl1.provenance.provenance_table`, with a row ``prediction`` for each DL2 file and task:
        ``n_in`` images, or events of stereo models, ``n_out`` valid predictions; and a row ``drift check`` for each
        comparison with training data: the images that were predicted.
    """
    from pandas import DataFrame, concat

    rows = [row for record in dl2_files.records for row in _rows(record)]
    if drift is not None:
        from cherenkov_pipeline.reconstruction.drift import drift_summary

        rows += [
            ("drift check", found["data"], dl2_files.fingerprint, found["n_images"], found["n_images"], found["text"])
            for found in drift_summary(drift)
        ]
    return concat([provenance_table(raw_files, dl1_files), DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)


def _rows(record: Mapping[str, Any]) -> Iterator[tuple]:
    for made in (record, *record.get("further", {}).values()):
        models = made["models"] | {f"{task}, stereo": name for task, name in made.get("stereo_models", {}).items()}
        stereo = {f"{task}, stereo": counts for task, counts in made.get("stereo_tasks", {}).items()}
        for task, counts in {**made["tasks"], **stereo}.items():
            reasons = [f"{number} {reason}" for reason, number in counts["reasons"].items()]
            if counts["n_outside_validity"]:
                reasons.append(f"{counts['n_outside_validity']} at zenith angles that the model was not trained for")
            detail = "; ".join([f"{task} by {models[task]}", *reasons])
            n_read = counts["n_valid"] + counts["n_invalid"]
            yield ("prediction", Path(record["path"]).name, record["fingerprint"], n_read, counts["n_valid"], detail)
