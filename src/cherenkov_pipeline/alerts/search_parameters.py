"""Parameters of the search for a network that judges sub-images."""

from typing import ClassVar

from pydantic import Field

from cherenkov_pipeline.training.search_parameters import SearchParameters


class AlertSearchParameters(SearchParameters):
    """Which configurations of a network are tried, and how they are compared."""

    roots: ClassVar[tuple[str, ...]] = (
        "network",
        "preparation",
        "augmentation",
        "weights",
        "fine_tuning",
        "training",
    )
    not_comparable: ClassVar[tuple[str, ...]] = ("training.loss", "network.options.l2")

    of: str = Field("cnn_scratch_mask", description="The network, by its name among the methods.")
