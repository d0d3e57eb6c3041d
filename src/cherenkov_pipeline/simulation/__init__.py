"""Air showers seen by an array of Cherenkov telescopes.

Gammas and protons in a standard atmosphere, their Cherenkov light in the two SST-1M telescopes. Semi-analytic and
fast; it serves training, tests and demonstrations and is no replacement for CORSIKA and sim_telarray.
"""

from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters

__all__ = ["Production", "SimulationParameters"]
