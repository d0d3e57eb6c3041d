"""Events weighted to physical spectra: metrics of such a sample, and the rate that each event stands for.

Simulations throw flat spectra, so that there are events at high energies: a metric of all of them says how a model does
on the simulation. Weighted, it says how it does on a source. Of a metric only shapes count: the weights of a particle's
events have a mean of 1, so the mixture of particles stays that of the sample.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.dl1.contents import PARTICLES, PRIMARY, particle_name
from cherenkov_pipeline.performance.metrics import Metric, metrics_table
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.sample import Sample, values_in
from cherenkov_pipeline.spectra import THROWN, flux, thrown_per_energy

if TYPE_CHECKING:
    from pyirf.simulations import SimulatedEventsInfo
    from pyirf.spectral import PowerLaw


def spectral_weights(predictions: Table, rows: np.ndarray, spectra: Mapping[str, float | str]) -> np.ndarray:
    """Weigh events to the spectra of their particles.

    Parameters
    ----------
    predictions : Table
        With ``true_energy``, ``true_shower_primary_id`` (without it all count as gammas), and in ``meta`` what
        `cherenkov_pipeline.spectra.THROWN` names.
    rows : ndarray of int, shape (n,)
        Events of one sample.
    spectra : mapping
        Name of a particle -> what `cherenkov_pipeline.spectra.flux` takes.

    Returns
    -------
    ndarray, shape (n,)
        Flux over thrown density (pyirf's ``calculate_event_weights``), of mean 1 over a particle's events; NaN for
        particles without a spectrum, or if it is not known how they were thrown.
    """
    weights = np.full(len(rows), np.nan)
    if "true_energy" not in predictions.colnames:
        return weights
    energy = values_in(predictions, "true_energy", "TeV")[rows]
    primary = _primaries(predictions, rows)
    for name, spectrum in spectra.items():
        chosen = (primary == PARTICLES[name]) & (energy > 0)
        thrown = [one for one in predictions.meta.get(THROWN, ()) if one[PRIMARY] == PARTICLES[name]]
        density = thrown_per_energy(thrown, energy[chosen])
        with np.errstate(divide="ignore"):
            found = np.where(density > 0, flux(spectrum, energy[chosen]) / density, np.nan)
        if np.isfinite(found).any():
            weights[chosen] = found / np.nanmean(found)
    return weights


def weighted_metrics(
    predictions: Table,
    sample: Sample,
    metrics: Sequence[Metric],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
) -> QTable:
    """Make the metrics table of a sample weighted to the spectra of ``parameters``.

    Parameters
    ----------
    predictions : Table
        See `spectral_weights`.
    sample : Sample
        Made from them.
    metrics : sequence of Metric
    parameters : EvaluationParameters
    rng : numpy.random.Generator

    Returns
    -------
    QTable
        As `performance.metrics.metrics_table`, empty if nothing can be weighted. ``meta`` has ``spectra`` (particle ->
        name or power), ``n_effective`` (particle -> number of equal events of the same statistical weight, Kish 1965)
        and ``n_left_out``, the events without a weight.
    """
    weights = spectral_weights(predictions, sample.rows, parameters.spectra)
    known = np.isfinite(weights)
    weights, showers = weights[known], sample.showers[known]
    columns = {name: column[known] for name, column in sample.columns.items()}
    table = metrics_table(columns, metrics if known.any() else (), showers, {}, parameters, rng, weights)
    primary = _primaries(predictions, sample.rows[known])
    groups = {particle_name(int(number)): weights[primary == number] for number in np.unique(primary)}
    table.meta["spectra"] = {name: parameters.spectra[name] for name in groups}
    table.meta["n_effective"] = {name: float(own.sum() ** 2 / (own**2).sum()) for name, own in groups.items()}
    table.meta["n_left_out"] = int((~known).sum())
    return table


def flux_weights(energy: u.Quantity, thrown: "SimulatedEventsInfo", spectrum: "PowerLaw") -> u.Quantity:
    """Rate in Hz that each simulated event stands for.

    Parameters
    ----------
    energy : astropy.units.Quantity, shape (n,)
        True energies.
    thrown : pyirf.simulations.SimulatedEventsInfo
        What was thrown.
    spectrum : pyirf.spectral
        Flux that is wanted: one of a point source for a point source, else one per solid angle.
    """
    from pyirf.spectral import PowerLaw, calculate_event_weights

    simulated = PowerLaw.from_simulation(thrown, obstime=1 * u.s)
    return calculate_event_weights(energy, spectrum, simulated) * u.Hz


def _primaries(predictions: Table, rows: np.ndarray) -> np.ndarray:
    """Particle of each event; without the column all count as gammas."""
    if PRIMARY not in predictions.colnames:
        return np.full(len(rows), PARTICLES["gamma"])
    return np.asarray(predictions[PRIMARY])[rows]
