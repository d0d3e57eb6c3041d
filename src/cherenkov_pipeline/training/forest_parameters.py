"""Parameters of the random forests."""

from pydantic import Field

from cherenkov_pipeline.config import Parameters


class ForestParameters(Parameters):
    """How the random forests are grown. The defaults are those of the SST-1M collaboration (sst1mpipe)."""

    n_trees_regression: int = Field(150, ge=1, description="trees of each regressor (energy, distance to the source)")
    n_trees_classification: int = Field(100, ge=1, description="trees of each classifier (head or tail, particle)")
    max_depth: int | None = Field(30, ge=1, description="greatest depth of a tree; null: no limit")
    min_samples_leaf: int = Field(10, ge=1, description="events that a leaf must have")
    min_samples_split: int = Field(10, ge=2, description="events that a node must have to be split")
    timing: bool = Field(True, description="whether the time gradient along the image is a feature")
    n_jobs: int = Field(2, ge=1, description="trees grown side by side; the result depends on it by rounding alone")
