"""The whole classifier as one Keras model: pixels, preprocessing, backbone, head."""

import keras

from headstart.models.backbones import Backbone
from headstart.models.freeze import freeze
from headstart.models.heads import add_head
from headstart.models.weights import build_with_weights
from headstart.recipe import HeadSpec


def assemble(backbone: Backbone, weights: str, image_size: int, head: HeadSpec, classes: int) -> keras.Model:
    """Build a classifier whose backbone is frozen and whose head is new.

    Args:
        backbone: which.
        weights: `imagenet`, `none` or a file.
        image_size: rows and columns of the pictures.
        head: the layers between features and classifier.
        classes: how many classes there are.

    Returns:
        A functional model from RGB pixels 0-255, float32 `(batch, image_size, image_size, 3)`, to probabilities
        `(batch, classes)`.

    Raises:
        WeightsError: if the weights cannot be had or do not fit.
        RecipeError: if the backbone cannot be built at that size.
    """
    network = build_with_weights(backbone, image_size, weights)
    freeze(network)
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    features = network(backbone.preprocess(pixels))
    return keras.Model(pixels, add_head(features, head, classes), name="classifier_of_pixels")
