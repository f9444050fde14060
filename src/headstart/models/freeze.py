"""Freezing: a frozen layer does the same with the same picture, today and tomorrow."""

import keras

from headstart.errors import RecipeError
from headstart.models.blocks import find_block
from headstart.models.layers import layer_number, leaves
from headstart.recipe import BatchNorm
from headstart.specs import Unfreeze


def first_trainable(model: keras.Model, spec: Unfreeze) -> int:
    """The number of the first layer in `model.layers` that is trained, and with it all that follow.

    Args:
        model: a network as `keras.applications` builds it, cut at its tap; layers have the numbers they have there.
        spec: what is unfrozen. `top` is the smallest tail that holds at least that share of the parameters.

    Returns:
        From 0, everything, to `len(model.layers)`, nothing.

    Raises:
        RecipeError: if the network has no such layer or block, or not so many layers.
    """
    choice = f"unfreeze {spec.text!r}"
    if spec.kind == "none":
        return len(model.layers)
    if spec.kind == "last":
        return _first_of_last(model, spec.number, choice)
    if spec.kind == "from":
        return layer_number(model, spec.layer or str(spec.number), choice)
    if spec.kind == "block" and spec.layer is not None:
        return find_block(model, spec.layer, choice).first
    return 0 if spec.kind == "all" else _first_of_share(model, spec.share)


class Freezer:
    """Freezes and unfreezes the layers of one network, as often as wanted.

    Setting `trainable` to false freezes weights, and BatchNormalization then runs on its moving statistics also in
    training (Keras since 2.1.3). It does not stop dropout: in Keras 3 `fit` switches that on in frozen layers too, even
    if the model was called with `training=False`. So the rate of frozen dropout is zero until it is unfrozen; there
    should be one Freezer for a network, which remembers the rates.

    Like any change of `trainable`, a new freeze takes effect in `fit` when the model is compiled anew.

    Args:
        model: the network, with or without nested models. It is changed by `apply` alone.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._rates = {id(leaf): leaf.rate for leaf in leaves(model) if isinstance(leaf, keras.layers.Dropout)}

    def apply(self, first: int, batchnorm: BatchNorm) -> None:
        """Train the layers from one on and freeze those before it.

        Args:
            first: number in `model.layers` of the first trained layer, see `first_trainable`.
            batchnorm: with `frozen` and `adapt` no BatchNormalization is trained, with `follow` only from `first` on,
                with `trainable` all of it.
        """
        self._model.trainable = True
        trained_norms = {"frozen": False, "adapt": False, "trainable": True}
        for number, layer in enumerate(self._model.layers):
            for leaf in leaves(layer):
                trained = number >= first
                if isinstance(leaf, keras.layers.BatchNormalization):
                    trained = trained_norms.get(batchnorm, trained)
                leaf.trainable = trained
                if id(leaf) in self._rates:
                    leaf.rate = self._rates[id(leaf)] if trained else 0.0
        _switch_off_where_nothing_is_trained(self._model)


def _switch_off_where_nothing_is_trained(model: keras.Model) -> None:
    """A model with `trainable=False` hides that its layers are trained, so it is set only where none is."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _switch_off_where_nothing_is_trained(layer)
    if not any(layer.trainable for layer in model.layers):
        model.trainable = False


def _first_of_last(model: keras.Model, wanted: int, choice: str) -> int:
    count = len(model.layers)
    if wanted > count:
        raise RecipeError([f"{choice}: {model.name} has {count} layers; last takes 1 to {count} of them."])
    return count - wanted


def _first_of_share(model: keras.Model, share: float) -> int:
    parameters = [layer.count_params() for layer in model.layers]
    held = 0
    for number in reversed(range(len(parameters))):
        held += parameters[number]
        if held and held >= share * sum(parameters):
            return number
    return 0
