import astropy.units as u
import pytest
from pydantic import Field, ValidationError, model_validator

from cherenkov_pipeline.config import Parameters, first_problem, merge, quantity
from cherenkov_pipeline.fingerprints import fingerprint


class Example(Parameters):
    energy: quantity("TeV", minimum=0.1, maximum=100) = 1 * u.TeV
    angle: quantity("deg") = Field(20 * u.deg, description="zenith distance")
    number: int = Field(3, ge=1)
    rate: float = 0.1


@pytest.mark.parametrize(("text", "value"), [("300 GeV", 0.3), ("0.1 TeV", 0.1), ("100 TeV", 100), (2 * u.TeV, 2)])
def test_converted_to_the_declared_unit(text, value):
    energy = Example(energy=text).energy

    assert energy.unit == u.TeV
    assert energy.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("5", "expected a value in TeV"),
        (5, "expected a value in TeV"),
        ("5 m", "expected a value in TeV"),
        ("much", "expected a value in TeV"),
        (None, "expected a value in TeV"),
        ([1, 2] * u.TeV, "one finite value"),
        ("inf TeV", "one finite value"),
        ("50 GeV", "at least 0.1 TeV"),
        ("101 TeV", "at most 100 TeV"),
        ("nan TeV", "one finite value"),
    ],
)
def test_refused_with_what_was_received(wrong, message):
    with pytest.raises(ValidationError, match=message) as caught:
        Example(energy=wrong)
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_are_finite(number):
    with pytest.raises(ValidationError, match="finite"):
        Example(rate=float(number))
    with pytest.raises(ValidationError, match="finite"):
        Example(angle=f"{number} deg")


def test_unknown_key_is_an_error():
    with pytest.raises(ValidationError, match="enrgy"):
        Example(enrgy="1 TeV")


def test_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        Example().number = 4


def test_round_trip_through_json():
    example = Example(energy="300 GeV", angle="1 rad", number=5)
    again = Example.model_validate_json(example.model_dump_json())

    assert again.number == 5
    assert u.isclose(again.energy, example.energy)
    assert u.isclose(again.angle, example.angle)


def test_fingerprint_sees_values_not_spelling():
    assert fingerprint(Example(energy="300 GeV")) == fingerprint(Example(energy="0.3 TeV"))
    assert fingerprint(Example(energy="300 GeV")) != fingerprint(Example(energy="301 GeV"))


def test_the_first_problem_is_one_line():
    class Outer(Parameters):
        inner: Example = Example()

        @model_validator(mode="after")
        def _even(self):
            if self.inner.number % 2:
                raise ValueError("number must be even")
            return self

    with pytest.raises(ValidationError) as nested:
        Outer(inner={"number": 0, "energy": "3 m"})
    assert first_problem(nested.value).startswith("inner.energy: expected a value in TeV")
    with pytest.raises(ValidationError) as whole:
        Outer(inner={"number": 3})
    assert first_problem(whole.value) == "number must be even"


BLOCK = {"model": {"name": "a", "options": {"x": 1}}, "training": {"epochs": 3, "schedule": {"name": "plateau"}}}


def test_another_thing_does_not_get_the_options_of_the_first():
    own = {"model": {"name": "b"}, "training": {"schedule": {"name": "cosine", "warmup_epochs": 2}}}
    merged = merge(BLOCK, own)
    assert merged["model"] == {"name": "b"}
    assert merged["training"] == {"epochs": 3, "schedule": {"name": "cosine", "warmup_epochs": 2}}
    assert merge(BLOCK, {"model": {"name": "a", "options": {"y": 2}}})["model"]["options"] == {"x": 1, "y": 2}
    assert merge(BLOCK, {"model": None})["model"] is None


class Speed(Parameters):
    name: str = "slow"
    steps: int = 3
    size: float = 1.0


class Walk(Parameters):
    speed: Speed = Speed(name="fast", steps=10)


class Day(Parameters):
    walk: Walk = Walk(speed=Speed(name="fast", size=2.0))


def test_what_a_block_leaves_out_is_that_of_its_place():
    assert Walk.model_validate({"speed": {"size": 4.0}}).speed == Speed(name="fast", steps=10, size=4.0)
    assert Day.model_validate({"walk": {"speed": {"steps": 4}}}).walk.speed == Speed(name="fast", steps=4, size=2.0)
    assert Walk.model_validate({"speed": {"name": "other"}}).speed == Speed(name="other")
    assert Walk.model_validate({"speed": {}}).speed == Walk().speed
