"""Predictions of gammas and protons, and the rates that they stand for.

The gammas come from a point source and are weighted to the Crab nebula (HEGRA: Aharonian et al. 2004), the protons come
from a cone around the pointing and are weighted to DAMPE's protons and helium (pyirf.spectral).
"""

from collections.abc import Mapping
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from pyirf.simulations import SimulatedEventsInfo
from pyirf.spectral import CRAB_HEGRA, DAMPE_P_He_SPECTRUM

from cherenkov_pipeline.directions import POINTING, plain, pointing_of, separation
from cherenkov_pipeline.dl1.contents import PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.sample import check_columns
from cherenkov_pipeline.performance.weighting import flux_weights

GAMMA, PROTON = "gamma", "proton"
SPREAD = 0.1 * u.deg
"""Angles of a point source to the pointing that differ by more are those of several sources."""
PRIMARIES = {GAMMA: 0, PROTON: 101}
SPECTRA = {GAMMA: CRAB_HEGRA, PROTON: DAMPE_P_He_SPECTRUM}

NEEDED = (
    "shower", "true_energy", "true_alt", "true_az", "reco_energy", "reco_alt", "reco_az", "gammaness", "is_valid",
    *POINTING, PRIMARY,
)  # fmt: skip


def read_events(paths: list[Path], parameters: ResponseParameters) -> tuple[QTable, QTable]:
    """Read predictions and thrown numbers from DL2 files of any maker.

    Parameters
    ----------
    paths : list of Path
    parameters : ResponseParameters

    Returns
    -------
    events : QTable
        As `cherenkov_pipeline.reconstruction.others.read_file` gives it, gammas and protons alone.
    thrown : QTable
        As `cherenkov_pipeline.dl1.thrown.read_thrown` gives it, with ``n_telescopes``: how often each
        shower could be seen.

    Raises
    ------
    UserError
        If there are no such predictions, no gammas or no protons, or they are of several zeniths or sources.
    """
    from cherenkov_pipeline.dl1.thrown import read_thrown
    from cherenkov_pipeline.reconstruction.discover import find_prefixes
    from cherenkov_pipeline.reconstruction.others import read_file

    wanted = parameters.models.model_dump()
    models = {path: find_prefixes(path, parameters.level, wanted) for path in paths}
    check_models(models)
    thrown = read_thrown(paths)
    check_particles(thrown)
    parts = [read_file(path, found, parameters.level) for path, found in models.items()]
    events = vstack(parts, metadata_conflicts="silent")
    check_source(events)
    thrown = thrown[np.isin(thrown[PRIMARY], list(PRIMARIES.values()))]
    thrown["n_telescopes"] = 1
    if parameters.level == "telescope":
        telescopes = predicted_telescopes(dict(zip(paths, parts, strict=True)))
        thrown["n_telescopes"] = len(telescopes)
        events = events[np.isin(events["tel_id"], telescopes)]
    return events[np.isin(events[PRIMARY], list(PRIMARIES.values()))], thrown


def check_models(models: Mapping[Path, Mapping[str, str]]) -> None:
    """Refuse files of which another model has predicted the same: their gammaness is not one.

    Raises
    ------
    UserError
    """
    (path, first), *others = models.items()
    for other, found in others:
        if differing := [task for task in first if found.get(task) != first[task]]:
            task = differing[0]
            raise UserError(
                f"{path} has the {task} of {first[task]}, {other} that of {found.get(task)}: give files of the same"
                f" models, or name one, instrument_response.models.{task}."
            )


def predicted_telescopes(parts: Mapping[Path, QTable]) -> list[int]:
    """Tell which telescopes have predictions; DL2 files have rows of others, too.

    Raises
    ------
    UserError
        If the files are of different ones: what was thrown could not be counted.
    """
    found = {
        path: np.unique(events["tel_id"][np.asarray(events["is_valid"], dtype=bool)]).tolist()
        for path, events in parts.items()
    }
    known = {path: telescopes for path, telescopes in found.items() if telescopes}
    (path, first), *others = known.items() or [(None, [])]
    for other, telescopes in others:
        if telescopes != first:
            raise UserError(
                f"{path} has predictions of the telescopes {first}, {other} of {telescopes}: give files of the same."
            )
    return first


def check_particles(thrown: QTable) -> None:
    """Refuse files without gammas of a point source, or without diffuse protons, or with these at other zeniths.

    Raises
    ------
    UserError
    """
    from cherenkov_pipeline.dl1.thrown import ALTITUDES, agree

    for particle, primary in PRIMARIES.items():
        row = thrown[thrown[PRIMARY] == primary]
        if not len(row):
            raise UserError(
                f"The DL2 files hold no {particle}s: the response needs gammas of a point source and diffuse protons."
            )
        diffuse = bool(row["viewcone_max"][0] > 0)
        if diffuse != (particle == PROTON):
            kind = "from a cone" if diffuse else "from one point"
            raise UserError(f"The {particle}s were thrown {kind}: give gammas of a point source and diffuse protons.")
        if row["spectral_index"][0] >= -1:
            raise UserError(
                f"The {particle}s were thrown with the index {row['spectral_index'][0]:g}: it must be < -1."
            )
    for name in ALTITUDES:
        if not agree(thrown[name][np.isin(thrown[PRIMARY], list(PRIMARIES.values()))].value):
            raise UserError("Gammas and protons were thrown at different zeniths: give files of one.")


def check_source(events: QTable) -> None:
    """Refuse gammas of sources at several angles to the pointing: the response would be that of none.

    Raises
    ------
    UserError
    """
    offset = _offset(events[np.asarray(events[PRIMARY]) == PRIMARIES[GAMMA]], "true")
    known = offset[np.isfinite(offset)]
    if len(known) and np.ptp(known) > SPREAD:
        low, high = known.min(), known.max()
        raise UserError(
            f"The gammas come from {low.value:.2f} to {high:.2f} beside the pointing: give those of one point source."
        )


def _offset(events: QTable, kind: str) -> u.Quantity:
    """Angle of the ``true`` or ``reco`` direction to the pointing, (n,) deg."""
    altitude, azimuth = pointing_of(events)
    return separation(plain(events, f"{kind}_az"), plain(events, f"{kind}_alt"), azimuth, altitude) << u.deg


def simulated(thrown: QTable, particle: str) -> SimulatedEventsInfo:
    """Describe what was thrown of a particle as pyirf does; what several telescopes could see counts as often."""
    (row,) = thrown[thrown[PRIMARY] == PRIMARIES[particle]]
    return SimulatedEventsInfo(
        n_showers=int(row["n_thrown"] * row["n_telescopes"]),
        energy_min=row["energy_min"],
        energy_max=row["energy_max"],
        max_impact=row["max_impact"],
        spectral_index=float(row["spectral_index"]),
        viewcone_min=row["viewcone_min"],
        viewcone_max=row["viewcone_max"],
    )


def weighted_events(events: QTable, thrown: QTable, particle: str) -> QTable:
    """Choose the events of a particle and add what the response needs.

    Parameters
    ----------
    events, thrown : QTable
        As `read_events` gives them.
    particle : str
        ``gamma`` or ``proton``.

    Returns
    -------
    QTable
        With ``weight`` [1/s] (the rate that the event stands for), ``theta`` (angle to the true direction),
        ``true_source_fov_offset`` and ``reco_source_fov_offset`` (angles to the pointing) [deg]. ``shower`` tells which
        events trigger together: images and uses of one shower.

    Raises
    ------
    UserError
        If a column is missing.
    """
    check_columns(events, NEEDED)
    chosen = events[np.asarray(events[PRIMARY]) == PRIMARIES[particle]]
    true, reco = ((plain(chosen, f"{kind}_az"), plain(chosen, f"{kind}_alt")) for kind in ("true", "reco"))
    chosen["theta"] = separation(*true, *reco) << u.deg
    for kind in ("true", "reco"):
        chosen[f"{kind}_source_fov_offset"] = _offset(chosen, kind)
    chosen["true_energy"], chosen["reco_energy"] = (
        plain(chosen, f"{kind}_energy") << u.TeV for kind in ("true", "reco")
    )
    weights = flux_weights(chosen["true_energy"], simulated(thrown, particle), SPECTRA[particle])
    chosen["weight"] = weights.to(1 / u.s)
    return chosen
