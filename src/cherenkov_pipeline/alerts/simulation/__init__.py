"""Simulated alerts of SVOM/ECLAIRs: a coded mask with a random pattern, what happens behind it, and what triggers.

No flight data, and not the flight mask: it serves training of first models, tests and demonstrations.
"""

from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters

__all__ = ["AlertSimulationParameters"]
