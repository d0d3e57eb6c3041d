"""A backbone and a head of your own: copy this file, change it, and name it in the parameters of a task.

    energy:
      model:
        name: examples/own_model.py:my_backbone   # this file; or package.module:my_backbone
        options: {filters: [16, 32], units: 64}
        head:
          name: examples/own_model.py:my_head
          options: {units: 32}
      input:                                      # what the backbone is given; see the store's parameters
        channels: [cleaned_log_image, cleaned_relative_peak_time]
        mapping: axial
        parameters: [log_hillas_intensity, hillas_width, hillas_length]

The pipeline adds the rest: scaling of the inputs, the task's output layer with its uncertainty, loss, training that
can be resumed, the model card. ``docs/own-models.md`` goes through it step by step.

Rules:

- A backbone is called with a dict of Keras tensors by name and with ``options``, and returns features of one
  dimension. Inputs have no batch dimension in the shapes below:

  ``image`` (rows, columns, channels); ``pixels`` (n_pixels, channels) where ``mapping`` is null;
  ``brightest`` (n, 7) and ``brightest_mask`` (n,); ``shower_frame`` (4,); ``parameters`` (k,).
  Of stereo input each has a telescope axis first, and there are ``telescopes`` (n_telescopes,), 1 where one has an
  image, and ``positions`` (n_telescopes, 3) in 100 m.

- It must read what the task's input makes. Masks and the shower's frame may be left; ``parameters`` of one image, if
  they are left, are joined to the features.
- A head is called with the features and its ``options``; the task's output layer reads what it returns.
- Names of layers begin with ``backbone_`` or ``head_``: freezing, learning rates and the report go by them.
- Write ``keras.ops`` instead of TensorFlow, JAX or torch, and the model runs on all of them.
- A layer class of your own is registered, so that the saved model finds it again, and has a ``get_config``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("own_model")
class Gate(keras.layers.Layer):
    """Weigh each cell of a map by what is in it: an example of a layer with weights.

    Parameters
    ----------
    units : int
        Of the hidden layer.
    """

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="relu", name="hidden")
        self.weight = keras.layers.Dense(1, activation="sigmoid", name="weight")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights."""
        self.hidden.build(input_shape)
        self.weight.build((*input_shape[:-1], self.units))
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Weigh."""
        return inputs * self.weight(self.hidden(inputs))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


def my_backbone(
    inputs: Mapping[str, keras.KerasTensor], filters: Sequence[int] = (16, 32), units: int = 64
) -> keras.KerasTensor:
    """Build the backbone: convolutions with gates, joined with the image parameters where there are any.

    Parameters
    ----------
    inputs : mapping
        ``image`` and, where given, ``parameters``.
    filters : sequence of int
        Of each convolution.
    units : int
        Features.
    """
    x = inputs["image"]
    for number, n_filters in enumerate(filters, start=1):
        name = f"backbone_convolution_{number}"
        x = keras.layers.Conv2D(n_filters, 3, padding="same", activation="relu", name=name)(x)
        x = Gate(8, name=f"backbone_gate_{number}")(x)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"backbone_pooling_{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="backbone_average")(x)
    if "parameters" in inputs:
        x = keras.layers.Concatenate(name="backbone_joined")([x, inputs["parameters"]])
    return keras.layers.Dense(units, activation="relu", name="backbone_features")(x)


def my_head(features: keras.KerasTensor, units: int = 32, dropout: float = 0.1) -> keras.KerasTensor:
    """Build the head.

    Parameters
    ----------
    features : keras.KerasTensor
        (n_features,), from the backbone.
    units : int
    dropout : float
    """
    x = keras.layers.Dense(units, activation="gelu", name="head_dense")(features)
    return keras.layers.Dropout(dropout, name="head_dropout")(x)
