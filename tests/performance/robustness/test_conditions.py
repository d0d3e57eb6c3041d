"""One condition is changed at a time, and what cannot be simulated is refused before the work."""

import pytest

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.robustness.conditions import NOMINAL, make_conditions, plan_conditions
from cherenkov_pipeline.performance.robustness.parameters import RobustnessParameters
from cherenkov_pipeline.simulation.parameters import SimulationParameters

GAMMA = {
    "particle": "gamma", "n_files": 2, "n_showers": 10, "energy_min": "1 TeV", "energy_max": "10 TeV",
    "core_radius": "300 m",
}  # fmt: skip
SIMULATION = SimulationParameters(training={}, test={}, n_workers=1)
CONDITIONS = {
    "night sky": {"parameter": "electronics.night_sky_rate", "values": ["0.2 / ns", "0.1 / ns"]},
    "light": {"parameter": "optics.photon_detection_efficiency", "values": [0.3]},
    "zenith": {"parameter": "zenith", "values": ["40 deg"]},
}


def robustness(**conditions) -> RobustnessParameters:
    return RobustnessParameters(productions={"gamma": GAMMA}, conditions=conditions or CONDITIONS)


def test_one_parameter_differs():
    nominal, *others = make_conditions(SIMULATION, robustness())
    assert nominal.simulation == SIMULATION
    # what the simulation has anyway is no condition of its own
    assert [(one.name, one.setting, one.nominal) for one in others] == [
        ("night sky", 0.2, 0.1), ("light", 0.3, 0.35), ("zenith", 40, 20),
    ]  # fmt: skip
    before = SIMULATION.model_dump(mode="json")
    for one in others:
        after = one.simulation.model_dump(mode="json")
        assert sum(before[name] != after[name] for name in before) == 1


def test_the_same_is_thrown_under_all_conditions():
    plan = plan_conditions(SIMULATION, DL1Parameters(), robustness())
    assert len(plan.jobs) == 4 * 2
    assert len({job.name for job in plan.jobs}) == len({job.fingerprint for job in plan.jobs}) == 8
    seeds = {}
    for job in plan.jobs:
        run = job.function.keywords["function"].keywords
        seeds.setdefault(run["obs_id"], set()).add(tuple(run["seed"].entropy))
    assert len(seeds) == 2
    assert all(len(found) == 1 for found in seeds.values())
    records = [job.function.keywords["record"]["condition"] for job in plan.jobs]
    assert records.count(NOMINAL) == 2


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("electronics.night_sky", 1, "robustness.conditions.it: electronics.night_sky = 1.*no such parameter"),
        ("electronics", 1, "no such parameter"),
        ("zenith", "80 deg", "cannot be simulated .zenith: must be at most 60"),
        ("electronics.night_sky_rate", "5 / ns", "the night sky alone would trigger"),
    ],
)
def test_what_cannot_be_simulated_is_refused(parameter, value, message):
    with pytest.raises(UserError, match=message) as error:
        plan_conditions(SIMULATION, DL1Parameters(), robustness(it={"parameter": parameter, "values": [value]}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", [("nominal",), ("point spread", "point-spread")])
def test_conditions_whose_files_would_be_the_same_are_refused(names):
    same = {"parameter": "zenith", "values": ["30 deg"]}
    with pytest.raises(UserError, match=f"{names[-1]} name the same files"):
        plan_conditions(SIMULATION, DL1Parameters(), robustness(**dict.fromkeys(names, same)))
