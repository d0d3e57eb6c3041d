"""Nodes of the reconstruction."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FilePlan, FileSet
from cherenkov_pipeline.pipelines.flow import DataFrame, Drawing, Figure, QTable, SavedModel, TrainedModel
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters

logger = logging.getLogger(__name__)


def find_further_models(
    reconstruction: ReconstructionParameters, saved: dict[str, Path], mlflow_run: str | None
) -> dict[str, str]:
    """Find the models that the user wants besides: path by name."""
    from cherenkov_pipeline.pipelines.references import named_models

    found = named_models(None, reconstruction.models, saved, mlflow_run)
    return {name: str(path) for name, (_, path) in found.items()}


def list_inputs(
    input_path: str | None, point_source: FileSet, dl1: DL1Parameters, further: dict[str, str], *models: SavedModel
) -> list[dict[str, Any]]:
    """List the files to reconstruct: the user's, or the simulated point source; they must fit the models."""
    from cherenkov_pipeline.dl1.inputs import find_inputs, inputs_of
    from cherenkov_pipeline.reconstruction.validity import check_conversion

    if not input_path and not len(point_source):
        raise UserError(
            "There is no simulated point source yet: kedro run --pipeline=simulation, or give --params=input_path=..."
        )
    found = find_inputs(input_path) if input_path else inputs_of(point_source)
    if any(item.kind == "simtel" for item in found):
        for model in (*models, *_load(further).values()):
            check_conversion(model.card, dl1)
            model.load()  # a network that cannot be built is told before the conversion, which may take hours
    return [asdict(item) for item in found]


def plan_reconstruction(
    dl1_files: FileSet,
    selection: SelectionParameters,
    reconstruction: ReconstructionParameters,
    further: dict[str, str],
    *models: TrainedModel,
) -> FilePlan:
    """Plan a DL2 file for each DL1 file with an image, with the predictions of all models."""
    from cherenkov_pipeline.dl1.contents import with_events
    from cherenkov_pipeline.reconstruction.dl2 import plan_dl2

    return plan_dl2(with_events(dl1_files), models, selection, reconstruction, _load(further))


def _load(paths: dict[str, str]) -> dict[str, SavedModel]:
    from cherenkov_pipeline.models.on_disk import SavedModel

    return {name: SavedModel(path) for name, path in paths.items()}


def gather_events(dl2_files: FileSet) -> QTable:
    """Gather the predictions of all DL2 files in one table: of events where there is a stereo model, else of images."""
    from cherenkov_pipeline.reconstruction.read import read_predictions

    has_stereo = any(record.get("stereo_models") for record in dl2_files.records)
    return read_predictions(dl2_files, level="subarray" if has_stereo else None)


def draw_energies(events: QTable) -> Figure:
    """Draw reconstructed against true energies of gammas."""
    from cherenkov_pipeline.performance.plots.energy import true_against_reco
    from cherenkov_pipeline.performance.report.reconstruction import judged_gammas

    return true_against_reco(events[judged_gammas(events)])


def compare_with_training(dl2_files: FileSet, reconstruction: ReconstructionParameters) -> QTable:
    """Tabulate how the images compare with the models' training data, and warn where they differ."""
    from cherenkov_pipeline.reconstruction.drift import describe_drift, drift_table

    records = [record for file in dl2_files.records for record in file.get("drift", ())]
    table = drift_table(records, reconstruction.drift)
    if text := describe_drift(table):
        logger.warning("%s", text)
    return table


def tabulate_provenance(
    inputs: list[dict[str, Any]], dl1_files: FileSet, dl2_files: FileSet, drift: QTable
) -> DataFrame:
    """Tabulate where the predictions come from, with counts in and out at every step."""
    from cherenkov_pipeline.reconstruction.provenance import reconstruction_provenance

    return reconstruction_provenance(inputs, dl1_files, dl2_files, drift)


def write_report(
    events: QTable,
    provenance: DataFrame,
    drift: QTable,
    figure: Drawing,
    dl2_files: FileSet,
    further: dict[str, str],
    *models: TrainedModel,
) -> str:
    """Write the report of the reconstruction."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.models.on_disk import read_card
    from cherenkov_pipeline.performance.report.reconstruction import reconstruction_report
    from cherenkov_pipeline.performance.report.render import render_report

    cards = {f"Model, {model.card.task}": model.card for model in models}
    for name, path in further.items():
        card = read_card(path)
        cards[f"Further, {name}, {card.task}"] = card
    facts = {label: f"{card.name}, {card.created:%Y-%m-%d %H:%M} UTC" for label, card in cards.items()}
    facts["DL2 files"] = ", ".join(str(path) for path in dl2_files.paths)
    return render_report(reconstruction_report(events, facts, provenance, figure, datetime.now(UTC), drift))
