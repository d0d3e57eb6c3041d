"""The likelihoods of one task, by name."""

from cherenkov_pipeline.models.likelihoods.base import Likelihood
from cherenkov_pipeline.models.likelihoods.bernoulli import BERNOULLI
from cherenkov_pipeline.models.likelihoods.gaussian import GAUSSIAN
from cherenkov_pipeline.models.likelihoods.head_tail import HEAD_TAIL
from cherenkov_pipeline.models.likelihoods.point import POINT

SIMPLE: dict[str, Likelihood] = {
    "gaussian": GAUSSIAN,
    "bernoulli": BERNOULLI,
    "head_tail": HEAD_TAIL,
    "point": POINT,
}
