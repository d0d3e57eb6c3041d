import csv
import html
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from tests.alerts.service.test_audit import forge_line
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts import batch, commands
from cherenkov_pipeline.alerts.commands import alerts
from cherenkov_pipeline.alerts.files import read_sub_images, write_sub_images
from cherenkov_pipeline.alerts.service.inbox import InboxParameters, open_inbox
from cherenkov_pipeline.alerts.service.outputs import audit_log
from cherenkov_pipeline.cli import cli


@pytest.fixture
def folder(tmp_path):
    """Four sub-images, the last one cut off."""
    images = toy_images(4)
    for row in range(4):
        content = single_file(images, row, burst_id="sb1" if row < 2 else f"sb{row}")
        (tmp_path / f"alert-{row}.npz").write_bytes(content if row < 3 else content[:300])
    (tmp_path / "read me.md").write_text("not an alert")
    return tmp_path


@pytest.fixture
def output(folder, bundle):
    """What the service has made of them."""
    (folder / "inbox").mkdir()
    for path in folder.glob("*.npz"):
        path.rename(folder / "inbox" / path.name)
    parameters = InboxParameters(settle=0, patience=0)
    with open_inbox(folder / "inbox", folder / "output", bundle, parameters, lambda line: None) as inbox:
        inbox.look()
    return folder / "output"


def call(*arguments):
    return CliRunner().invoke(alerts, [str(argument) for argument in arguments])


def test_one_file(folder, bundle_path):
    done = call("judge", folder / "alert-0.npz", "--bundle", bundle_path)
    assert done.exit_code == 0
    assert "alert-0.npz: true source, " in done.output


def test_folder_with_a_broken_file(folder, bundle_path):
    done = call("judge", folder, "--bundle", bundle_path, "--output", folder / "pages")
    assert done.exit_code == 1
    assert "alert-1.npz: false alert" in done.output
    assert "alert-3.npz: no verdict: The file is broken or cut off" in done.output
    assert "3 of 4 judged." in done.output
    assert len(list((folder / "pages").glob("*.html"))) == len(list((folder / "pages").glob("*.json"))) == 3


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_data_set(tmp_path, bundle_path, suffix):
    write_sub_images(toy_images(5), tmp_path / f"many{suffix}")
    done = call("judge", tmp_path / f"many{suffix}", "--bundle", bundle_path, "--output", tmp_path / "pages")
    assert done.exit_code == 0
    assert f"many{suffix}, image-3: false alert" in done.output
    assert "5 of 5 judged." in done.output
    assert len(list((tmp_path / "pages").glob("image-*.html"))) == 5


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize("layout", ["flat", "image", "other name"])
def test_faults_of_a_data_set_are_told_of_the_data_set(tmp_path, bundle_path, suffix, layout):
    images, path = toy_images(2, incomplete=0), tmp_path / f"many{suffix}"
    images.table["snr_max"][1] = -1
    if layout == "flat":
        write_sub_images(images, path)
    else:
        arrays = {"image" if layout == "image" else "imgs": images.snr, "snr_max": images.table["snr_max"]}
        if suffix == ".npz":
            np.savez(path, **arrays)
        else:
            with h5py.File(path, "w") as file:
                file.update(arrays)
    done = call("judge", path, "--bundle", bundle_path)
    assert done.exit_code == 1
    assert "many, image 1: snr_max must be positive" in done.output


def test_faults_of_a_single_image_are_told_of_it(tmp_path, bundle_path):
    (tmp_path / "one.npz").write_bytes(single_file(toy_images(1), snr_max=-1))
    done = call("judge", tmp_path / "one.npz", "--bundle", bundle_path)
    assert "no verdict: snr_max is -1" in done.output


@pytest.mark.parametrize("options", [[], ["--json"], ["--output"]])
def test_fault_of_the_program_is_told_of_its_file_alone(folder, bundle_path, monkeypatch, options):
    def fail(*arguments, **options):
        monkeypatch.undo()
        raise ZeroDivisionError("oh")

    for name in ("judge", "render_page" if "--output" in options else "verdict_record"):
        monkeypatch.setattr(batch, name, fail)
        arguments = [*options, folder / "pages"] if "--output" in options else options
        done = call("judge", folder, "--bundle", bundle_path, *arguments)
        assert isinstance(done.exception, SystemExit)
        assert "The program failed: ZeroDivisionError: oh." in done.output.splitlines()[0]
        assert sum("alert-" in line for line in done.output.splitlines()) == 4


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_a_file_holds_forges_no_line(tmp_path, bundle_path, options):
    np.savez(tmp_path / "a.npz", **{"\x1b[2J\nfake.npz: true source 99 %": np.eye(2)})
    done = call("judge", tmp_path / "a.npz", "--bundle", bundle_path, *options)
    (line,) = done.output.splitlines()
    assert line.isprintable()
    assert "fake.npz" in line


def test_file_with_a_name_of_any_bytes_is_judged(tmp_path, bundle_path):
    path = tmp_path / os.fsdecode(b"bad \xff\x1b[31m.npz")
    path.write_bytes(single_file(toy_images(1)))
    done = call("judge", path, "--bundle", bundle_path, "--output", tmp_path / "pages")
    assert "bad \ufffd\ufffd[31m.npz: true source" in done.output
    assert call("judge", tmp_path / "none\n.npz", "--bundle", bundle_path).output.count("\n") == 1


def test_terminal_that_knows_few_letters_ends_nothing(tmp_path, bundle_path):
    for name in ("α.npz", "b.npz"):
        (tmp_path / name).write_bytes(single_file(toy_images(1)))
    command = [sys.executable, "-m", "cherenkov_pipeline.alerts", "judge", str(tmp_path), "--bundle", str(bundle_path)]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.count(".npz: true source") == 2


def test_fault_at_one_image_of_a_data_set_leaves_the_others(tmp_path, bundle_path, monkeypatch):
    def fail(*arguments, **options):
        monkeypatch.undo()
        raise ZeroDivisionError("oh")

    write_sub_images(toy_images(3), tmp_path / "many.h5")
    monkeypatch.setattr(batch, "verdict_record", fail)
    done = call("judge", tmp_path / "many.h5", "--bundle", bundle_path)
    assert "many.h5, image-0: no verdict: The program failed" in done.output
    assert "2 of 3 judged." in done.output


def test_what_is_no_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        batch.Result("a.npz", {"confidence_pct": float("nan")}).as_line()


def test_each_image_of_a_data_set_has_its_own_page(tmp_path, bundle_path):
    images = toy_images(6)
    images.table["image_id"] = ["GRB 1", "GRB_1", "α", "β", "a" + 80 * "x", "b" + 80 * "x"]
    write_sub_images(images, tmp_path / "many.h5")
    done = call("judge", tmp_path / "many.h5", "--bundle", bundle_path, "--output", tmp_path / "pages")
    assert done.exit_code == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "pages").glob("*.json")]
    assert {record["image_id"] for record in records} == set(images.table["image_id"])


def test_pickle_is_converted_only_if_it_is_trusted(tmp_path):
    path, converted = tmp_path / "dataset_2.pkl", tmp_path / "dataset_2.h5"
    path.write_bytes(pickle.dumps({"image": [np.eye(56), np.eye(56)[:40]], "label": [1, 0]}))
    done = call("convert", path, converted)
    assert done.exit_code == 1
    assert "any program" in done.output
    assert not converted.exists()
    done = call("convert", path, converted, "--trust-pickle")
    assert "2 sub-images" in done.output
    assert len(read_sub_images(converted)) == 2
    assert "exists already" in call("convert", path, converted, "--trust-pickle").output


def test_lines_of_json(folder, bundle_path):
    done = call("judge", folder, "--bundle", bundle_path, "--json")
    records = [json.loads(line) for line in done.output.splitlines()]
    assert [record.get("verdict") for record in records] == ["real", "false", "real", None]
    assert "cut off" in records[3]["problem"]


@pytest.mark.parametrize(
    ("path", "bundle", "problem"),
    [
        ("none.npz", "here", "no file or folder"),
        ("empty", "here", "holds no file"),
        ("alert-0.npz", "none", "kedro run --pipeline=grb_alerts"),
    ],
)
def test_users_errors_are_one_line(folder, bundle_path, path, bundle, problem):
    (folder / "empty").mkdir()
    done = call("judge", folder / path, "--bundle", bundle_path if bundle == "here" else folder / "none")
    assert done.exit_code == 1
    assert problem in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--interval", "0"], "--interval"),
        (["--settle", "-1"], "--settle"),
        (["--patience", "-0.1"], "--patience"),
        (["--patience", "nan"], "--patience"),
        (["--settle", "inf"], "--settle"),
    ],
)
def test_times_that_make_no_sense_are_refused(folder, bundle_path, options, problem):
    done = call("watch", folder, "--bundle", bundle_path, "--output", folder / "output", *options)
    assert done.exit_code == 2
    assert f"Invalid value for '{problem}'" in done.output


@pytest.mark.parametrize(("place", "problem"), [("", "is a file"), ("output", "Not a directory")])
def test_output_that_cannot_be_written_is_told(folder, bundle_path, monkeypatch, place, problem):
    monkeypatch.setattr(commands, "_stopped_by_signals", lambda: lambda: True)
    (folder / "inbox").mkdir()
    for command in (["watch", folder / "inbox"], ["judge", folder / "alert-1.npz"]):
        done = call(*command, "--bundle", bundle_path, "--output", folder / "alert-0.npz" / place)
        assert isinstance(done.exception, SystemExit)
        assert done.exit_code != 0
        assert problem in done.output.splitlines()[-1]


def test_bundle_is_where_the_pipeline_puts_it(folder, bundle_path, monkeypatch):
    monkeypatch.setenv("CHERENKOV_DATA", str(folder / "data"))
    place = folder / "data" / "06_models" / "grb_alerts"
    place.mkdir(parents=True)
    (place / "ensemble").symlink_to(bundle_path)
    assert call("judge", folder / "alert-0.npz").exit_code == 0


def test_confirmation_becomes_a_label(output, tmp_path):
    done = call("confirm", "alert-0.npz", "true", "--by", "A. Vocate", "--cause", "grb", "--output", output)
    assert "alert-0.npz is true, by A. Vocate" in done.output
    digest = next(line for line in (output / "verdicts").glob("alert-1-*.json")).stem.removeprefix("alert-1-")
    assert call("confirm", digest, "true", "--by", "A. Vocate", "--output", output).exit_code == 0
    assert call("confirm", digest, "unsure", "--by", "B. Oss", "--note", "weak", "--output", output).exit_code == 0
    assert call("labels", tmp_path / "labels.csv", "--output", output).exit_code == 0
    with (tmp_path / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["is_real"], row["cause"], row["label_source"]) for row in rows] == [
        ("True", "grb", "A. Vocate"),
        ("", "", "B. Oss"),  # the last word counts
    ]
    assert all(Path(row["path"]).is_file() for row in rows)
    assert call("verify-log", "--output", output).exit_code == 0


def test_line_of_the_page_is_a_confirmation_once_it_is_filled_in(output, monkeypatch, tmp_path):
    (page,) = (output / "verdicts").glob("alert-0-*.html")
    (line,) = re.findall(r"<pre>kedro alerts (confirm .*)</pre>", page.read_text())
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(html.unescape(line))
    assert "'true|false|unsure' is not one of" in call(*arguments).output
    arguments[2] = "true"
    assert "alert-0.npz is true" in call(*arguments).output


def test_labels_of_a_relative_output_are_a_data_set(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables").mkdir()
    for name, verdict in (("alert-0.npz", "true"), ("alert-1.npz", "false")):
        assert call("confirm", name, verdict, "--by", "A. Vocate", "--output", output.name).exit_code == 0
    assert call("labels", "tables/labels.csv", "--output", output.name).exit_code == 0
    images = read_sub_images("tables/labels.csv")
    assert images.table["is_real"].tolist() == [True, False]
    np.testing.assert_array_equal(images.snr[1], toy_images(2).snr[1])


def test_labels_of_edited_lines_are_left_out(output, tmp_path):
    for name in ("alert-0.npz", "alert-1.npz"):
        call("confirm", name, "true", "--by", "A. Vocate", "--output", output)
    log = output / "audit" / "audit.jsonl"
    log.write_text(log.read_text().replace('"verdict": "real"', '"verdict": "unsure"', 1))
    done = call("labels", tmp_path / "labels.csv", "--output", output, "--despite-breaks")
    assert "Line 2 of the audit log was edited" in done.output
    assert "1 labels" in done.output


def test_forged_confirmation_becomes_no_label(output, tmp_path):
    for name in ("alert-0.npz", "alert-1.npz"):
        call("confirm", name, "false", "--by", "A. Vocate", "--output", output)
    log = audit_log(output)
    (number,) = (line["number"] for line in log.entries() if line["event"] == "confirmed" and "-0" in line["file"])
    forge_line(log, number, own_verdict="true")
    assert log.left_out() == []
    done = call("labels", tmp_path / "labels.csv", "--output", output)
    assert done.exit_code == 1
    assert f"Line {number + 1} of the audit log is broken" in done.output
    assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["alert-9.npz", "true", "--by", "me"], "no verdict on"),
        (["sb1", "true", "--by", "me"], "2 verdicts on"),
        (["alert-3.npz", "true", "--by", "me"], "no verdict on"),  # was rejected
        (["alert-0.npz", "false", "--by", "me", "--cause", "grb"], "does not go with"),
        (["alert-0.npz", "unsure", "--by", "me", "--cause", "grb"], "leave it out"),
        (["alert-0.npz", "true", "--by", " "], "Name who"),
    ],
)
def test_confirmation_that_makes_no_sense_is_refused(output, arguments, problem):
    done = call("confirm", *arguments, "--output", output)
    assert done.exit_code == 1
    assert problem in done.output


@pytest.mark.parametrize(
    ("place", "problem"), [("judged", "is a directory"), ("index.html/labels.csv", "Not a directory")]
)
def test_labels_that_cannot_be_written_are_told(output, place, problem):
    call("confirm", "alert-0.npz", "true", "--by", "me", "--output", output)
    done = call("labels", output / place, "--output", output)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code != 0
    assert problem in done.output.splitlines()[-1]


def test_no_labels_no_file(output, tmp_path):
    done = call("labels", tmp_path / "labels.csv", "--output", output)
    assert done.exit_code == 1
    assert not (tmp_path / "labels.csv").exists()


def test_edits_are_found(output):
    done = call("verify-log", "--output", output)
    assert done.exit_code == 0
    assert "6 lines are as they were written" in done.output
    noted = done.output.split()[-1]
    assert call("verify-log", "--output", output, "--noted", noted).exit_code == 0
    assert call("verify-log", "--output", output, "--noted", "f" * 64).exit_code == 1
    page = next((output / "verdicts").glob("*.html"))
    page.write_text(page.read_text().replace("TRUE", "FALSE") + " ")
    (output / "verdicts" / "mine\n.json").write_text("{}")
    done = call("verify-log", "--output", output)
    assert done.exit_code == 1
    assert f"verdicts/{page.name} was changed" in done.output
    assert "verdicts/mine\ufffd.json is not in the log" in done.output
    log = output / "audit" / "audit.jsonl"
    log.write_text(log.read_text().replace('"false"', '"real"', 1))
    done = call("verify-log", "--output", output)
    assert done.exit_code == 1
    assert "Error: Line 3 is broken" in done.output
    assert f"verdicts/{page.name} was changed" in done.output  # an edited line hides no edited file
    log.write_text(log.read_text().replace('"started"', '"Started"', 1))
    done = call("verify-log", "--output", output)
    assert "Line 3 is broken" in done.output
    assert "Error: Line 1 is broken" in done.output


def test_judged_files_that_were_changed_or_removed_are_found(output):
    first, second, _ = sorted((output / "judged").iterdir())
    first.write_bytes(first.read_bytes() + b" ")
    second.unlink()
    done = call("verify-log", "--output", output)
    assert done.exit_code == 1
    assert f"judged/{first.name} was changed" in done.output
    assert f"judged/{second.name} is gone" in done.output
    assert "2 files are not as the log says" in done.output


def test_commands_belong_to_kedro():
    assert cli.commands["alerts"] is alerts
    assert set(alerts.commands) >= {"judge", "watch", "confirm", "verify-log"}


LISTED = """
import runpy, sys
sys.argv = ["alerts", "--help"]
try:
    runpy.run_module("cherenkov_pipeline.alerts", run_name="__main__")
finally:
    print(sorted({"numpy", "kedro", "astropy"} & set(sys.modules)))
"""


def test_help_is_light():
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, check=True)
    assert "verify-log" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
