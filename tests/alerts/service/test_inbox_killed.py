"""The inbox under kills at any moment, and under many files of every kind at once."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.alerts.service.test_notices import DTD, notice
from tests.alerts.service.toy_service import AT_ONCE, Killed, Service, alerts, npy
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.service.inbox import Look, open_inbox
from cherenkov_pipeline.alerts.single import LARGEST_FILE


class Killer:
    """Ends the program at its n-th change of a file."""

    def __init__(self, monkeypatch, n):
        self.n = n
        for owner, name in ((Path, "replace"), (Path, "rename"), (os, "write"), (os, "fsync"), (Path, "write_bytes")):
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name), name))

    def wrapped(self, function, name):
        def call(*arguments):
            self.n -= 1
            if self.n < 0:
                if self.n == -1 and name in ("write", "write_bytes"):
                    function(*arguments[:-1], arguments[-1][: len(arguments[-1]) // 2])
                raise Killed
            return function(*arguments)

        return call


def test_killed_at_every_change_of_a_file_nothing_is_lost_or_said_twice(tmp_path, bundle, monkeypatch):
    files = {
        "a.npz": single_file(toy_images(1), burst_id="sb1"),
        "b.txt": b"text",
        "c.xml": notice().encode(),
        "d.xml": notice(snr="9.25").encode(),
    }
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and of no use to what outlives only its program
    for n in range(1000):
        root = tmp_path / str(n)
        root.mkdir()
        service = Service(root, bundle)
        for second, (name, content) in enumerate(files.items()):
            os.utime(service.drop(name, content), (1000 + second, 1000 + second))
        survived = False
        with monkeypatch.context() as patch:
            Killer(patch, n)
            try:
                service.look()
                survived = True
            except Killed:
                pass
        service.look()
        assert service.left() == []
        lines = service.lines("verdict", "rejected", "notice")
        assert sorted(line["file"] for line in lines) == sorted(files), f"killed at change {n}"
        assert len(service.files("judged")) == 3
        assert len(service.files("rejected")) == 2
        record = json.loads((service.output / service.lines("verdict")[0]["record"]).read_text())
        # what the service may have died of comes last, so that either notice may be the later one
        assert record["notice"] == json.loads((service.output / service.lines("notice")[-1]["record"]).read_text())
        assert len(service.lines("notice_joined")) in (0, 2, 3)
        assert service.lines("notice_not_joined") == []
        service.check()
        if survived:
            break
    assert survived
    assert n > 30


def command(service, bundle_path):
    options = ["--settle", "0.02", "--patience", "0.1", "--interval", "0.02", "--threads", "1"]
    return [
        sys.executable, "-m", "cherenkov_pipeline.alerts", "watch", str(service.folder),
        "--output", str(service.output), "--bundle", str(bundle_path), *options,
    ]  # fmt: skip


def start(service, bundle_path):
    process = subprocess.Popen(command(service, bundle_path), stdout=subprocess.PIPE, text=True)
    assert "Watching" in process.stdout.readline()
    return process


@pytest.mark.parametrize(("n_files", "n_kills"), [(20, 2), pytest.param(400, 10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_every_file_has_exactly_one_verdict(service, bundle_path, n_files, n_kills):
    files = alerts(n_files, seed=3)
    for name, content in files.items():
        service.drop(name, content)
    chance = random.Random(1)
    for _ in range(n_kills):
        process = start(service, bundle_path)
        time.sleep(chance.uniform(0, 1))
        process.kill()
        process.communicate()
    process = start(service, bundle_path)
    while service.left():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert Counter(line["file"] for line in service.lines("verdict")) == Counter(dict.fromkeys(files, 1))
    assert service.lines("rejected") == []
    assert len(service.files("judged")) == n_files
    assert len(service.files("verdicts")) == 2 * n_files
    assert len(service.lines("started")) == n_kills + 1
    assert len(service.lines("stopped")) == 1
    service.check()


def mixed(service, n):
    """Drop n files of every kind, two in three of them valid; every fourth of these incomplete."""
    images = toy_images(n, seed=5)
    outside = service.folder.parent / "outside.npz"
    outside.write_bytes(single_file(images))
    codes = {}
    for row in range(n):
        content, name, code = single_file(images, row), f"{row}.npz", None
        match row % 30:
            case 1:
                content, code = b"", "unreadable"
            case 4:
                name, content, code = f"{row}.npy", npy(np.full((56, 50 + row), np.nan)), "unreadable"
            case 7:
                name, content, code = f"{row}.npy", npy(np.zeros((2, 56, row + 1))), "unreadable"
            case 10:
                content, code = content[: 3000 + row], "unreadable"
            case 13:
                name, content, code = f"{row}.txt", f"a true source, the {row}th".encode(), "unreadable"
            case 16:
                name, content, code = f"{row}.pkl", pickle.dumps([row]), "unreadable"
            case 19:
                name, content, code = f"{row}.npy", pickle.dumps([row]), "unreadable"
            case 22:
                content, code = single_file(images, row - 2), "duplicate"
            case 25:
                name, code = f"{row}.xml", "unreadable"
                content = notice(f"sb{row}").replace("<voe", f"{DTD}<voe", 1).encode()
            case 27:
                (service.folder / name).symlink_to(outside)
                codes[name] = "symbolic_link"
                continue
            case 29:
                with (service.folder / name).open("wb") as stream:
                    stream.truncate(LARGEST_FILE + row)
                codes[name] = "too_large"
                continue
        # the order in which they came
        os.utime(service.drop(name, content), (1000 + row, 1000 + row))
        codes[name] = code
    return codes


@pytest.mark.parametrize("n", [90, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_files_at_once_and_memory_stays_flat(service, n):
    expected = mixed(service, n)
    process, memory = psutil.Process(), []

    def stop():
        memory.append(process.memory_info().rss)
        return False

    with open_inbox(service.folder, service.output, service.bundle, AT_ONCE, lambda line: None) as inbox:
        assert inbox.look(stop) == Look(n, 0)
    assert service.left() == []
    said = service.lines("verdict", "rejected")
    assert Counter(line["file"] for line in said) == Counter(dict.fromkeys(expected, 1))
    assert {line["file"]: line.get("code") for line in said} == expected
    third = len(memory) // 3
    assert memory[-1] - memory[third] < 10e6
    service.check()
