"""How much events count in the loss: class weights, and weights that turn the simulated spectrum into another one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.contents import PARTICLES, PRIMARY, particle_name
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.spectra import THROWN, flux, sum_thrown, thrown_per_energy
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.training.parameters import SpectrumParameters, WeightParameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ENERGY = "true_energy"
COLUMNS = (PRIMARY, ENERGY)
"""Columns that weights are made of."""


@dataclass(frozen=True)
class SpectralWeights:
    """Weights of one particle's events.

    Attributes
    ----------
    parameters : SpectrumParameters
    simulated : callable
        Energies [TeV] -> density with which they were simulated, in any unit.
    largest : float
        Weight above which they are cut.
    mean : float
        Of the training events' weights after that.
    """

    parameters: SpectrumParameters
    simulated: Callable[["ArrayLike"], np.ndarray]
    largest: float = np.inf
    mean: float = 1.0

    def __call__(self, energy: "ArrayLike") -> np.ndarray:
        """Weights of events of these energies [TeV]."""
        ratio = flux(self.parameters.target, energy) / self.simulated(energy)
        return np.minimum(ratio, self.largest) / self.mean

    def normalized(self, energy: "ArrayLike") -> "SpectralWeights":
        """With a mean of 1 over the events of these energies."""
        largest = self.parameters.largest * self(energy).mean()
        cut = SpectralWeights(self.parameters, self.simulated, largest)
        return SpectralWeights(self.parameters, self.simulated, largest, float(cut(energy).mean()))


@dataclass(frozen=True)
class EventWeights:
    """Weights of events; their mean over the training events is 1.

    Attributes
    ----------
    classes : mapping
        Value of ``true_shower_primary_id`` -> factor.
    spectra : mapping
        Value of ``true_shower_primary_id`` -> weights as a function of the energy.
    """

    classes: Mapping[int, float]
    spectra: Mapping[int, SpectralWeights]

    def __call__(self, events: Table) -> np.ndarray:
        """Weights (n,) of the events of a table with `COLUMNS`."""
        primary = np.asarray(events[PRIMARY])
        energy = u.Quantity(events[ENERGY], "TeV").value
        weights = np.ones(len(events))
        for number, factor in self.classes.items():
            weights[primary == number] *= factor
        for number, spectrum in self.spectra.items():
            chosen = primary == number
            weights[chosen] *= spectrum(energy[chosen])
        return weights


def fit_weights(parameters: WeightParameters, events: Table, store: EventStore | JoinedStores) -> EventWeights | None:
    """Make the weights that the parameters ask for.

    Parameters
    ----------
    parameters : WeightParameters
    events : astropy.table.Table
        The training events, with `COLUMNS`.
    store : EventStore or JoinedStores
        Where they are from: its DL1 files tell the simulated spectrum.

    Returns
    -------
    EventWeights or None
        None where all weights are 1.

    Raises
    ------
    UserError
        If a weight would have no effect, or the simulated spectrum is not known.
    """
    if not (parameters.classes or parameters.spectra):
        return None
    primary = np.asarray(events[PRIMARY])
    counts = {int(number): int(count) for number, count in zip(*np.unique(primary, return_counts=True), strict=True)}
    present = {number: particle_name(number) for number in counts}
    named = [*parameters.spectra, *(parameters.classes if isinstance(parameters.classes, Mapping) else ())]
    absent = [name for name in named if name not in present.values()]
    if absent:
        raise UserError(
            f"training.weights names {absent[0]}, of which there is no training event: leave it out, or add such files."
        )
    energy = u.Quantity(events[ENERGY], "TeV").value
    spectra = {}
    for name, wanted in parameters.spectra.items():
        number = PARTICLES[name]
        simulated = _simulated(store, number) if wanted.simulated is None else partial(flux, wanted.simulated)
        spectra[number] = SpectralWeights(wanted, simulated).normalized(energy[primary == number])
    return EventWeights(_class_factors(parameters, counts), spectra)


def _class_factors(parameters: WeightParameters, counts: Mapping[int, int]) -> dict[int, float]:
    """Factor of each particle, with a mean of 1 over ``counts`` events of them."""
    total, gamma = sum(counts.values()), PARTICLES["gamma"]
    if parameters.classes is None:
        return {}
    if parameters.classes == "balanced":
        share = counts.get(gamma, 0) / total
        if share in (0, 1):
            names = " or ".join(particle_name(number) for number in counts)
            raise UserError(f"training.weights.classes has no effect: all training events are {names}; set it to null.")
        return {number: 0.5 / (share if number == gamma else 1 - share) for number in counts}
    factors = {number: parameters.classes.get(particle_name(number), 1.0) for number in counts}
    mean = sum(factors[number] * count for number, count in counts.items()) / total
    return {number: factor / mean for number, factor in factors.items()}


def _simulated(store: EventStore | JoinedStores, particle: int) -> Callable[["ArrayLike"], np.ndarray]:
    """Density with which a particle was simulated, as the store tells it of its DL1 files."""
    table = store.columns((PRIMARY, "production"))
    productions = np.unique(np.asarray(table["production"])[np.asarray(table[PRIMARY]) == particle])
    found = []
    for item in (store.provenance["inputs"][int(number)] for number in productions):
        thrown = [one for one in item.get(THROWN, []) if one[PRIMARY] == particle]
        if not thrown:
            raise UserError(
                f"{item['path']} does not tell the spectrum that it was simulated with: give"
                f" training.weights.spectra.{particle_name(particle)}.simulated, the power of the spectrum."
            )
        found += thrown
    first, *others = sum_thrown(found)
    return partial(thrown_per_energy, [first, *others]) if others else partial(flux, first["spectral_index"])
