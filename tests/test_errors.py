import pytest

from cherenkov_pipeline.errors import FEW, LONGEST, reason, which_instead


def test_what_was_meant_or_what_there_is():
    assert which_instead("enrgy", {"energy", "type"}) == "did you mean 'energy'?"
    assert which_instead("x", {"type", "energy"}) == "known are energy, type."
    many = [f"dataset_{number}" for number in range(FEW + 1)]
    assert which_instead("x", many) == f"it is none of the {FEW + 1} there are."


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("one\ntwo"), "OSError: one two"),
        (ValueError(), "ValueError"),
        (ValueError("\n"), "ValueError"),
        (ValueError("x" * LONGEST), "ValueError: " + "x" * (LONGEST - 12)),
    ],
)
def test_reason_of_an_exception_is_one_line(error, line):
    assert reason(error) == line
