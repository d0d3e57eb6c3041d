"""Figures are kept in three formats, all or none, and load as the drawing that reports hold."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import DatasetError, Version
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cherenkov_pipeline.datasets.figure import FigureDataset, FiguresDataset
from cherenkov_pipeline.performance.report.svg import inline_svg

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
DRAW = """
import sys
from cherenkov_pipeline.datasets.figure import FigureDataset
from tests.datasets.test_figure import line

FigureDataset(filepath=sys.argv[1]).save(line())
"""


def line(label: str = "σ_E − 1 <&>") -> Figure:
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2, 3], label=label)
    axes.legend()
    return figure


def versioned(folder: Path, save: str | None = None, load: str | None = None) -> FigureDataset:
    return FigureDataset(filepath=str(folder / "line.png"), version=Version(load, save), metadata={"mlflow": {}})


def starts(folder: Path, stem: str) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes()[:5] for path in folder.iterdir() if path.stem == stem}


def test_a_version_holds_three_formats(tmp_path):
    dataset = versioned(tmp_path, save="2026-01-01")
    assert not dataset.exists()
    dataset.save(line())
    assert dataset.exists()
    found = starts(tmp_path / "line.png" / "2026-01-01", "line")
    assert found.keys() == STARTS.keys()
    assert all(found[suffix].startswith(start) for suffix, start in STARTS.items())
    assert dataset.metadata == {"mlflow": {}}


def test_the_formats_have_one_layout(tmp_path, monkeypatch):
    computed = []
    execute = ConstrainedLayoutEngine.execute
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *args: (computed.append(1), execute(*args)))
    FigureDataset(filepath=str(tmp_path / "line.png")).save(line())
    assert computed == [1]


def test_it_loads_as_the_drawing_of_a_report(tmp_path):
    dataset = FigureDataset(filepath=str(tmp_path / "line.png"))
    dataset.save(line())
    drawn = inline_svg(dataset.load(), "f1-")
    assert drawn == inline_svg(line(), "f1-")
    assert drawn.startswith('<svg width="288" height="192" viewBox="0 0 216 144" role="img">')
    assert "σ_E − 1 &lt;&amp;&gt;" in drawn


def test_the_preview_is_the_picture(tmp_path):
    dataset = versioned(tmp_path, save="2026-01-01")
    dataset.save(line())
    picture = (tmp_path / "line.png" / "2026-01-01" / "line.png").read_bytes()
    assert base64.b64decode(dataset.preview()) == picture


@pytest.mark.parametrize("suffix", STARTS)
def test_a_save_that_breaks_off_leaves_no_version(tmp_path, monkeypatch, suffix):
    """Whatever is written when it ends: the next run goes on with the earlier version, or saves this one again."""
    versioned(tmp_path, save="2026-01-01").save(line("earlier"))
    savefig = Figure.savefig

    def interrupted(figure, path, **options):
        if Path(path).suffix == suffix:
            Path(path).write_text("half")
            raise KeyboardInterrupt
        savefig(figure, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", interrupted)
        with pytest.raises(KeyboardInterrupt):
            versioned(tmp_path, save="2026-01-02").save(line())
    assert "earlier" in versioned(tmp_path).load()
    assert not any(path.read_bytes() == b"half" for path in tmp_path.rglob("*.*") if path.is_file())
    again = versioned(tmp_path, save="2026-01-02")
    again.save(line("again"))
    assert "again" in again.load()


def test_the_same_figure_makes_the_same_files(tmp_path):
    """In another process too, which hashes texts otherwise; without the time of its making."""
    found = []
    for seed in ("1", "2"):
        target = tmp_path / seed / "line.png"
        subprocess.run(
            [sys.executable, "-c", DRAW, str(target)], env={**os.environ, "PYTHONHASHSEED": seed}, check=True
        )
        found.append({path.name: path.read_bytes() for path in target.parent.iterdir()})
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert b"CreationDate" not in found[0]["line.pdf"]


def test_fonts_are_embedded_as_they_are(tmp_path):
    """Journals refuse Type 3; the text of a drawing can be searched and changed."""
    FigureDataset(filepath=str(tmp_path / "line.png")).save(line("word"))
    text = (tmp_path / "line.pdf").read_bytes()
    assert b"/FontFile2" in text
    assert b"/Type3" not in text
    assert ">word</text>" in (tmp_path / "line.svg").read_text()


def test_several_figures_share_a_folder(tmp_path):
    dataset = FiguresDataset(filepath=str(tmp_path / "figures"), version=Version(None, "2026-01-01"))
    dataset.save({"bias": line("one"), "resolution": line("two")})
    folder = tmp_path / "figures" / "2026-01-01" / "figures"
    for name in ("bias", "resolution"):
        assert starts(folder, name).keys() == STARTS.keys()
    drawings = dataset.load()
    assert list(drawings) == ["bias", "resolution"]
    assert "two" in drawings["resolution"]


def test_a_folder_that_breaks_off_is_not_there(tmp_path):
    dataset = FiguresDataset(filepath=str(tmp_path / "figures"), version=Version(None, "2026-01-01"))
    with pytest.raises(DatasetError):
        dataset.save({"bias": line(), "resolution": None})
    assert not dataset.exists()
    assert list((tmp_path / "figures" / "2026-01-01").iterdir()) == []
