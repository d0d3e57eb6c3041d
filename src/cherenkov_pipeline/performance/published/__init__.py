"""Figures published by others, with their source and convention, for reference lines."""

from dataclasses import dataclass
from importlib.resources import as_file, files

import astropy.units as u
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.parameters import EvaluationParameters


@dataclass(frozen=True)
class Comparison:
    """A figure beside the published one.

    Attributes
    ----------
    key : str
        Short name, for programs.
    label : str
        Name with its unit, for people.
    official, value : float
        Published, and found here.
    error : float
        Standard error of the value; NaN if it is not known.
    """

    key: str
    label: str
    official: float
    value: float
    error: float

    @property
    def ratio(self) -> float:
        """Value over the official one."""
        return self.value / self.official


def published_for(mode: str, parameters: EvaluationParameters) -> str | None:
    """Say which published curve of the random forest is drawn beside a model.

    Parameters
    ----------
    mode : str
        ``mono`` or ``stereo``: single images or whole events.
    parameters : EvaluationParameters

    Returns
    -------
    str or None
        ``parameters.published_curve``, and for whole events ``stereo``; None draws nothing published.
    """
    return "stereo" if mode == "stereo" and parameters.published_curve else parameters.published_curve


def random_forest_energy(mode: str) -> QTable:
    """Energy resolution and bias of the SST-1M collaboration's random forest at 20 degrees of zenith.

    Parameters
    ----------
    mode : str
        ``mono_tel1``, ``mono_tel2`` or ``stereo``.

    Returns
    -------
    QTable
        ``true_energy_low``, ``true_energy_high`` in TeV, ``quantile_68``, ``bias``; NaN where nothing is published.
        ``meta`` holds ``label``, ``source`` and ``conventions``.

    Raises
    ------
    ValueError
        If nothing is published for this mode.
    """
    return _of_mode("sst1mpipe_random_forest_energy.ecsv", mode)


def random_forest_direction(mode: str) -> QTable:
    """Angular resolution of the SST-1M collaboration's random forest at 20 degrees of zenith.

    Parameters
    ----------
    mode : str
        ``mono_tel1``, ``mono_tel2`` or ``stereo``.

    Returns
    -------
    QTable
        ``true_energy_low``, ``true_energy_high`` in TeV, ``angular_resolution`` in deg; NaN where nothing is published.
        ``meta`` holds ``label``, ``source`` and ``conventions``.

    Raises
    ------
    ValueError
        If nothing is published for this mode.
    """
    return _of_mode("sst1mpipe_random_forest_direction.ecsv", mode)


def ctlearn(quantity: str, mode: str) -> QTable:
    """Values that CTLearn reached on simulated SST-1M events, without any cut.

    Parameters
    ----------
    quantity : str
        ``auc`` or ``accuracy`` (of all energies), ``angular_resolution`` [deg], ``energy_resolution``.
    mode : str
        ``mono`` or ``stereo``.

    Returns
    -------
    QTable
        ``model``, ``true_energy_low``, ``true_energy_high`` in TeV (NaN: all energies), ``value``, ``source``; without
        rows where nothing is published. ``meta`` holds ``label``.
    """
    table = _read("ctlearn.ecsv")
    chosen = table[(table["quantity"] == quantity) & (table["mode"] == mode)]
    chosen.meta["label"] = f"CTLearn, {mode} (published; no cuts)"
    chosen.remove_columns(["quantity", "mode"])
    return chosen


def ctlearn_after_cuts(quantity: str) -> QTable:
    """Values that CTLearn reached on simulated SST-1M events that both telescopes saw, after cuts.

    Parameters
    ----------
    quantity : str
        ``angular_resolution``, ``energy_resolution`` or ``sensitivity``.

    Returns
    -------
    QTable
        ``model``, ``energy`` in TeV (NaN: it is not told), ``low`` and ``high`` (equal where one value is given),
        ``source``; without rows where nothing is published. ``meta`` holds ``label``, ``conventions`` and
        ``observation_hours``, the time of the sensitivity.
    """
    table = _read("ctlearn_after_cuts.ecsv")
    chosen = table[table["quantity"] == quantity]
    unit = u.Unit(str(chosen["unit"][0])) if len(chosen) else u.one
    for name in ("low", "high"):
        chosen[name] = np.asarray(chosen[name]) << unit
    chosen.remove_columns(["quantity", "unit"])
    return chosen


def effective_areas() -> QTable:
    """Effective areas of one SST-1M telescope for gammas on its axis, at 20 degrees of zenith.

    Returns
    -------
    QTable
        ``stage`` (``trigger``, ``cleaning``), ``true_energy`` [TeV], ``area`` [m2]. ``meta`` holds ``label``,
        ``source`` and ``conventions``.
    """
    return _read("sst1m_effective_area.ecsv")


def _read(name: str) -> QTable:
    with as_file(files(__name__) / name) as path:
        return QTable.read(path, format="ascii.ecsv")


def _of_mode(name: str, mode: str) -> QTable:
    table = _read(name)
    chosen = table[table["mode"] == mode]
    if not len(chosen):
        raise ValueError(f"mode must be one of {', '.join(sorted(set(table['mode'])))}. Received: {mode!r}")
    chosen.meta["label"] = f"SST-1M random forest, {chosen.meta['modes'][mode]} (published; 60 % of the gammas)"
    chosen.remove_column("mode")
    return chosen
