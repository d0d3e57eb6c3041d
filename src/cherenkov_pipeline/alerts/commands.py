"""``kedro alerts``: verdicts on ECLAIRs sub-images, one file, many, or as they come in.

Nothing heavy is imported before a command runs. ``python -m cherenkov_pipeline.alerts`` has the same commands and
starts faster: Kedro's own plugins are left out.
"""

import functools
import io
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cherenkov_pipeline.alerts.service.intake import shown
from cherenkov_pipeline.errors import UserError

if TYPE_CHECKING:
    from cherenkov_pipeline.alerts.bundle import Bundle


BUNDLE = "06_models/grb_alerts/ensemble"
OUTPUT = "07_model_output/grb_alerts"


class _Seconds(click.FloatRange):
    """A finite number of seconds: no range keeps out nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return seconds


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def alerts() -> None:
    """Is a trigger of SVOM/ECLAIRs a real source? Verdicts on sub-images."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a letter that the terminal does not know ends no service


def _in_one_line(function: Callable[..., Any]) -> Callable[..., Any]:
    """Tell in one line of a user's error, and of a file that cannot be read or written."""

    @functools.wraps(function)
    def run(**options: Any) -> None:
        try:
            function(**options)
        except UserError as error:
            raise click.ClickException(shown(str(error))) from error
        except BrokenPipeError:  # nobody reads on: click ends quietly
            raise
        except OSError as error:
            place = error.filename2 or error.filename
            raise click.ClickException(shown(f"{place}: {error.strerror}." if place else str(error))) from error

    return run


def _data(place: str) -> Path:
    """Where Kedro's catalog has it."""
    return Path(os.environ.get("CHERENKOV_DATA", "data")) / place


def _path_option(name: str, place: str, text: str) -> Callable:
    return click.option(
        f"--{name}",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        callback=lambda context, option, value: value or _data(place),
        help=f"{text} [default: {place} in the data folder]",
    )


_bundle = _path_option("bundle", BUNDLE, "The ensemble that judges.")
_output = _path_option("output", OUTPUT, "Folder of verdicts, pages and audit log.")
_threads = click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of one network.")


@alerts.command()
@click.argument("path", type=click.Path(path_type=Path))
@_bundle
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for a record and a page of each sub-image.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print one JSON object a line.")
@_threads
@_in_one_line
def judge(path: Path, bundle: Path, output: Path | None, as_lines: bool, threads: int) -> None:
    """Judge one file, all files in a folder, or all sub-images of a data set."""
    from cherenkov_pipeline.alerts.batch import find_files, judge_files

    n_images = n_failed = 0
    for result in judge_files(_read(bundle, threads), find_files(path), output):
        n_images, n_failed = n_images + 1, n_failed + (result.problem != "")
        click.echo(result.as_line() if as_lines else result.as_text())
    if n_images > 1 and not as_lines:
        click.echo(f"{n_images - n_failed} of {n_images} judged.")
    if n_failed:
        sys.exit(1)


@alerts.command()
@click.argument("inbox", type=click.Path(path_type=Path))
@_bundle
@_output
@click.option(
    "--interval",
    type=_Seconds(0, min_open=True),
    default=0.2,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--settle", type=_Seconds(0), default=0.3, show_default=True, help="Seconds that a file is left unchanged."
)
@click.option(
    "--patience",
    type=_Seconds(0),
    default=10.0,
    show_default=True,
    help="Seconds for a file to become readable.",
)
@_threads
@_in_one_line
def watch(
    inbox: Path, bundle: Path, output: Path, interval: float, settle: float, patience: float, threads: int
) -> None:
    """Judge every file that is dropped into the folder INBOX, until stopped."""
    from cherenkov_pipeline.alerts.service.inbox import InboxParameters, open_inbox

    stop = _stopped_by_signals()
    parameters = InboxParameters(interval=interval, settle=settle, patience=patience)
    with open_inbox(inbox, output, _read(bundle, threads), parameters, _say) as opened:
        _say(f"Watching {inbox}; verdicts in {output / 'index.html'}")
        opened.watch(stop)


@alerts.command()
@click.argument("alert")
@click.argument("verdict", type=click.Choice(["true", "false", "unsure"]))
@click.option("--by", required=True, help="Who says so.")
@click.option("--cause", default="", help="Such as grb, known_source, ghost.")
@click.option("--note", default="", help="Why.")
@_output
@_in_one_line
def confirm(alert: str, verdict: Any, by: str, cause: str, note: str, output: Path) -> None:
    """Record your own verdict on ALERT: a file's name, its SHA-256 (or how it begins), or a Burst_Id."""
    from cherenkov_pipeline.alerts.service.confirmation import confirm as record

    line = record(output, alert, verdict, by, cause, note)
    click.echo(f"Recorded: {line['file']} is {verdict}, by {line['by']} (line {line['number']} of the audit log).")


@alerts.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--despite-breaks", is_flag=True, help="You have looked at what verify-log names, and trust the rest.")
@_output
@_in_one_line
def labels(path: Path, despite_breaks: bool, output: Path) -> None:
    """Write the advocates' verdicts as a CSV table to PATH, for relabelling."""
    import csv

    from cherenkov_pipeline.alerts.service.confirmation import confirmed_labels
    from cherenkov_pipeline.alerts.service.outputs import audit_log
    from cherenkov_pipeline.files import atomic_path

    found = confirmed_labels(output, despite_breaks)
    for number in audit_log(output).left_out():
        click.echo(f"Line {number} of the audit log was edited: it is left out.", err=True)
    if not found:
        raise UserError(f"No verdict has been confirmed in {output}.")
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, found[0].keys())
        writer.writeheader()
        writer.writerows(found)
    click.echo(f"{len(found)} labels: {path}")


@alerts.command("verify-log")
@click.option("--noted", default=None, metavar="HASH", help="Hash of a line that you noted earlier: it must be there.")
@_output
@_in_one_line
def verify_log(output: Path, noted: str | None) -> None:
    """Look for edits of the audit log, and of the files that it names."""
    from cherenkov_pipeline.alerts.service.confirmation import verify

    found, changed = verify(output, noted)
    broken = [f"Line {line} is broken: {problem}." for line, problem in found.breaks]
    for problem in [*broken[1:], *changed]:
        click.echo(shown(problem), err=True)
    if not broken:
        click.echo(f"{found.n_lines} lines are as they were written. {found.note}".strip())
        click.echo(f"Hash of the last line, to be noted elsewhere: {found.last_hash}")
    problems = [f"{broken[0]} {found.n_lines} lines before it follow each other."] if broken else []
    if changed:
        problems.append(f"{len(changed)} files are not as the log says.")
    if problems:
        raise UserError(" ".join(problems))


@alerts.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--trust-pickle", is_flag=True, help="You trust who made it: a pickle can run any program.")
@_in_one_line
def convert(path: Path, dataset: Path, trust_pickle: bool) -> None:
    """Convert the pickle PATH, such as dataset_2.pkl, to the data set DATASET (.h5 or .npz), once."""
    from cherenkov_pipeline.alerts.pickled import convert_pickle

    if dataset.exists():
        raise UserError(f"{dataset} exists already: choose another name.")
    images = convert_pickle(path, dataset, trust_pickle=trust_pickle)
    click.echo(f"{len(images)} sub-images: {dataset}")


@alerts.command()
@click.argument("inbox", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--group", default="cherenkov-pipeline", show_default=True, help="Name of this reader at GCN.")
@_in_one_line
def notices(inbox: Path, group: str) -> None:
    """Drop the notices of GCN's Kafka topic into INBOX, until stopped (GCN_CLIENT_ID, GCN_CLIENT_SECRET)."""
    from cherenkov_pipeline.alerts.service.kafka import TOPIC, gcn_consumer, receive_notices

    stop = _stopped_by_signals()
    credentials = (os.environ.get(f"GCN_CLIENT_{name}", "") for name in ("ID", "SECRET"))
    consumer = gcn_consumer(*credentials, group)
    _say(f"Listening to {TOPIC}")
    receive_notices(consumer, inbox, stop, _say)


def _read(bundle: Path, threads: int) -> "Bundle":
    from cherenkov_pipeline.alerts.bundle import newest_bundle, read_bundle

    return read_bundle(newest_bundle(bundle), threads)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _stopped_by_signals() -> Callable[[], bool]:
    """Whether a signal has asked this program to stop: what is being judged is finished first, a second one ends it."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return lambda: asked
