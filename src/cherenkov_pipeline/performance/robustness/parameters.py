"""Parameters of the robustness table: what is thrown, and under which conditions."""

from pydantic import Field

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.simulation.parameters import Production


class Variation(Parameters):
    """One parameter of the simulation, changed alone."""

    parameter: str = Field(
        pattern=r"^\w+(\.\w+)*$", description="its name under simulation, such as electronics.night_sky_rate"
    )
    values: tuple[float | str, ...] = Field(min_length=1, description="its values, beside that of the simulation")


class RobustnessParameters(Parameters):
    """Test productions that are simulated anew under each condition."""

    productions: dict[str, Production] = Field(min_length=1, description="what is thrown, by name")
    conditions: dict[str, Variation] = Field(min_length=1, description="what is changed, by a name for readers")
