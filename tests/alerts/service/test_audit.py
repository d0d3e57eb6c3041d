import hashlib
import json
import threading

import pytest

from cherenkov_pipeline.alerts.service.audit import FIRST, MISSING, REPAIRED, AuditLog
from cherenkov_pipeline.errors import UserError


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.append("verdict", input_sha256=f"{number:064d}", note="naïve “text”\n" * number)
    return log


def forge_line(log, line, /, **changes):
    """Edit a line and give it the hash that fits."""
    content = lines(log)
    record = json.loads(content[line - 1]) | changes
    del record["hash"]
    digest = hashlib.sha256(json.dumps(record).encode()).hexdigest()
    content[line - 1] = json.dumps(record | {"hash": digest}).encode() + b"\n"
    log.path.write_bytes(b"".join(content))


def lines(log):
    return log.path.read_bytes().splitlines(keepends=True)


def test_lines_are_chained_json(log):
    entries = list(log.entries())
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry["previous"] for entry in entries] == [FIRST, *(entry["hash"] for entry in entries[:-1])]
    assert entries[3]["note"] == "naïve “text”\n" * 3
    found = log.verify()
    assert (found.n_lines, found.last_hash, found.broken_line, found.problem) == (5, entries[-1]["hash"], None, "")


def test_no_log_has_no_entries_and_cannot_be_verified(tmp_path):
    log = AuditLog(tmp_path / "none.jsonl")
    assert list(log.entries()) == []
    with pytest.raises(UserError, match="no audit log"):
        log.verify()


@pytest.mark.parametrize("number", [1, 3, 5])
def test_edited_line_is_named(log, number):
    content = lines(log)
    content[number - 1] = content[number - 1].replace(b"verdict", b"Verdict")
    log.path.write_bytes(b"".join(content))
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (number, number - 1)
    assert "content" in found.problem


def test_edited_line_with_a_new_hash_of_its_own_breaks_the_next(log, tmp_path):
    entry = json.loads(lines(log)[1])
    forged = AuditLog(tmp_path / "forged.jsonl")
    forged.append("verdict", input_sha256="0" * 64, note="")
    forged.append("rejected", **{name: entry[name] for name in ("input_sha256", "note")})
    content = lines(log)
    content[1] = lines(forged)[1].replace(json.loads(lines(forged)[1])["previous"].encode(), entry["previous"].encode())
    log.path.write_bytes(b"".join(content))
    assert log.verify().broken_line == 2


@pytest.mark.parametrize("change", ["removed", "inserted", "moved", "no hash"])
def test_lines_that_were_removed_inserted_or_moved_are_noticed(log, change):
    content = lines(log)
    match change:
        case "removed":
            del content[2]
        case "inserted":
            content.insert(2, content[1])
        case "moved":
            content[2], content[3] = content[3], content[2]
        case "no hash":
            content[2] = b'{"number": 3, "event": "verdict"}\n'
    log.path.write_bytes(b"".join(content))
    assert log.verify().broken_line == 3


EDITS = {
    "content": (lambda lines: [*lines[:1], lines[1].replace(b"verdict", b"Verdict"), *lines[2:]], [2]),
    "two": (lambda lines: [line.replace(b'"note": "n', b'"note": "N') for line in lines], [2, 3, 4, 5]),
    "no line": (lambda lines: [*lines[:1], b"text\n", *lines[2:]], [2]),
    "inserted": (lambda lines: [*lines[:1], b"\n", *lines[1:]], [2]),
    "repeated": (lambda lines: [*lines[:2], lines[1], *lines[2:]], [3]),
    "removed": (lambda lines: [*lines[:1], *lines[2:]], [2]),
    "edited and cut off": (lambda lines: [*lines[:1], b"text\n", *lines[2:4]], [2, 5]),
    "edited and added": (lambda lines: [*lines[:1], b"text\n", *lines[2:], b"\n", b"\n"], [2, 6, 7]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_break_is_named_and_nothing_else(log, edit):
    change, broken = EDITS[edit]
    log.path.write_bytes(b"".join(change(lines(log))))
    found = log.verify()
    assert [one.line for one in found.breaks] == broken
    assert (found.broken_line, found.n_lines) == (broken[0], broken[0] - 1)
    if broken[0] == 2:
        assert found.last_hash == json.loads(lines(log)[0])["hash"]


def test_line_with_a_hash_of_its_own_breaks_the_chain_once(log):
    forge_line(log, 3, note="forged")
    (found,) = log.verify().breaks
    assert found.line == 4
    assert "follow" in found.problem


@pytest.mark.parametrize("number", [-7, 10**9])
def test_forged_number_breaks_the_chain(log, number):
    forge_line(log, 5, number=number)
    assert log.verify().broken_line == 5
    log.append("verdict")
    assert log.verify().broken_line == 5


def test_noted_hash_is_looked_for_beyond_a_break(log):
    noted = list(log.entries())[3]["hash"]
    content = lines(log)
    log.path.write_bytes(b"".join([*content[:1], b"text\n", *content[2:]]))
    assert [one.line for one in log.verify(noted).breaks] == [2]
    assert ["noted" in one.problem for one in log.verify("f" * 64).breaks] == [False, True]


def test_lines_cut_off_at_the_end_are_noticed(log):
    log.path.write_bytes(b"".join(lines(log)[:3]))
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (4, 3)
    assert "up to 5" in found.problem


def test_lines_cut_off_at_the_end_are_noticed_later_too(log):
    head = log.head_path.read_text()
    log.path.write_bytes(b"".join(lines(log)[:3]))
    log.append("verdict")
    assert len(list(log.entries())) == 5
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (4, 3)
    assert "named line 5 as the last one" in found.problem
    assert head != log.head_path.read_text()


def test_last_line_that_was_replaced_is_noticed_later_too(log, tmp_path):
    shorter = AuditLog(tmp_path / "shorter.jsonl")
    shorter.path.write_bytes(b"".join(lines(log)[:4]))
    shorter.head_path.write_text(f"4 {json.loads(lines(log)[3])['hash']}\n")
    shorter.append("verdict", input_sha256="forged")
    log.path.write_bytes(shorter.path.read_bytes())
    assert log.verify().broken_line == 5
    log.append("verdict")
    assert log.verify().broken_line == 6


def test_log_without_its_head_is_noticed(log):
    log.head_path.unlink()
    assert "gone" in log.verify().problem
    log.append("verdict")
    assert log.verify().broken_line == 6


def test_new_chain_lacks_the_hash_that_was_noted(log, tmp_path):
    noted = list(log.entries())[2]["hash"]
    assert log.verify(noted).broken_line is None
    other = AuditLog(tmp_path / "other.jsonl")
    for _ in range(5):
        other.append("verdict")
    assert "noted" in other.verify(noted).problem


def test_program_killed_at_any_byte_of_a_line(log):
    whole = log.path.read_bytes()
    last = lines(log)[-1]
    head = log.head_path.read_text()
    for n in range(0, len(last), 7):
        # the last line had been begun when the program was killed: its head was not yet written
        log.path.write_bytes(whole[: len(whole) - len(last) + n])
        log.head_path.write_text(f"4 {json.loads(lines(log)[3])['hash']}\n")
        assert log.verify().broken_line is None
        assert len(list(log.entries())) == 4
        log.append("verdict", again=True)
        assert log.verify().broken_line is None
        entries = list(log.entries())
        assert entries[-1]["again"]
        if n:
            assert entries[4]["event"] == REPAIRED
            assert entries[4]["cut_off"].encode() == last[:n]
        assert len(entries) == 5 + bool(n)
    # killed between line and head
    log.path.write_bytes(whole)
    log.head_path.write_text(f"4 {json.loads(lines(log)[3])['hash']}\n")
    assert log.verify().broken_line is None
    log.append("verdict")
    assert log.verify().n_lines == 7
    assert head != log.head_path.read_text()


def forge(log, n):
    """Add lines that follow the last one, and leave the head as it is."""
    head = log.head_path.read_text()
    for _ in range(n):
        log.append("verdict", forged=True)
    log.head_path.write_text(head)


def test_one_line_after_the_head_is_noted_and_told_of(log):
    forge(log, 1)
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (None, 6)
    assert "killed" in found.problem
    log.append("verdict")
    repaired = list(log.entries())[6]
    assert (repaired["event"], repaired["after_head"]) == (REPAIRED, 6)
    assert (log.verify().broken_line, log.verify().problem) == (None, "")


def test_program_killed_after_the_first_line(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append("started")
    log.head_path.unlink()
    assert log.verify().broken_line is None
    log.append("verdict")
    assert log.verify().n_lines == 3


@pytest.mark.parametrize("n", [2, 3])
def test_lines_that_were_added_are_noticed(log, n):
    forge(log, n)
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (6, 5)
    assert found.last_hash == list(log.entries())[4]["hash"]
    assert "added" in found.problem
    log.append("verdict")
    found = log.verify()
    assert found.broken_line == 6 + n
    assert "added" in found.problem


def test_log_that_grows_while_it_is_verified_is_whole(log):
    def write():
        for _ in range(200):
            log.append("verdict")

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert log.verify().broken_line is None
    writer.join()


def test_several_writers_take_turns(log):
    def write(name):
        for _ in range(20):
            AuditLog(log.path).append("confirmed", by=name)

    threads = [threading.Thread(target=write, args=(f"advocate {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.verify().n_lines == 85
    assert log.verify().broken_line is None


EDITED_ENDS = {
    "blank": lambda last: last + b"\n",
    "list": lambda last: last + b"[]\n",
    "no text": lambda last: last + b"\xff\xfe\n",
    "no hash": lambda last: last + b'{"number": 6, "event": "verdict"}\n',
    "content": lambda last: last.replace(b"verdict", b"Verdict"),
    "lacks a key": lambda last: last.replace(b'"event": "verdict", ', b""),
}


@pytest.mark.parametrize("end", EDITED_ENDS)
def test_chain_goes_on_after_an_edited_end(log, end):
    *before, last = lines(log)
    log.path.write_bytes(b"".join(before) + EDITED_ENDS[end](last))
    n, edited = len(lines(log)), lines(log)[-1]
    assert log.left_out() == [n]
    log.append("verdict")
    log.append("verdict")
    assert log.left_out() == [n]
    entries = list(log.entries())
    assert [entry["number"] for entry in entries] == [number for number in range(1, n + 4) if number != n]
    assert entries[n - 1]["event"] == (REPAIRED if n == 6 else MISSING)
    assert entries[n - 1]["previous"] == hashlib.sha256(edited).hexdigest()
    found = log.verify()
    assert (found.broken_line, found.n_lines) == (n, n - 1)


def test_edited_lines_are_left_out(log):
    content = lines(log)
    content[1:4] = b"text\n", b"\n", content[3].replace(b"text", b"test")
    log.path.write_bytes(b"".join(content))
    assert log.left_out() == [2, 3, 4]
    assert [entry["number"] for entry in log.entries()] == [1, 5]


def test_lines_that_lack_what_their_event_says_are_left_out(log):
    log.append("confirmed", by="me")
    strict = AuditLog(log.path, {"verdict": {"input_sha256": str, "note": str}, "confirmed": {"by": str, "cause": str}})
    assert strict.left_out() == [6]
    assert len(list(strict.entries())) == 5
    assert strict.verify().broken_line is None


@pytest.mark.parametrize("content", ["", "five", "5 a b"])
def test_edited_head_is_noticed(log, content):
    log.head_path.write_text(content)
    assert "edited" in log.verify().problem
    log.append("verdict")
    assert log.verify().broken_line == 6


def test_long_lines(log):
    log.append("verdict", note="x" * 200_000)
    log.append("verdict", note="short")
    assert log.verify().n_lines == 7
