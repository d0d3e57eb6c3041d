"""How a model behaves on data that it was not made for: small productions with one condition changed at a time.

- `robustness.conditions`: what is simulated; `robustness.predictions`: what the model predicts of it.
- `robustness.table`: metrics at each condition, and their ratio to the nominal one.
"""

from cherenkov_pipeline.performance.robustness.parameters import RobustnessParameters

__all__ = ["RobustnessParameters"]
