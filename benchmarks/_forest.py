"""Random forests of energy, direction and particle type, grown at once from a table of images.

The benchmark of the showers compares simulations by them, on its own mixtures of particles and without event stores.
Features, trees and what goes down them are those of the registered model ``random_forest``.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.directions import Direction, along_axis, plain, true_direction
from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.decision_forest import DecisionForest, forest_features
from cherenkov_pipeline.models.forest_features import COLUMNS, feature_columns
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.training.trees import grow

GAMMA = 0  # true_shower_primary_id, in CORSIKA's numbers

COPIED = (*PRODUCTION_EVENT, "shower", "hillas_intensity", "true_shower_primary_id")
"""Columns of the images that the predictions carry along, where there are any."""

BATCH_SIZE = 1024
"""Images whose trees are gone down at once."""


@dataclass(frozen=True)
class Forests:
    """The grown forests.

    Attributes
    ----------
    energy, disp : DecisionForest
        Of log10(E/TeV), and of the distance to the source along the image's axis [deg].
    sign : DecisionForest
        Whether the source lies in the direction of ``hillas_psi``.
    type : DecisionForest
        Whether the primary is a gamma.
    """

    energy: DecisionForest
    disp: DecisionForest
    sign: DecisionForest
    type: DecisionForest

    def predict(self, table: Table) -> QTable:
        """Predict energy, direction and particle type of simulated images.

        Returns
        -------
        QTable
            One row an image: `COPIED` columns, ``true_energy``, ``reco_energy`` and ``reco_energy_uncert`` [TeV] (from
            the spread of the training events, not calibrated), ``gammaness``, ``separation`` [deg] from the true
            direction, ``right_sign``, whether the source was put on its side of the centroid, and ``is_valid``: without
            all features the predictions are NaN.
        """
        features = _features(table)
        log_energy, log_variance = _apply(self.energy, features).T
        disp = _apply(self.disp, features)[:, 0] * np.where(_apply(self.sign, features)[:, 0] > 0.5, 1, -1)
        direction, truth = _on_axis(table, disp), true_direction(table)
        energy = 10**log_energy
        predictions = QTable({name: table[name] for name in COPIED if name in table.colnames})
        predictions["true_energy"] = plain(table, "true_energy") << u.TeV
        predictions["reco_energy"] = energy << u.TeV
        predictions["reco_energy_uncert"] = energy * np.log(10) * np.sqrt(log_variance) << u.TeV
        predictions["gammaness"] = _apply(self.type, features)[:, 0]
        predictions["separation"] = direction.separation(truth) << u.deg
        predictions["right_sign"] = np.sign(along_axis(table, truth)) == np.sign(disp)
        predictions["is_valid"] = np.isfinite(log_energy) & np.isfinite(direction.lon)
        return predictions


def fit(table: Table, parameters: ForestParameters, seed: int) -> Forests:
    """Grow the forests of images of gammas and others: energy and direction from the gammas alone.

    Parameters
    ----------
    table : astropy.table.Table
        Images with ctapipe's DL1 parameters in the telescope frame, true values and the telescope's pointing; those
        without all features are left out, cuts are the caller's.
    parameters : ForestParameters
    seed : int
        The same seed grows the same forests.
    """
    features = _features(table)
    usable = np.isfinite(features[:, feature_columns("energy", COLUMNS, timing=parameters.timing)]).all(axis=1)
    disp = along_axis(table, true_direction(table))
    is_gamma = np.asarray(table["true_shower_primary_id"]) == GAMMA
    gammas = usable & is_gamma
    seeds = iter(np.random.SeedSequence(seed).generate_state(4).tolist())

    def forest(kind: str, target: np.ndarray, rows: np.ndarray) -> DecisionForest:
        columns = feature_columns(kind, COLUMNS, timing=parameters.timing)
        return DecisionForest.of(grow(features[rows][:, columns], target[rows], parameters, next(seeds)), columns)

    return Forests(
        energy=forest("energy", np.log10(plain(table, "true_energy")), gammas),
        disp=forest("disp", np.abs(disp), gammas),
        sign=forest("sign", disp > 0, gammas),
        type=forest("type", is_gamma, usable),
    )


def _features(table: Table) -> np.ndarray:
    """Features of all forests (n, k): angles in deg, NaN where an image has no parameters."""
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            np.log10(plain(table, name.removeprefix("log_")).astype(np.float32))
            if name.startswith("log_")
            else plain(table, name).astype(np.float32)
            for name in COLUMNS
        ]
    return keras.ops.convert_to_numpy(forest_features({"parameters": np.column_stack(columns)}))


def _apply(forest: DecisionForest, features: np.ndarray) -> np.ndarray:
    """Mean and variance of n images, (n, 2)."""
    starts = range(0, len(features), BATCH_SIZE)
    return np.concatenate([keras.ops.convert_to_numpy(forest(features[i : i + BATCH_SIZE])) for i in starts])


def _on_axis(table: Table, disp: np.ndarray) -> Direction:
    """Direction at a place on the image's main axis: the inverse of `along_axis`."""
    psi = np.deg2rad(plain(table, "hillas_psi"))
    return Direction(
        plain(table, "hillas_fov_lon") + disp * np.cos(psi),
        plain(table, "hillas_fov_lat") + disp * np.sin(psi),
    )
