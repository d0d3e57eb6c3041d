"""Random forests as Keras layers: trees that were grown elsewhere, as weights that no training moves.

So a forest is saved, loaded, exported and predicted like every network, on every backend, and nothing is unpickled.
The features are compared in single precision, as scikit-learn does; its thresholds are rounded down to it, which
sends every feature the same way. How the trees are grown stands in `cherenkov_pipeline.training.forest`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.forest_features import COLUMNS, check_columns
from cherenkov_pipeline.models.likelihoods.base import Constants, OutputLayer, log_factor, neutral_factor
from cherenkov_pipeline.models.trees import ARRAYS, Trees

ops = keras.ops

SMALLEST_PROBABILITY = 1e-4
"""Trees that all agree say no more than this."""

SMALLEST_VARIANCE = 1e-6


@keras.saving.register_keras_serializable(PACKAGE)
class DecisionForest(keras.layers.Layer):
    """Mean and variance of the target that a forest predicts: (n, n_features) to (n, 2).

    The mean is the average over the trees. The variance is that of the training targets about it: the average of the
    variances in the leaves, and the variance between the trees (Hutter et al. 2014, arXiv:1211.0906, eq. 4).

    Parameters
    ----------
    n_trees, n_nodes : int
    depth : int
        Steps from a root to the deepest leaf.
    features : sequence of int
        Which of the columns of the input the trees read, in the order of their numbers; None: all.
    """

    def __init__(self, n_trees: int, n_nodes: int, depth: int, features: Sequence[int] | None = None, **options: Any):
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.n_trees, self.n_nodes, self.depth = n_trees, n_nodes, depth
        self.features = None if features is None else [int(feature) for feature in features]

        def weight(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.roots = weight("roots", (n_trees,), "int32")
        self.feature = weight("feature", (n_nodes,), "int32")
        self.threshold = weight("threshold", (n_nodes,), "float32")
        self.left = weight("left", (n_nodes,), "int32")
        self.right = weight("right", (n_nodes,), "int32")
        self.value = weight("value", (n_nodes, 2), "float32")
        self.built = True

    @classmethod
    def of(cls, trees: Trees, features: Sequence[int] | None = None, **options: Any) -> "DecisionForest":
        """Make the layer of grown trees."""
        layer = cls(len(trees.roots), len(trees.feature), trees.depth, features, **options)
        for name in ARRAYS:
            getattr(layer, name).assign(getattr(trees, name))
        return layer

    def call(self, inputs: Any) -> Any:
        """Go down all trees at once; what has reached its leaf stays there."""
        if self.features is not None:
            inputs = ops.take(inputs, np.array(self.features, dtype=np.int32), axis=1)
        known = ops.all(ops.isfinite(inputs), axis=1, keepdims=True)
        nodes = ops.zeros_like(inputs[:, :1], dtype="int32") + ops.expand_dims(self.roots, 0)
        for _ in range(self.depth):
            values = ops.take_along_axis(inputs, ops.take(self.feature, nodes), axis=1)
            goes_left = values <= ops.take(self.threshold, nodes)
            nodes = ops.where(goes_left, ops.take(self.left, nodes), ops.take(self.right, nodes))
        found = ops.take(self.value, nodes, axis=0)
        means = found[..., 0]
        mean = ops.mean(means, axis=1, keepdims=True)
        variance = ops.mean(found[..., 1] + ops.square(means - mean), axis=1, keepdims=True)
        return ops.where(known, ops.concatenate([mean, variance], axis=-1), float("nan"))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Mean and variance."""
        return (input_shape[0], 2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        options = super().get_config()
        options.pop("trainable")
        own = {"n_trees": self.n_trees, "n_nodes": self.n_nodes, "depth": self.depth, "features": self.features}
        return {**options, **own}


@keras.saving.register_keras_serializable(PACKAGE)
class ForestFeatures(keras.layers.Layer):
    """Features of all forests from image parameters: (n, k) to (n, k + 1).

    Adds the ratio of width and length. An image without a length has no parameters: its ratio, and with it every
    prediction, is NaN.

    Parameters
    ----------
    width, length : int
        Columns of the input.
    """

    def __init__(self, width: int, length: int, **options: Any):
        super().__init__(**{"dtype": "float32", **options})
        self.width, self.length = width, length

    def call(self, inputs: Any) -> Any:
        """Divide."""
        width, length = (inputs[:, column : column + 1] for column in (self.width, self.length))
        known = length > 0
        ratio = ops.where(known, width / ops.where(known, length, 1.0), float("nan"))
        return ops.concatenate([inputs, ratio], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """One column more."""
        return (input_shape[0], input_shape[1] + 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "width": self.width, "length": self.length}


@keras.saving.register_keras_serializable(PACKAGE)
class ForestGaussian(OutputLayer):
    """Outputs of the likelihood ``gaussian`` from k forests, one a target: (n, 2k) to (n, 2k).

    Constants as of `~cherenkov_pipeline.models.likelihoods.GaussianOutput`: ``factor_places``, ``log_factors``.
    """

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        return neutral_factor(len(self.mean))

    def call(self, inputs: Any) -> Any:
        """Sort means and variances, and calibrate."""
        mean, variance = inputs[:, 0::2], inputs[:, 1::2]
        log_scale = 0.5 * ops.log(ops.maximum(variance, SMALLEST_VARIANCE))
        return ops.concatenate([mean, log_scale + log_factor(mean, *_factor(self))], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable(PACKAGE)
class ForestLogit(keras.layers.Layer):
    """Logit of the probability that a forest of classifiers gives: (n, 2) to (n, 1)."""

    def call(self, inputs: Any) -> Any:
        """Take the mean."""
        probability = ops.clip(inputs[:, :1], SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        # what is not a number stays so, whatever the backend's clip makes of it
        return ops.where(ops.isfinite(inputs[:, :1]), ops.log(probability) - ops.log(1 - probability), float("nan"))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """One logit."""
        return (input_shape[0], 1)


@keras.saving.register_keras_serializable(PACKAGE)
class ForestHeadTail(OutputLayer):
    """Outputs of the likelihood ``head_tail`` from the forests of disp and sign.

    Called with the logit of the sign (n, 1), mean and variance of the distance (n, 2), and the image parameters. Head
    and tail are equally far from the centre, on the Hillas axis; the frame that the outputs carry is that of the
    Hillas parameters.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the targets; not used.
    scale_across : float
        Of the training events' distances from the axis [deg].
    axis : sequence of int
        Columns of the image parameters that are ``hillas_fov_lon``, ``hillas_fov_lat``, ``hillas_psi`` [deg].

    Notes
    -----
    Constants as of `~cherenkov_pipeline.models.likelihoods.HeadTailOutput`: ``temperature``, ``factor_places``,
    ``log_factors``.
    """

    def __init__(
        self,
        mean: Sequence[float],
        deviation: Sequence[float],
        scale_across: float,
        axis: Sequence[int],
        **options: Any,
    ):
        super().__init__(mean, deviation, **options)
        self.scale_across = float(scale_across)
        self.axis = [int(column) for column in axis]

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        return {"temperature": np.ones(1), **neutral_factor(1)}

    def call(self, logit: Any, disp: Any, parameters: Any) -> Any:
        """Put the columns side by side."""
        lon, lat, psi = (parameters[:, column : column + 1] for column in self.axis)
        distance, variance = disp[:, :1], disp[:, 1:]
        # the variance of a Laplace distribution is twice its scale's square
        scale = 0.5 * ops.log(ops.maximum(0.5 * variance, SMALLEST_VARIANCE))
        factor = log_factor(ops.abs(distance), *_factor(self))
        across = ops.zeros_like(scale) + float(np.log(self.scale_across))
        angle = psi * (np.pi / 180)
        return ops.concatenate(
            [
                logit / ops.convert_to_tensor(self._held["temperature"]),
                distance,
                scale + factor,
                -distance,
                scale + factor,
                ops.zeros_like(scale),
                across + factor,
                lon,
                lat,
                ops.cos(angle),
                ops.sin(angle),
            ],
            axis=-1,
        )

    def compute_output_shape(self, input_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """Columns of the likelihood."""
        return (input_shape[0], 11)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "scale_across": self.scale_across, "axis": self.axis}


def _factor(layer: OutputLayer) -> list[Any]:
    return [ops.convert_to_tensor(layer._held[name]) for name in neutral_factor(1)]


def forest_features(
    inputs: Mapping[str, keras.KerasTensor], names: Sequence[str] = COLUMNS, **options: Any
) -> keras.KerasTensor:
    """Build what all forests read: the backbone of ``random_forest``.

    Parameters
    ----------
    inputs : mapping
        ``parameters``: (k,) image parameters.
    names : sequence of str
        Their names.
    **options
        Of the growing, see `~cherenkov_pipeline.models.options.ForestParameters`; not used here.

    Raises
    ------
    UserError
        If one of `COLUMNS` is missing.
    """
    check_columns(names)
    width, length = (names.index(name) for name in ("hillas_width", "hillas_length"))
    return ForestFeatures(width, length, name="backbone_features")(inputs["parameters"])
