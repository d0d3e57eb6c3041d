"""Figures in three formats: PNG, PDF and SVG."""

import base64
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import ImagePreview

from cherenkov_pipeline.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWING = ".svg"


class FigureDataset(AbstractVersionedDataset["Figure", str]):
    """A figure as PNG, and as PDF and SVG beside it; loaded, it is the SVG, as reports take it.

    Parameters
    ----------
    filepath : str
        Of the PNG, by which a version is known: it is written last.
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> str:
        """Read the SVG."""
        return Path(self._get_load_path()).with_suffix(DRAWING).read_text(encoding="utf-8")

    def save(self, figure: "Figure") -> None:
        """Write the three files, each atomically."""
        from cherenkov_pipeline.performance.plots.formats import FORMATS, write_figure

        for suffix in FORMATS:
            with atomic_path(Path(self._get_save_path()).with_suffix(suffix)) as part:
                write_figure(figure, part, suffix)
            figure.set_layout_engine("none")  # what was laid out once is not computed again, and shifts by no point

    def preview(self) -> ImagePreview:
        """Give the PNG, for kedro-viz."""
        return ImagePreview(base64.b64encode(Path(self._get_load_path()).read_bytes()).decode())

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


class FiguresDataset(AbstractVersionedDataset[Mapping[str, "Figure"], dict[str, str]]):
    """Figures by name in one folder, each as `FigureDataset` has it.

    Parameters
    ----------
    filepath : str
        Of the folder.
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Read the SVGs."""
        paths = sorted(Path(self._get_load_path()).glob(f"*{DRAWING}"))
        return {path.stem: path.read_text(encoding="utf-8") for path in paths}

    def save(self, figures: "Mapping[str, Figure]") -> None:
        """Write the folder, atomically."""
        with atomic_path(Path(self._get_save_path())) as part:
            for name, figure in figures.items():
                FigureDataset(filepath=str(part / f"{name}.png")).save(figure)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
