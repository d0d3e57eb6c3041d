"""Instrument response files in the gamma-astro-data-format (GADF 0.2), by pyirf.

Two files of the same events: point-like, after a theta cut, with its radius; and full-enclosure, without it, with the
point spread function.
"""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from pyirf.io import (
    create_aeff2d_hdu,
    create_background_2d_hdu,
    create_energy_dispersion_hdu,
    create_psf_table_hdu,
    create_rad_max_hdu,
)
from pyirf.irf import background_2d, effective_area_per_energy, energy_dispersion, psf_table
from pyirf.simulations import SimulatedEventsInfo

from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.selection import edges_of, passes_gammaness, passes_theta

MIGRATION = 0.2, 5.0
"""Range of E_reco/E_true."""


def response_file(
    gammas: QTable,
    protons: QTable,
    thrown: SimulatedEventsInfo,
    cuts: QTable,
    true_edges: u.Quantity,
    parameters: ResponseParameters,
    point_like: bool,
) -> fits.HDUList:
    """Make a response file.

    Parameters
    ----------
    gammas, protons : QTable
        Valid events as `response.events.weighted_events` gives them.
    thrown : pyirf.simulations.SimulatedEventsInfo
        Of the gammas.
    cuts : QTable
        From `response.cuts.best_cuts`.
    true_edges : Quantity
        Bins of true energy.
    parameters : ResponseParameters
    point_like : bool
        Whether the theta cut is applied: RAD_MAX_2D beside AEFF_2D, EDISP_2D and BKG_2D, else PSF_TABLE.

    Returns
    -------
    astropy.io.fits.HDUList
        Bins without an event are zero. The source has one place in the field of view, so that area and dispersion
        have one bin around it. The last extension, GH_CUTS, has the gammaness cuts.
    """
    chosen = gammas[passes_gammaness(gammas, cuts)]
    if point_like:
        chosen = chosen[passes_theta(chosen, cuts)]
    background = protons[passes_gammaness(protons, cuts)]
    reco_edges = edges_of(cuts)
    offsets = _offsets(gammas)
    migration = np.geomspace(*MIGRATION, parameters.migration_bins + 1)
    field = np.linspace(0 * u.deg, parameters.field_of_view, parameters.field_of_view_bins + 1)
    with np.errstate(invalid="ignore", divide="ignore"):  # energies that were not thrown
        area = np.nan_to_num(effective_area_per_energy(chosen, thrown, true_edges))
    dispersion = energy_dispersion(chosen, true_edges, offsets, migration)
    rate = background_2d(_in_second(background), reco_edges, field, 1 * u.s)
    cards = {"TELESCOP": parameters.telescope}
    extensions = [
        create_aeff2d_hdu(area[:, np.newaxis], true_edges, offsets, point_like=point_like, **cards),
        create_energy_dispersion_hdu(dispersion, true_edges, migration, offsets, point_like=point_like, **cards),
        create_background_2d_hdu(rate, reco_edges, field, **cards),
    ]
    if point_like:
        radius = np.nan_to_num(cuts["theta"])[:, np.newaxis]
        extensions.append(create_rad_max_hdu(radius, reco_edges, offsets, **cards))
    else:
        angles = np.linspace(0 * u.deg, parameters.psf_max, parameters.psf_bins + 1)
        psf = psf_table(chosen, true_edges, angles, offsets)
        extensions.append(create_psf_table_hdu(psf, true_edges, angles, offsets, **cards))
    names = ["reco_energy_low", "reco_energy_high", "gammaness", "gammaness_efficiency"]
    extensions.append(fits.BinTableHDU(cuts[names], name="GH_CUTS"))
    return fits.HDUList([fits.PrimaryHDU(), *extensions])


def _offsets(gammas: QTable) -> u.Quantity:
    """One bin of the angle to the pointing, with the source at its centre."""
    return [0, 2] * max(np.median(gammas["true_source_fov_offset"]).to(u.deg), 0.25 * u.deg)


def _in_second(events: QTable) -> QTable:
    """Events with their weight as a number in one second."""
    events = events.copy(copy_data=False)
    events["weight"] = events["weight"].to_value(1 / u.s)
    return events
