import errno
import fcntl
import io
import json
import os
import stat
import time

import h5py
import numpy as np
import pytest
from tests.alerts.service.test_notices import notice
from tests.alerts.service.toy_service import AT_ONCE, Killed, alerts, zoo
from tests.alerts.test_verdict import with_card
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.service import inbox as inbox_module
from cherenkov_pipeline.alerts.service import outputs as outputs_module
from cherenkov_pipeline.alerts.service.audit import LEFT_OUT
from cherenkov_pipeline.alerts.service.confirmation import confirm, confirmed_labels
from cherenkov_pipeline.alerts.service.inbox import MOST_ATTEMPTS, WORKING, InboxParameters, Look, open_inbox
from cherenkov_pipeline.alerts.service.intake import Drop
from cherenkov_pipeline.alerts.service.outputs import audit_log, sha256
from cherenkov_pipeline.errors import TemporaryError, UserError


def test_verdict_page_and_line(service):
    content = single_file(toy_images(1), burst_id="sb26021801")
    service.drop("some alert (1).npz", content)
    assert service.look() == Look(1, 0)
    assert service.left() == []
    (line,) = service.lines("verdict")
    digest = sha256(content)
    stem = f"some_alert_1-{digest[:12]}"
    assert service.files("verdicts") == [f"{stem}.html", f"{stem}.json"]
    record = json.loads((service.output / line["record"]).read_text())
    assert record["input_sha256"] == line["input_sha256"] == digest
    assert record["file"] == "some alert (1).npz"
    assert record["verdict"] == line["verdict"] == "real"
    assert record["burst_id"] == "sb26021801"
    assert (service.output / line["kept"]).read_bytes() == content
    assert f"{stem}.html" in (service.output / "index.html").read_text()
    assert [line["event"] for line in service.lines()] == ["started", "verdict", "stopped"]
    service.check()


def test_everything_gets_one_verdict_or_one_rejection(service):
    codes = zoo(service)
    good = alerts(4)
    for name, content in good.items():
        service.drop(name, content)
    service.drop("zz-again.npz", good["alert-0.npz"])
    os.utime(service.folder / "zz-again.npz")
    codes["zz-again.npz"] = "duplicate"
    outside = service.folder.parent / "outside.npz"
    assert service.look() == Look(len(codes) + len(good), 0)
    assert service.left() == []
    rejected = {line["file"]: line for line in service.lines("rejected")}
    assert {name: line["code"] for name, line in rejected.items()} == codes
    assert sorted(line["file"] for line in service.lines("verdict")) == sorted(good)
    for line in rejected.values():
        reason = json.loads((service.output / line["record"]).read_text())
        assert reason["reason"] == line["reason"]
        assert len(reason["reason"]) > 15
        assert os.path.lexists(service.output / line["kept"])
    assert "alert-0" in rejected["zz-again.npz"]["reason"]
    assert outside.exists()  # nothing was done to what a link points to
    assert len(service.files("rejected")) == 2 * len(codes)
    index = (service.output / "index.html").read_text()
    assert all(f">{name}<" in index for name in codes if name != "zz-again.npz")  # somebody waits for a verdict on them
    assert "zz-again" not in index
    service.check()
    assert service.look() == Look(0, 0)


def test_file_that_is_still_being_written_is_waited_for(service):
    content = single_file(toy_images(1))
    parameters = InboxParameters(settle=0.05, patience=30)
    with open_inbox(service.folder, service.output, service.bundle, parameters, service.said.append) as inbox:
        with (service.folder / "a.npz").open("wb") as stream:
            for part in (content[:100], content[100:900]):
                stream.write(part)
                stream.flush()
                assert inbox.look() == Look(0, 1)
                time.sleep(0.1)
                assert inbox.look() == Look(0, 1)  # it has settled, and cannot be read
            stream.write(content[900:])
        assert inbox.look() == Look(0, 1)
        time.sleep(0.1)
        assert inbox.look() == Look(1, 0)
    assert len(service.lines("verdict")) == 1
    assert service.lines("rejected") == []


def test_what_cannot_be_read_is_rejected_in_the_end(service):
    service.drop("a.npz", b"PK not really")
    parameters = InboxParameters(settle=0, patience=0.3)
    with open_inbox(service.folder, service.output, service.bundle, parameters, service.said.append) as inbox:
        assert inbox.look() == Look(0, 1)
        time.sleep(0.4)
        assert inbox.look() == Look(1, 0)


@pytest.mark.parametrize("hours", [-1, 1])
def test_files_with_the_time_of_another_clock_are_waited_for_and_read(service, hours):
    path = service.drop("a.npz", single_file(toy_images(1)))
    os.utime(path, (time.time() + 3600 * hours,) * 2)
    parameters = InboxParameters(settle=0.1)
    with open_inbox(service.folder, service.output, service.bundle, parameters, service.said.append) as inbox:
        assert inbox.look() == Look(0, 1)
        time.sleep(0.2)
        assert inbox.look() == Look(1, 0)


@pytest.mark.parametrize("name", [".a.npz", "a.npz.part", "a.npz.TMP"])
def test_unfinished_names_are_left_alone_until_they_are_renamed(service, name):
    path = service.drop(name, single_file(toy_images(1)))
    assert service.look() == Look(0, 0)
    path.rename(service.folder / "a.npz")
    assert service.look() == Look(1, 0)


def test_names_of_any_bytes(service):
    name = os.fsdecode(b"bad \xff\n<b>&\x1b[31m.npz")
    service.drop(name, single_file(toy_images(1), burst_id="sb\ud800\n1"))
    service.drop("n.xml", notice("sb1").encode())
    assert service.look() == Look(2, 0)
    (line,) = service.lines("verdict")
    assert line["file"] == "bad \ufffd\ufffd<b>&\ufffd[31m.npz"
    assert line["burst_id"] == "sb1"
    assert all(said.isprintable() for said in service.said)
    service.check()


def test_index_is_there_from_the_start(service, monkeypatch):
    def killed(latest):
        if latest:
            raise Killed
        return ""

    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append):
        assert "No verdict yet" in (service.output / "index.html").read_text()
    service.drop("a.npz", single_file(toy_images(1)))
    with monkeypatch.context() as patch:
        patch.setattr(outputs_module, "render_index", killed)
        with pytest.raises(Killed):
            service.look()
    assert len(service.lines("verdict")) == 1
    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append):
        assert "a.npz" in (service.output / "index.html").read_text()


FORGED = "\x1b[2J\nfake.npz: true source 99 %"


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".xml"])
def test_what_a_file_holds_forges_no_line(service, suffix):
    stream = io.BytesIO()
    match suffix:
        case ".npz":
            np.savez(stream, **{FORGED: np.eye(2)})
        case ".h5":
            with h5py.File(stream, "w") as file:
                file[FORGED] = np.eye(2)
        case ".xml":
            stream.write(notice("sb1&#10;fake.npz: true source 99 %").encode())
    service.drop(f"a{suffix}", stream.getvalue())
    service.drop("b.npz", single_file(toy_images(1)))
    for _ in range(2):
        service.look()
    assert [said.partition(":")[0] for said in service.said] == [f"a{suffix}", "b.npz"]
    assert all(said.isprintable() for said in service.said)
    assert service.left() == []


def test_edited_log_is_told_of_at_the_start(service):
    service.drop("a.npz", single_file(toy_images(1)))
    service.look()
    log = service.output / "audit" / "audit.jsonl"
    log.write_text(log.read_text().replace('"verdict": "real"', '"verdict": "false"'))
    service.drop("b.npz", single_file(toy_images(2), 1))
    assert service.look() == Look(1, 0)  # somebody waits for the verdict
    assert any("Line 2 of" in said for said in service.said)


@pytest.mark.parametrize("edit", ["blank line", "no JSON", "lacks a key", "written without a key", "no head"])
def test_edited_lines_hold_up_no_verdict_and_are_told_of(service, edit):
    service.drop("a.npz", single_file(toy_images(1), burst_id="sb1"))
    service.look()
    log = audit_log(service.output)
    content = log.path.read_bytes().splitlines(keepends=True)
    match edit:
        case "blank line":
            content.append(b"\n")
        case "no JSON":
            content[1] = b"text\n"
        case "lacks a key":
            content[1] = content[1].replace(b'"confidence_pct"', b'"confidence"')
    log.path.write_bytes(b"".join(content))
    if edit == "written without a key":
        log.append("verdict", file="c.npz")
    if edit == "no head":
        log.head_path.write_text("")
    edited = log.left_out()
    assert len(edited) == (edit != "no head")
    service.drop("b.npz", single_file(toy_images(2), 1))
    service.drop("n.xml", notice("sb1").encode())
    for _ in range(2):
        service.look()
    assert service.left() == []
    assert any(line["file"] == "b.npz" for line in log.entries() if line["event"] == "verdict")
    assert [line["lines"] for line in log.entries() if line["event"] == LEFT_OUT] == [edited, edited] * len(edited)
    assert log.left_out() == edited
    assert any("edited" in said for said in service.said)
    assert (log.verify().broken_line is None) == (edit == "written without a key")
    assert confirm(service.output, "b.npz", "false", "me")["burst_id"] == ""
    assert len(confirmed_labels(service.output, despite_breaks=True)) == 1


def test_causes_of_a_confirmation_are_those_of_the_models_that_judged(service):
    service.drop("a.npz", single_file(toy_images(2), 0))
    service.look()
    service.bundle = with_card(service.bundle, label_map=service.bundle.card.label_map | {"known_source": False})
    service.bundle.sha256 = "f" * 64
    service.drop("b.npz", single_file(toy_images(2), 1))
    service.look()
    for name, verdict, other in (("a.npz", "true", "false"), ("b.npz", "false", "true")):
        assert confirm(service.output, name, verdict, "me", "known_source")["cause"] == "known_source"
        with pytest.raises(UserError, match=f'"known_source" does not go with the verdict "{other}"'):
            confirm(service.output, name, other, "me", "known_source")
        confirm(service.output, name, "false", "me", "hot_pixels")  # which the models do not know


def test_same_name_with_other_content_is_another_alert(service):
    for row in range(2):
        service.drop("alert.npz", single_file(toy_images(2), row))
        assert service.look() == Look(1, 0)
    assert [line["verdict"] for line in service.lines("verdict")] == ["real", "false"]
    assert len(service.files("verdicts")) == 4


@pytest.mark.parametrize("same", ["inbox", "output"])
def test_one_service_at_a_time(service, tmp_path, same):
    folder = service.folder if same == "inbox" else tmp_path / "other inbox"
    output = service.output if same == "output" else tmp_path / "other output"
    folder.mkdir(exist_ok=True)
    opened = open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append)
    with opened, pytest.raises(TemporaryError, match="Another process"), open_inbox(folder, output, service.bundle):
        pass
    assert service.left() == []
    assert output.exists() == (same == "output")


def test_inbox_on_a_disk_that_locks_nothing_is_watched_and_that_is_told(service, monkeypatch):
    flock = fcntl.flock

    def refuse(stream, operation):
        descriptor = stream if isinstance(stream, int) else stream.fileno()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOLCK, "No locks available")
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)
    service.drop("a.npz", single_file(toy_images(1)))
    assert service.look() == Look(1, 0)
    assert "No locks available" in service.said[0]


def test_folders_that_cannot_be_used(service, tmp_path):
    with pytest.raises(UserError, match="no inbox"), open_inbox(tmp_path / "none", service.output, service.bundle):
        pass
    with (
        pytest.raises(UserError, match="into the inbox"),
        open_inbox(service.folder, service.folder / "a", service.bundle),
    ):
        pass


@pytest.mark.parametrize("name", ["judge", "verdict_record", "render_page"])
def test_fault_of_the_program_is_a_rejection_of_that_file_alone(service, monkeypatch, name):
    def fail(*arguments):
        monkeypatch.undo()
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(inbox_module, name, fail)
    for name, content in alerts(2).items():
        service.drop(name, content)
    assert service.look() == Look(2, 0)
    (line,) = service.lines("rejected")
    assert (line["code"], "ZeroDivisionError" in line["reason"]) == ("internal_error", True)
    path = service.output / line["kept"]
    path.rename(service.folder / path.name)
    assert service.look() == Look(1, 0)  # given again, to a program without the fault
    assert len(service.lines("verdict")) == 2


def test_numbers_beyond_all_bounds_are_no_fault_of_the_program(service):
    for row in range(2):
        service.drop(f"{row}.npz", single_file(toy_images(2), row, snr_max=7e-37))
    assert service.look() == Look(2, 0)
    assert [line["verdict"] for line in service.lines("verdict")] == ["unsure", "unsure"]
    service.check()


def test_file_that_kills_the_service_again_and_again_is_rejected(service):
    deadly = Drop.of(service.drop("a.npz", single_file(toy_images(1)))).key
    service.drop("b.npz", single_file(toy_images(2), 1))
    (service.output / WORKING).parent.mkdir(parents=True)
    (service.output / WORKING).write_text(json.dumps({deadly: MOST_ATTEMPTS}))
    service.look()
    assert [line.get("code") for line in service.lines("verdict", "rejected")] == [None, "crashed"]


def test_attempts_are_counted_until_there_is_a_verdict(service, monkeypatch):
    def judge(*arguments):
        raise Killed

    service.drop("a.npz", single_file(toy_images(1)))
    monkeypatch.setattr(inbox_module, "judge", judge)
    for attempt in range(1, 3):
        with pytest.raises(Killed):
            service.look()
        assert list(json.loads((service.output / WORKING).read_text()).values()) == [attempt]
    monkeypatch.undo()
    service.drop("b.npz", single_file(toy_images(2), 1))
    service.look()
    assert [line["file"] for line in service.lines("verdict")] == ["b.npz", "a.npz"]
    service.drop("c.npz", single_file(toy_images(3), 2))
    service.look()
    assert len(json.loads((service.output / WORKING).read_text())) == 1


@pytest.mark.parametrize("nth", range(6))
def test_full_disk_is_waited_for(service, monkeypatch, nth):
    service.drop("a.npz", single_file(toy_images(1)))
    looks, syncs = [], []

    def full(descriptor):
        syncs.append(descriptor)
        if len(syncs) > nth:
            monkeypatch.undo()
            raise OSError(errno.ENOSPC, "No space left on device")

    def stop():
        looks.append(1)
        return service.left() == [] or len(looks) > 100

    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append) as inbox:
        monkeypatch.setattr(os, "fsync", full)
        inbox.watch(stop)
    assert len(service.lines("verdict")) == 1
    assert service.left() == []
    service.check()


def test_hindrances_are_no_deaths_of_the_program(service, monkeypatch):
    service.drop("a.npz", single_file(toy_images(1)))
    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append) as inbox:
        monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for _ in range(MOST_ATTEMPTS + 2):
            with pytest.raises((OSError, TemporaryError)):
                inbox.look()
        monkeypatch.undo()
        assert inbox.look() == Look(1, 0)
    assert len(service.lines("verdict")) == 1
    service.check()


def test_index_that_could_not_be_written_is_written_at_the_next_look(service, monkeypatch):
    service.drop("a.npz", single_file(toy_images(1)))
    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append) as inbox:
        with monkeypatch.context() as patched:
            patched.setattr(inbox.outputs, "write_index", lambda latest: (_ for _ in ()).throw(OSError("full")))
            with pytest.raises(OSError, match="full"):
                inbox.look()
        inbox.look()
        (line,) = service.lines("verdict")
        assert line["page"] in (service.output / "index.html").read_text()


def test_too_little_memory_is_waited_for(service, monkeypatch):
    service.drop("a.npz", single_file(toy_images(1)))
    looks = []

    def exhausted(content):
        monkeypatch.undo()
        raise MemoryError

    def stop():
        looks.append(1)
        return service.left() == [] or len(looks) > 100

    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, service.said.append) as inbox:
        monkeypatch.setattr("cherenkov_pipeline.alerts.service.inbox.sha256", exhausted)
        inbox.watch(stop)
    assert any("not enough memory" in line for line in service.said)
    assert len(service.lines("verdict")) == 1
