"""What the service leaves on the disk, while others write, replace and remove files beside it."""

import errno
import json
import os
import re
from pathlib import Path

import pytest
from tests.alerts.service.test_notices import notice
from tests.alerts.service.toy_service import Killed, alerts, zoo
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.service import inbox as inbox_module
from cherenkov_pipeline.alerts.service.confirmation import verify
from cherenkov_pipeline.alerts.service.inbox import Look
from cherenkov_pipeline.alerts.service.intake import Tracker
from cherenkov_pipeline.alerts.service.outputs import Outputs, sha256


@pytest.mark.parametrize("notice_first", [True, False])
def test_notice_is_joined_by_its_burst_id(service, notice_first):
    files = {
        "n.xml": notice("sb26021801", snr="8.29").encode(),
        "a.npz": single_file(toy_images(2), 0, burst_id="sb26021801"),
    }
    for name in files if notice_first else reversed(files):
        service.drop(name, files[name])
        service.look()
    service.drop("b.npz", single_file(toy_images(2), 1, burst_id="sb26021802"))
    service.look()
    records = {
        line["file"]: json.loads((service.output / line["record"]).read_text()) for line in service.lines("verdict")
    }
    assert records["a.npz"]["notice"]["snr"] == 8.29
    assert records["b.npz"]["notice"] is None
    pages = {line["file"]: (service.output / line["page"]).read_text() for line in service.lines("verdict")}
    assert "8.29" in pages["a.npz"]
    assert "No notice of sb26021802" in pages["b.npz"]
    assert len(service.lines("notice_joined")) == (0 if notice_first else 1)
    service.check()


def test_file_that_is_replaced_while_it_is_judged_is_judged_too(service, monkeypatch):
    other = single_file(toy_images(2), 1)
    path = service.drop("a.npz", single_file(toy_images(2), 0))
    judged = inbox_module.judge

    def judge(*arguments):
        if path.read_bytes() != other:
            path.with_name(".new").write_bytes(other)
            path.with_name(".new").rename(path)
        return judged(*arguments)

    monkeypatch.setattr(inbox_module, "judge", judge)
    service.look()
    service.look()
    lines = service.lines("verdict")
    assert [line["verdict"] for line in lines] == ["real", "false"]
    assert service.left() == []
    kept = [sha256((service.output / line["kept"]).read_bytes()) for line in lines]
    assert kept == [line["input_sha256"] for line in lines]


def put_another(path, content):
    """As a producer does that uses one name again: written elsewhere, renamed onto it."""
    new = path.with_name(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.mark.parametrize("other_disk", [False, True])
def test_file_that_is_replaced_as_it_is_moved_is_judged_too(service, monkeypatch, other_disk):
    renamed, moves = Path.rename, []

    def rename(path, target):
        if path.parent == service.folder:
            moves.append(path)
            if other_disk and Path(target).parent != service.folder:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            if len(moves) == 1 + other_disk:  # after all that can be asked before
                put_another(path, other)
        return renamed(path, target)

    first, other = (single_file(toy_images(2), row) for row in range(2))
    service.drop("latest.npz", first)
    monkeypatch.setattr(Path, "rename", rename)
    service.look()
    assert service.left() == ["2-latest.npz" if other_disk else "latest.npz"]
    service.look()
    assert [line["verdict"] for line in service.lines("verdict")] == ["real", "false"]
    assert service.left() == []
    assert (service.output / service.lines("verdict")[1]["kept"]).read_bytes() == other
    assert service.lines("rejected") == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_put_back_replaces_nothing(service, monkeypatch, kind):
    renamed, moves = Path.rename, []

    def rename(path, target):
        moves.append(path)
        if len(moves) > 1:
            return renamed(path, target)
        path.unlink()
        if kind == "folder":
            path.mkdir()
        else:
            service.drop(path.name, b"second")
        moved = renamed(path, target)
        service.drop(path.name, b"third")
        return moved

    service.drop("a.txt", b"the first")
    monkeypatch.setattr(Path, "rename", rename)
    service.look()
    assert service.left() == ["2-a.txt", "a.txt"]
    assert (service.folder / "a.txt").read_bytes() == b"third"
    assert (service.folder / "2-a.txt").is_dir() == (kind == "folder")
    service.look()
    assert [line["file"] for line in service.lines("rejected")] == ["a.txt", "2-a.txt", "a.txt"]


def test_what_takes_the_name_of_a_file_that_was_not_moved_is_judged_too(service, monkeypatch):
    """Killed between line and move; then another one comes between the look into the inbox and the move."""

    def killed(*arguments):
        raise Killed

    def replaced(tracker, drop):
        put_another(path, other)
        return age(tracker, drop)

    path, other = service.drop("latest.npz", single_file(toy_images(2), 0)), single_file(toy_images(2), 1)
    age = Tracker.age
    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "take", killed)
        with pytest.raises(Killed):
            service.look()
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "age", replaced)
        service.look()
    service.look()
    assert [line["verdict"] for line in service.lines("verdict")] == ["real", "false"]
    assert service.left() == []


def test_file_that_cannot_be_moved_does_not_hold_up_the_others(service, monkeypatch):
    for name, content in alerts(3).items():
        service.drop(name, content)
    renamed = Path.rename

    def rename(path, target):
        if Path(path).name == "alert-0.npz":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    for _ in range(2):
        with pytest.raises(PermissionError):
            service.look()
    assert service.left() == ["alert-0.npz"]
    assert len(service.lines("verdict")) == 3


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_notice_of_a_verdict_that_somebody_has_removed(service, content):
    service.drop("a.npz", single_file(toy_images(1), burst_id="sb1"))
    service.look()
    record = service.output / service.lines("verdict")[0]["record"]
    record.unlink()
    if content is not None:
        record.write_text(content)
    service.drop("n.xml", notice("sb1").encode())
    assert service.look() == Look(1, 0)
    assert len(service.lines("notice")) == 1
    assert any("not joined" in said for said in service.said)


@pytest.mark.parametrize("name", ["record", "page"])
def test_later_notice_launders_no_edited_verdict(service, name):
    service.drop("a.npz", single_file(toy_images(1), burst_id="sb1"))
    service.look()
    (line,) = service.lines("verdict")
    edited = service.output / line[name]
    edited.write_text(edited.read_text().replace("true source", "false alert"))
    before = {place: (service.output / line[place]).read_bytes() for place in ("record", "page")}
    for number in range(2):
        service.drop(f"{number}.xml", notice("sb1", snr=f"{number + 8}").encode())
        assert service.look() == Look(1, 0)
    assert {place: (service.output / line[place]).read_bytes() for place in before} == before
    assert verify(service.output)[1] == [f"{line[name]} was changed"]
    assert sum("not joined" in said for said in service.said) == 2
    assert [one["verdict"] for one in service.lines("notice_not_joined")] == [edited.stem] * 2
    assert service.lines("notice_joined") == []


def test_edited_notice_is_on_no_page(service):
    service.drop("n.xml", notice("sb1", snr="8.29").encode())
    service.look()
    (place,) = (service.output / "notices").iterdir()
    place.write_text(place.read_text().replace("8.29", "82.9"))
    service.drop("a.npz", single_file(toy_images(1), burst_id="sb1"))
    service.look()
    (line,) = service.lines("verdict")
    assert "82.9" not in (service.output / line["page"]).read_text()
    assert json.loads((service.output / line["record"]).read_text())["notice"] is None


def test_inbox_on_another_disk(service, monkeypatch):
    renamed = Path.rename

    def rename(path, target):
        if Path(path).parent == service.folder != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return renamed(path, target)

    codes = zoo(service)
    os.truncate(service.folder / "huge.h5", 10)
    service.drop("a" * 251 + ".npz", single_file(toy_images(1)))
    monkeypatch.setattr(Path, "rename", rename)
    assert service.look() == Look(len(codes) + 1, 0)
    assert service.left() == []
    assert len(service.files("judged")) == 1


def test_what_a_line_names_is_on_the_disk_before_it(service, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append(re.sub(r"^\.part-(.*?-\d+-[0-9a-f]{8}|\d+)-", "", name))
        fsync(descriptor)

    service.drop("a.npz", single_file(toy_images(1)))
    monkeypatch.setattr(os, "fsync", noted)
    service.look()
    (line,) = service.lines("verdict")
    before = synced[: [at for at, name in enumerate(synced) if name == "audit.jsonl"][1]]
    names = [Path(line[name]).name for name in ("record", "page")]
    assert set(before) >= {*names, "verdicts"}
    assert before[-1] == "verdicts"  # their names
    assert synced.count("audit.jsonl.head") == len(service.lines())
    assert "index.html" not in synced
