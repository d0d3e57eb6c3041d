"""Keras models with their cards."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

if TYPE_CHECKING:
    from cherenkov_pipeline.models.on_disk import SavedModel
    from cherenkov_pipeline.models.saved import TrainedModel


class TrainedModelDataset(AbstractVersionedDataset["TrainedModel", "SavedModel"]):
    """One ``.keras`` file with the model's card and history beside it.

    Keras is imported when a model is saved, or more of a loaded one is asked for than its card.

    Parameters
    ----------
    filepath : str
        Ends in ``.keras``.
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "SavedModel":
        """Read the model's card; the network is built when it is asked for, and its file never unpickled."""
        from cherenkov_pipeline.models.on_disk import SavedModel

        return SavedModel(Path(self._get_load_path()))

    def save(self, model: "TrainedModel") -> None:
        """Write model, card and history, atomically."""
        from cherenkov_pipeline.models.saved import save_model

        save_model(model, Path(self._get_save_path()))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
