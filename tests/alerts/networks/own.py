"""A network of a user's own."""

import keras


def tiny(inputs, filters):
    return keras.layers.Conv2D(filters, 3, name="own")(inputs["image"])
