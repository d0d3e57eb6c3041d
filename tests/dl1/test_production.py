"""Plans of productions: a growing one keeps its files."""

import pytest

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.simulation.parameters import SimulationParameters

GAMMA = {
    "particle": "gamma",
    "n_files": 2,
    "n_showers": 100,
    "energy_min": "1 TeV",
    "energy_max": "10 TeV",
    "core_radius": "300 m",
}
PROTON = {**GAMMA, "particle": "proton", "n_files": 1}


def parameters(gammas=GAMMA, **changes) -> SimulationParameters:
    return SimulationParameters(training={"gammas": gammas, "protons": PROTON}, test={"points": GAMMA}, **changes)


def jobs(parameters: SimulationParameters) -> dict[str, str]:
    """Fingerprints of all files by name."""
    productions = {**parameters.training, **parameters.test}
    return {job.name: job.fingerprint for job in plan_production(parameters, DL1Parameters(), productions).jobs}


def test_more_files_of_a_production_leave_all_others_as_they_are():
    few, many = jobs(parameters()), jobs(parameters({**GAMMA, "n_files": 5}))
    assert len(few) == 5
    assert len(many) == 8
    assert few.items() <= many.items()


def test_another_production_leaves_all_others_as_they_are():
    more = SimulationParameters(
        training={"gammas": GAMMA, "protons": PROTON, "more": PROTON}, test={"points": GAMMA, "far": GAMMA}
    )
    assert jobs(parameters()).items() <= jobs(more).items()


@pytest.mark.parametrize(
    "changed", [parameters({**GAMMA, "n_showers": 101}), parameters({**GAMMA, "energy_max": "20 TeV"})]
)
def test_another_production_of_the_name_is_simulated_anew(changed):
    before, after = jobs(parameters()), jobs(changed)
    for name, identity in before.items():
        assert (after[name] == identity) == (not name.startswith("gammas"))


def test_what_concerns_all_counts_for_all():
    before = jobs(parameters())
    for changes in ({"seed": 1}, {"zenith": "40 deg"}):
        assert not before.items() & jobs(parameters(**changes)).items()
    assert jobs(parameters(n_workers=7)) == before
