"""Parameters of the alerts as the project has them."""

from pathlib import Path

import yaml

from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.config import merge

CONF = Path(__file__).parents[2] / "conf"


def project_parameters(env, **changes) -> AlertParameters:
    """Read the parameters of an environment, with some blocks in place of its own."""
    found = yaml.safe_load((CONF / "base" / "parameters" / "grb_alerts.yml").read_text())["grb_alerts"]
    if env != "base":
        own = yaml.safe_load((CONF / env / "parameters" / "grb_alerts.yml").read_text())
        found = merge(found, own["grb_alerts"])
    return AlertParameters.model_validate({**found, **changes})
