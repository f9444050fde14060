"""ImageNet's own classes: a backbone's classifier for them, and what they are called."""

from collections import Counter

import keras
import numpy as np

from headstart.errors import WeightsError
from headstart.models.assemble import Network, cut_network
from headstart.models.backbones import Backbone
from headstart.models.weights import build_with_weights, downloads_on_stderr, not_fetched

CLASSES = 1000


def imagenet_classifier(backbone: Backbone, weights: str, image_size: int) -> tuple[Network, np.ndarray, np.ndarray]:
    """Take a backbone with its top apart: the network up to its classifier, and the classifier.

    Args:
        backbone: which.
        weights: `imagenet`, `none` or a file.
        image_size: rows and columns of the pictures.

    Returns:
        The network, cut at the input of its last layer with weights, which is a vector `(batch, width)` or, for tops
        that are convolutions, a map of one pixel; the classifier's kernel float32 `(width, 1000)`; its bias float32
        `(1000,)`.

    Raises:
        WeightsError: if the weights cannot be had or do not fit, or the file has none for the classifier.
        RecipeError: if the backbone cannot be built with its top at that size.
    """
    whole, missing = build_with_weights(backbone, image_size, weights, include_top=True)
    classifier = [layer for layer in whole.layers if layer.weights][-1]
    if classifier.name in missing:
        raise WeightsError(
            f"{weights} has no weights for {classifier.name}, the classifier of {backbone.name}. "
            "Give a file of the network with its top, or leave --extend-imagenet out."
        )
    kernel, bias = classifier.get_weights()
    network = cut_network(backbone, whole, classifier.input, missing)
    return network, kernel.reshape(-1, CLASSES), bias


def imagenet_labels() -> list[str]:
    """The names of the 1,000 classes in the order of the classifier, from Keras' own list.

    A name that stands for two classes, as `crane` does, is followed by the class' number in WordNet.

    Raises:
        WeightsError: if the list is neither in the folder where Keras keeps weights nor can be fetched.
    """
    in_order = np.linspace(1, 0, CLASSES)[np.newaxis]
    try:
        with downloads_on_stderr():
            (rows,) = keras.applications.imagenet_utils.decode_predictions(in_order, top=CLASSES)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise not_fetched("the names of ImageNet's classes", error) from error
    count = Counter(name for _, name, _ in rows)
    return [f"{name} {wordnet}" if count[name] > 1 else name for wordnet, name, _ in rows]
