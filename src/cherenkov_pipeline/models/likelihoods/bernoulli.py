"""One probability: the logit of it, divided by a temperature that is found on validation events."""

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.likelihoods.base import Constants, Likelihood, OutputLayer
from cherenkov_pipeline.models.likelihoods.calibration import temperature

ops = keras.ops


@keras.saving.register_keras_serializable(PACKAGE)
class BernoulliOutput(OutputLayer):
    """Logit of the probability that the target is 1 (a gamma): (n, 1) to (n, 1).

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the training targets; the mean is the probability that an untrained network gives.

    Notes
    -----
    Constants: ``bias``, ``temperature`` (1,); the output is (raw + bias) / temperature.
    """

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        mean = np.clip(self.mean, 0.01, 0.99)
        return {"bias": np.log(mean / (1 - mean)), "temperature": np.ones(1)}

    def call(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Cool."""
        return (raw + self._held["bias"]) / self._held["temperature"]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    lowest_loss = 0.0


@keras.saving.register_keras_serializable(PACKAGE)
class BernoulliLikelihood(keras.losses.Loss):
    """Binary cross-entropy of logits (n, 1)."""

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        sign = 2 * ops.cast(y_true, y_pred.dtype) - 1
        return ops.sum(ops.softplus(-sign * y_pred), axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
def accuracy(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Whether the more probable class is the true one."""
    right = ops.equal(ops.cast(y_true, y_pred.dtype) > 0.5, y_pred > 0)
    return ops.mean(ops.cast(right, y_pred.dtype), axis=-1)


def calibrate(outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Constants:
    """Temperature with which the probabilities fit best."""
    return {"temperature": np.array([temperature(outputs[:, 0], targets[:, 0] > 0.5, weights)])}


def _one(n_targets: int) -> int:
    if n_targets != 1:
        raise ValueError(f"the likelihood bernoulli has one target. Received: {n_targets}")
    return 1


BERNOULLI = Likelihood(
    n_raw=_one,
    n_outputs=_one,
    output_layer=BernoulliOutput,
    loss=BernoulliLikelihood,
    make_metrics=lambda: (accuracy, keras.metrics.AUC(from_logits=True, name="auc")),
    calibrate=calibrate,
)
