"""All tables of the instrument response."""

from dataclasses import dataclass

from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.direction import SIDE_METRICS, direction_sample
from cherenkov_pipeline.performance.energy import energy_per_bin
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import stages
from cherenkov_pipeline.performance.response.cuts import best_cuts
from cherenkov_pipeline.performance.response.events import GAMMA, PROTON, simulated, weighted_events
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.sensitivity import differential_sensitivity
from cherenkov_pipeline.performance.sample import generators, per_energy


@dataclass(frozen=True)
class Sample:
    """Gammas and protons with their weights; ``valid`` ones have an energy, a gammaness and a direction."""

    gammas: QTable
    protons: QTable

    @property
    def valid(self) -> tuple[QTable, QTable]:
        """Gammas and protons that were reconstructed."""
        return tuple(events[events["is_valid"].astype(bool)] for events in (self.gammas, self.protons))


def make_sample(events: QTable, thrown: QTable) -> Sample:
    """Weight gammas and protons.

    Raises
    ------
    UserError
        If a column is missing, or no gamma or no proton was reconstructed.
    """
    sample = Sample(weighted_events(events, thrown, GAMMA), weighted_events(events, thrown, PROTON))
    for particle, valid in zip((GAMMA, PROTON), sample.valid, strict=True):
        if not len(valid):
            raise UserError(f"No {particle} has a valid energy, gammaness and direction: simulate more, or cut less.")
    return sample


def response_cuts(sample: Sample, parameters: ResponseParameters, evaluation: EvaluationParameters) -> QTable:
    """Find the best cuts, see `response.cuts.best_cuts`."""
    return best_cuts(*sample.valid, energy_edges(evaluation), parameters, evaluation.minimum_events)


def response_tables(
    sample: Sample, thrown: QTable, cuts: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters
) -> dict[str, QTable]:
    """Make all tables.

    Parameters
    ----------
    sample : Sample
    thrown : QTable
        From `response.events.read_events`.
    cuts : QTable
        From `response_cuts`.
    parameters : ResponseParameters
    evaluation : EvaluationParameters
        Bins and intervals.

    Returns
    -------
    dict of str to QTable
        By the names in `response.names.TABLES`. ``energy`` and ``direction`` are those of the evaluation, of the gammas
        after the gammaness cut; ``counts`` has the numbers at each stage.
    """
    left = {GAMMA: stages.stages(sample.gammas, cuts), PROTON: stages.stages(sample.protons, cuts)}
    info = simulated(thrown, GAMMA)
    gamma_like = sample.gammas[left[GAMMA][stages.GAMMANESS]]
    energy_rng, direction_rng = generators(evaluation, 2)
    minimum = evaluation.minimum_events
    return {
        "counts": _counts(thrown, left),
        "areas": stages.areas(sample.gammas, left[GAMMA], info, energy_edges(evaluation), minimum),
        "energy": energy_per_bin(gamma_like, evaluation, energy_rng),
        "direction": per_energy(direction_sample(gamma_like), SIDE_METRICS, evaluation, direction_rng),
        "background": stages.background_rates(sample.protons, left[PROTON], cuts, parameters),
        "sensitivity": differential_sensitivity(*sample.valid, cuts, parameters, minimum),
    }


def _counts(thrown: QTable, left: dict[str, dict]) -> QTable:
    rows = [(particle, "thrown", simulated(thrown, particle).n_showers) for particle in left] + [
        (particle, stage, int(mask.sum())) for particle, masks in left.items() for stage, mask in masks.items()
    ]
    return QTable(rows=rows, names=("particle", "stage", "n"))
