from cherenkov_pipeline.errors import FEW, which_instead


def test_what_was_meant_or_what_there_is():
    assert which_instead("enrgy", {"energy", "type"}) == "did you mean 'energy'?"
    assert which_instead("x", {"type", "energy"}) == "known are energy, type."
    many = [f"dataset_{number}" for number in range(FEW + 1)]
    assert which_instead("x", many) == f"it is none of the {FEW + 1} there are."
