"""Equal fingerprints mean equal contents, values and code."""

import os

import pytest

from cherenkov_pipeline import fingerprints
from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint, fingerprint_file


def test_of_a_file_content_counts_not_name_or_time(tmp_path):
    for name, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(content)
    a, b, c = (fingerprint_file(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 16
    os.utime(tmp_path / "a", (0, 0))
    assert fingerprint_file(tmp_path / "a") == a


def test_of_values(tmp_path):
    class Settings(Parameters):
        number: int = 1

    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint((1, 2)) == fingerprint([1, 2])
    assert fingerprint(1, 2) != fingerprint(12)
    assert fingerprint("1") != fingerprint(1)
    assert fingerprint(Settings()) != fingerprint(Settings(number=2))
    assert fingerprint(tmp_path) == fingerprint(str(tmp_path))
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())


@pytest.mark.parametrize("room", ["no_such_room", "empty"])
def test_a_room_without_code_is_a_mistake(room, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(fingerprints, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match=room):
        code_fingerprint(room)


def test_code_of_other_rooms_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("a")
    (tmp_path / "other.py").write_text("b")
    monkeypatch.setattr(fingerprints, "PACKAGE", tmp_path)

    def of_both():
        code_fingerprint.cache_clear()
        return code_fingerprint("room"), code_fingerprint("other"), code_fingerprint("room", "other")

    before = of_both()
    (tmp_path / "other.py").write_text("c")
    after = of_both()
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]
    code_fingerprint.cache_clear()
