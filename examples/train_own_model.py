"""Train a model of your own, then give its backbone a new head: the tutorial of ``docs/own-models.md``, to run.

It needs the files of one event store, which ``kedro run --pipeline=data_processing`` makes; ``--help`` says more.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cherenkov_pipeline.models.export import export_onnx
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, save_model
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training import TrainingParameters
from cherenkov_pipeline.training.task import train_task

OWN = Path(__file__).with_name("own_model.py")
INPUTS = {
    "channels": ["cleaned_log_image", "cleaned_relative_peak_time"],
    "mapping": "axial",
    "parameters": ["log_hillas_intensity", "hillas_width", "hillas_length"],
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="+", type=Path, help="files of an event store, of one telescope type")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("own_models"), help="for the models")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train_both(EventStore(arguments.store), arguments.folder, arguments.epochs)


def train_both(
    store: EventStore,
    folder: Path,
    epochs: int,
    inputs: Mapping[str, Any] | None = None,
    filters: Sequence[int] = (16, 32),
) -> tuple[TrainedModel, TrainedModel]:
    """Train the backbone on energies, then a new head on it, for the particle type.

    Parameters
    ----------
    store : EventStore
    folder : Path
        For the models and the states of the trainings.
    epochs : int
        Of each training.
    inputs : mapping, optional
        What the models see. Default: `INPUTS`.
    filters : sequence of int
        Of the backbone.

    Returns
    -------
    energy, particle : TrainedModel
    """
    seen = InputParameters.model_validate(inputs or INPUTS)
    training = TrainingParameters(epochs=epochs)
    model = ModelParameters(
        name=f"{OWN}:my_backbone",
        options={"filters": list(filters)},
        head={"name": f"{OWN}:my_head", "options": {"units": 32}},
    )
    energy = save_model(train_task(store, "energy", model, seen, training, folder / "states"), folder / "energy.keras")

    # the first convolution stays as it is, the rest of the backbone learns slowly, the head is new
    pretrained = {
        "path": str(folder / "energy.keras"),
        "prefixes": ["backbone_"],
        "freeze": ["backbone_convolution_1"],
        "learning_rate_factors": {"backbone_": 0.1},
    }
    model = ModelParameters(name=model.name, options=model.options, pretrained=pretrained)
    particle = save_model(train_task(store, "type", model, seen, training, folder / "states"), folder / "type.keras")
    for trained in (energy, particle):
        export_onnx(trained.model, folder / f"{trained.card.task}.onnx", trained.card)
    return energy, particle


if __name__ == "__main__":
    main()
