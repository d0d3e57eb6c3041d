"""Random forests on image parameters: the collaboration's method, and the baseline of every network.

Four forests, as in sst1mpipe for one telescope: the logarithm of the energy, gamma or hadron, the distance between the
image's centroid and the source along the image's axis (disp), and on which side of the centroid the source lies. The
forests live in memory: they are grown again in seconds, so nothing is unpickled.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.training.forest_features import (
    GAMMA,
    along_axis,
    derived_columns,
    feature_names,
    on_axis,
    plain,
    true_direction,
)
from cherenkov_pipeline.training.forest_parameters import ForestParameters

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

KEYS = ("production", "obs_id", "event_id", "tel_id", "shower", "hillas_intensity", "true_shower_primary_id")
MIN_EVENTS = 20  # of each kind: fewer do not fill two leaves


@dataclass(frozen=True)
class Forests:
    """The grown forests.

    Attributes
    ----------
    energy, disp : sklearn.ensemble.RandomForestRegressor
        Of log10(E/TeV), and of the distance to the source along the image's axis [deg].
    sign : sklearn.ensemble.RandomForestClassifier
        Whether the source lies in the direction of ``hillas_psi``.
    type : sklearn.ensemble.RandomForestClassifier or None
        Whether the primary is a gamma; None if there were only gammas to learn from.
    timing : bool
        Whether the time gradient is a feature.
    """

    energy: "RandomForestRegressor"
    disp: "RandomForestRegressor"
    sign: "RandomForestClassifier"
    type: "RandomForestClassifier | None"
    timing: bool

    def predict(self, table: Table) -> QTable:
        """Predict energy, direction and particle type.

        Parameters
        ----------
        table : astropy.table.Table
            n images; see `cherenkov_pipeline.training.forest_features`.

        Returns
        -------
        QTable
            n rows: the keys of the table; ``reco_energy`` and ``reco_energy_uncert`` [TeV] (NaN: forests state none),
            ``gammaness`` (NaN without a classifier), ``reco_fov_lon``, ``reco_fov_lat`` [deg]; ``is_valid``, False
            where a feature is missing, and then all predictions are NaN. Where the table has the truth also
            ``true_energy``, ``true_fov_lon``, ``true_fov_lat``, ``separation`` [deg] from the true direction, and
            ``right_sign``, whether the source was put on its side of the centroid.
        """
        columns = derived_columns(table)
        # all forests need the shape; the place comes from the same moments
        valid = np.isfinite(_matrix(columns, "energy", timing=self.timing)).all(axis=1)
        valid &= np.isfinite(plain(table, "hillas_psi"))

        def of(forest: str, estimator: "RandomForestRegressor | RandomForestClassifier | None") -> np.ndarray:
            found = np.full(len(table), np.nan)
            if valid.any() and estimator is not None:
                features = _matrix(columns, forest, timing=self.timing)[valid]
                if hasattr(estimator, "classes_"):  # False and True: the probability of True
                    found[valid] = estimator.predict_proba(features) @ estimator.classes_
                else:
                    found[valid] = estimator.predict(features)
            return found

        disp = of("disp", self.disp) * np.where(of("sign", self.sign) > 0.5, 1, -1)
        direction = on_axis(table, disp)
        predictions = QTable({name: table[name] for name in KEYS if name in table.colnames})
        predictions["reco_energy"] = 10 ** of("energy", self.energy) << u.TeV
        predictions["reco_energy_uncert"] = np.full(len(table), np.nan) << u.TeV
        predictions["gammaness"] = of("type", self.type)
        predictions["reco_fov_lon"], predictions["reco_fov_lat"] = direction.lon << u.deg, direction.lat << u.deg
        predictions["is_valid"] = valid
        if "true_energy" in table.colnames:
            truth = true_direction(table)
            predictions["true_energy"] = plain(table, "true_energy") << u.TeV
            predictions["true_fov_lon"], predictions["true_fov_lat"] = truth.lon << u.deg, truth.lat << u.deg
            predictions["separation"] = direction.separation(truth) << u.deg
            predictions["right_sign"] = valid & (np.sign(along_axis(table, truth)) == np.sign(disp))
        return predictions


def fit(table: Table, parameters: ForestParameters, seed: int) -> Forests:
    """Grow the forests.

    Energy and direction are learned from the gammas alone. Images of which a feature or a true value is missing are
    left out; cuts are the caller's.

    Parameters
    ----------
    table : astropy.table.Table
        Images for training, with the true values: ``true_energy``, ``true_alt``, ``true_az``,
        ``true_shower_primary_id`` and the telescope's pointing.
    parameters : ForestParameters
    seed : int
        The same seed grows the same forests.

    Returns
    -------
    Forests

    Raises
    ------
    UserError
        If a column is missing, or there are too few gammas or, beside gammas, too few others.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    columns = derived_columns(table)
    usable = np.isfinite(_matrix(columns, "energy", timing=parameters.timing)).all(axis=1)
    disp = along_axis(table, true_direction(table))
    log_energy = np.log10(plain(table, "true_energy"))
    usable &= np.isfinite(disp) & np.isfinite(log_energy)
    is_gamma = np.asarray(table["true_shower_primary_id"]) == GAMMA
    gammas, others = usable & is_gamma, usable & ~is_gamma
    _check_numbers(gammas, others)

    common = parameters.model_dump(include={"max_depth", "min_samples_leaf", "min_samples_split", "n_jobs"})
    seeds = iter(np.random.SeedSequence(seed).generate_state(4).tolist())

    def grow(forest: str, estimator: type, target: np.ndarray, rows: np.ndarray):
        n_trees = parameters.n_trees_regression
        if estimator is RandomForestClassifier:
            n_trees = parameters.n_trees_classification
        features = _matrix(columns, forest, timing=parameters.timing)
        return estimator(n_trees, random_state=next(seeds), **common).fit(features[rows], target[rows])

    return Forests(
        energy=grow("energy", RandomForestRegressor, log_energy, gammas),
        disp=grow("disp", RandomForestRegressor, np.abs(disp), gammas),
        sign=grow("sign", RandomForestClassifier, disp > 0, gammas),
        type=grow("type", RandomForestClassifier, is_gamma, usable) if others.any() else None,
        timing=parameters.timing,
    )


def _matrix(columns: dict[str, np.ndarray], forest: str, *, timing: bool) -> np.ndarray:
    return np.column_stack([columns[name] for name in feature_names(forest, timing=timing)])


def _check_numbers(gammas: np.ndarray, others: np.ndarray) -> None:
    if (n := np.count_nonzero(gammas)) < MIN_EVENTS:
        raise UserError(f"The random forest has {n} gammas to learn from, {MIN_EVENTS} are needed: simulate more.")
    if 0 < (n := np.count_nonzero(others)) < MIN_EVENTS:
        raise UserError(f"The random forest has {n} hadrons to learn from, {MIN_EVENTS} are needed: simulate more.")
