"""Nodes of the simulation."""

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.file_plans import FilePlan
from cherenkov_pipeline.simulation.parameters import SimulationParameters


def plan_training_showers(simulation: SimulationParameters, dl1: DL1Parameters) -> FilePlan:
    """Plan the showers that models learn from."""
    from cherenkov_pipeline.dl1.production import plan_production

    return plan_production(simulation, dl1, simulation.training)


def plan_test_showers(simulation: SimulationParameters, dl1: DL1Parameters) -> FilePlan:
    """Plan the showers that no model ever learns from."""
    from cherenkov_pipeline.dl1.production import plan_production

    return plan_production(simulation, dl1, simulation.test)
