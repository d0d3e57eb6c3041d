"""Sets of large files, versioned by the fingerprint of what they were made from."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, Version
from kedro_datasets._typing import TablePreview

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import MANIFEST, FileJob, FilePlan, FileSet, missing_files, read_file_set, run_plan
from cherenkov_pipeline.files import write_json

LATEST = "latest.json"


class FileSetDataset(AbstractDataset[FilePlan, FileSet]):
    """Files in ``filepath/<fingerprint>/``, made from a plan when they are saved.

    Saving a `~cherenkov_pipeline.file_plans.FilePlan` makes the files that do not exist yet, so that a plan with the
    same inputs and parameters costs nothing, and an interrupted one goes on. Of a plan that has grown only the new
    files are made, the others are taken over from the earlier version. Loading returns a
    `~cherenkov_pipeline.file_plans.FileSet`: of the fingerprint given as load version, or of what this dataset saved,
    or of the latest one.

    Parameters
    ----------
    filepath : str
        Folder of all versions.
    version : kedro.io.Version, optional
        Only its ``load`` part counts: a fingerprint. Kedro hands it over for ``versioned: true``.
    optional : bool
        Whether nothing saved means an empty set, not an error.
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ):
        self._folder = Path(filepath)
        self._version = version
        self._saved: str | None = None
        self.optional = optional
        self.metadata = metadata

    @property
    def folder(self) -> Path:
        """Folder of the version that `load` returns."""
        return self._folder / self.resolve_load_version()

    def resolve_load_version(self) -> str:
        """Fingerprint of the version that `load` returns.

        Raises
        ------
        UserError
            If nothing was saved yet.
        """
        if self._version and self._version.load:
            return self._version.load
        if self._saved:  # another run may have saved in the meantime: this one goes on with its own
            return self._saved
        try:
            return json.loads((self._folder / LATEST).read_text())["fingerprint"]
        except FileNotFoundError:
            raise UserError(f"There is nothing in {self._folder} yet: run the pipeline that makes it first.") from None

    def list_versions(self) -> list[str]:
        """Fingerprints of all versions."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{MANIFEST}"))

    def load(self) -> FileSet:
        """Return the files with their records."""
        if self.optional and not self._exists() and not (self._version and self._version.load):
            return FileSet("")
        return read_file_set(self.folder)

    def save(self, plan: FilePlan) -> None:
        """Make the files of ``plan`` that do not exist yet; other versions' files that fit are taken over."""
        run_plan(plan, self.folder_of(plan), self._others(plan))
        write_json(self._folder / LATEST, {"fingerprint": plan.fingerprint})
        self._saved = plan.fingerprint

    def folder_of(self, plan: FilePlan) -> Path:
        """Folder of the version that saving ``plan`` makes."""
        return self._folder / plan.fingerprint

    def missing(self, plan: FilePlan) -> list[FileJob]:
        """Files that saving ``plan`` would make; others' that fit are taken over."""
        return missing_files(plan, self.folder_of(plan), self._others(plan))

    def preview(self, nrows: int = 20) -> TablePreview:
        """First files, for kedro-viz."""
        records = read_file_set(self.folder).records[:nrows]
        rows = [[Path(record["path"]).name, record.get("n_images"), record["fingerprint"]] for record in records]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": ["file", "images", "fingerprint"], "data": rows}
        )

    def _others(self, plan: FilePlan) -> list[Path]:
        """Folders of the other versions, the newest first."""
        others = [path for path in self._folder.glob("*/") if path.name != plan.fingerprint]
        return sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)

    def _exists(self) -> bool:
        try:
            read_file_set(self.folder)
        except UserError:
            return False
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "version": self._version}
