"""The advocate's own verdict: recorded in the audit log, and read from it as labels for the next training."""

from pathlib import Path
from typing import Any, Literal

from cherenkov_pipeline.alerts.images import CAUSES, REAL_CAUSES
from cherenkov_pipeline.alerts.service.audit import AuditLog, Verification
from cherenkov_pipeline.alerts.service.intake import shown
from cherenkov_pipeline.alerts.service.outputs import audit_log, sha256
from cherenkov_pipeline.errors import UserError

LONGEST_TEXT = 2000

SHORTEST_HASH = 6

IS_REAL = {"true": True, "false": False}
"""What an advocate's verdict says; "unsure" says nothing."""


def confirm(
    output: Path, alert: str, verdict: Literal["true", "false", "unsure"], by: str, cause: str = "", note: str = ""
) -> dict[str, Any]:
    """Record an advocate's own verdict.

    Parameters
    ----------
    output : pathlib.Path
        Folder that the service writes to.
    alert : str
        SHA-256 of the file or its beginning, its name, or its Burst_Id, if that has one sub-image only.
    verdict : str
        ``true`` (a real source), ``false`` or ``unsure``.
    by : str
        Who says so.
    cause : str, optional
        Of `~cherenkov_pipeline.alerts.images.CAUSES`; it must be one of the verdict's, as the models were taught.
    note : str, optional

    Returns
    -------
    dict
        The line of the log.

    Raises
    ------
    UserError
        If there is no such alert, or several, or the words do not fit together.
    """
    if not by.strip() or max(len(by), len(note)) > LONGEST_TEXT:
        raise UserError(f"Name who says so, in at most {LONGEST_TEXT} characters.")
    log = audit_log(output)
    judged = _find(log, alert)
    causes = [known for known, is_real in _label_map(log, judged).items() if is_real is IS_REAL.get(verdict)]
    if cause and cause not in causes:
        known = f"choose one of {', '.join(causes)}" if causes else "leave it out"
        raise UserError(f'The cause "{cause}" does not go with the verdict "{verdict}": {known}.')
    return log.append(
        "confirmed",
        input_sha256=judged["input_sha256"],
        file=judged["file"],
        burst_id=judged["burst_id"],
        verdict=judged["verdict"],
        own_verdict=verdict,
        cause=cause,
        by=shown(by.strip()),
        note=shown(note),
    )


def confirmed_labels(output: Path, despite_breaks: bool = False) -> list[dict[str, Any]]:
    """List what advocates have said of each sub-image last, for relabelling.

    Parameters
    ----------
    output : pathlib.Path
        Folder that the service writes to.
    despite_breaks : bool
        Read a log whose chain is broken as well. What is not as its own hash says is left out, but not a line that was
        given the hash that fits.

    Returns
    -------
    list of dict
        ``path`` (of the file that was judged, absolute), ``input_sha256``, ``burst_id``, ``is_real`` (None: unsure),
        ``cause``, ``label_source``, ``time``, ``note``, ``model_verdict``.

    Raises
    ------
    UserError
        If there is no log, or its chain is broken.
    """
    log = audit_log(output)
    found = log.verify()
    if found.breaks and not despite_breaks:
        raise UserError(
            f"Line {found.broken_line} of the audit log is broken: {found.problem}. Labels before or after it may be"
            " forged: look at what verify-log names, then take --despite-breaks if you trust the rest."
        )
    places: dict[str, str] = {}
    labels: dict[str, dict[str, Any]] = {}
    for entry in log.entries():
        if entry["event"] == "verdict":
            places[entry["input_sha256"]] = entry["kept"]
        if entry["event"] == "confirmed" and entry["input_sha256"] in places:
            labels[entry["input_sha256"]] = {
                "path": str((output / places[entry["input_sha256"]]).resolve()),
                "input_sha256": entry["input_sha256"],
                "burst_id": entry["burst_id"],
                "is_real": IS_REAL.get(entry["own_verdict"]),
                "cause": entry["cause"],
                "label_source": entry["by"],
                "time": entry["time"],
                "note": entry["note"],
                "model_verdict": entry["verdict"],
            }
    return list(labels.values())


def verify(output: Path, noted_hash: str | None = None) -> tuple[Verification, list[str]]:
    """Verify the audit log, and that the files which it names are as they were written.

    Returns
    -------
    verification : Verification
        Of the log.
    changed : list of str
        Files that are gone or were changed; verdicts of which the log does not know.
    """
    log = audit_log(output)
    found = log.verify(noted_hash)
    written: dict[str, str] = {}
    for entry in log.entries():
        for name in ("record", "page"):
            if entry.keys() >= {name, f"{name}_sha256"}:
                written[entry[name]] = entry[f"{name}_sha256"]
        if entry["event"] in ("verdict", "notice"):
            written[entry["kept"]] = entry["input_sha256"]
    changed = []
    for place, digest in written.items():
        path = output / place
        if not path.is_file():
            changed.append(f"{place} is gone")
        elif sha256(path.read_bytes()) != digest:
            changed.append(f"{place} was changed")
    present = {path.relative_to(output).as_posix() for path in (output / "verdicts").glob("[!.]*")}
    changed += [f"{place} is not in the log" for place in sorted(present - written.keys())]
    return found, changed


def _label_map(log: AuditLog, judged: dict[str, Any]) -> dict[str, bool]:
    """Whether each cause counts as a true source, for the models that judged: the service's start has logged it."""
    label_map = {cause: cause in REAL_CAUSES for cause in CAUSES}
    for entry in log.entries():
        if entry["event"] == "started" and entry.get("bundle_sha256") == judged["bundle_sha256"]:
            label_map |= entry.get("label_map", {})
    return label_map


def _find(log: AuditLog, alert: str) -> dict[str, Any]:
    found = {
        entry["input_sha256"]: entry
        for entry in log.entries()
        if entry["event"] == "verdict"
        and alert
        and (
            alert in (entry["file"], entry["burst_id"])
            or (len(alert) >= SHORTEST_HASH and entry["input_sha256"].startswith(alert.lower()))
        )
    }
    if not found:
        raise UserError(f'There is no verdict on "{alert}" in {log.path}: give the file\'s name or its SHA-256.')
    if len(found) > 1:
        names = ", ".join(f"{digest[:12]} ({entry['file']})" for digest, entry in list(found.items())[:5])
        raise UserError(f'There are {len(found)} verdicts on "{alert}": give one of {names}.')
    return next(iter(found.values()))
