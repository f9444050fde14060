"""Every network of `keras.applications`, and `nano`, under one name each, with its own preprocessing.

The networks are found in Keras itself, so a new one in Keras is a new one here. Preprocessing is found there too:
Keras' `preprocess_input` is an affine map of the three channels, and which one is seen by trying it.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any

import keras
import numpy as np

from headstart.errors import RecipeError, nearest
from headstart.models import nano

_NATIVE_SIZES = {
    "inception_v3": 299,
    "inception_resnet_v2": 299,
    "xception": 299,
    "nasnet_large": 331,
    "efficientnet_b1": 240,
    "efficientnet_b2": 260,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
    "efficientnet_v2_b1": 240,
    "efficientnet_v2_b2": 260,
    "efficientnet_v2_b3": 300,
    "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480,
    "efficientnet_v2_l": 480,
}
_USUAL_SIZE = 224

# The widths that the networks come in besides 1.0: the choices of `alpha` that have ImageNet weights.
_WIDTHS = {
    "mobilenet": (0.25, 0.5, 0.75),
    "mobilenet_v2": (0.35, 0.5, 0.75, 1.3, 1.4),
    "mobilenet_v3_large": (0.75,),
    "mobilenet_v3_small": (0.75,),
}

# Names in the code of keras.applications that look as if Keras had made them up.
_NAMED_BY_HAND = ("reshape_2",)


@dataclass(frozen=True)
class Backbone:
    """One network of the registry.

    Attributes:
        name: what it is called here, as `mobilenet_0.25` or `efficientnet_v2_b0`.
        constructor: the function that builds it, in `keras.applications` or called as those are.
        size: rows and columns of the pictures it was trained on.
        options: arguments for the constructor.
        packaged: whether its weights come with headstart; those of the others are found in `KERAS_HOME` or fetched.
    """

    name: str
    constructor: Callable[..., keras.Model]
    size: int
    options: Mapping[str, Any] = field(default_factory=dict)
    packaged: bool = False

    def build(
        self, image_size: int | None = None, weights: str | None = None, include_top: bool = False
    ) -> keras.Model:
        """The network; it takes preprocessed pictures.

        Its layers are called as in a fresh Keras session, whatever was built before: `conv2d`, `conv2d_1`, ...

        Args:
            image_size: rows and columns of the pictures; its native size by default.
            weights: `imagenet` for those it was published with, or None for random ones.
            include_top: whether its own classifier for ImageNet is part of it.

        Returns:
            A functional model named as the backbone, from `(height, width, 3)` to features `(rows, columns, width)`,
            or to probabilities `(1000,)` with its top.

        Raises:
            RecipeError: if the network cannot be built for pictures of that size.
        """
        side = image_size or self.size
        try:
            model = self.constructor(
                include_top=include_top, weights=weights, input_shape=(side, side, 3), **self.options
            )
        except ValueError as error:
            if not any(word in str(error) for word in ("size", "dimension", "input_shape")):
                raise
            reason = " ".join(str(error).split())
            raise RecipeError([f"{self.name} cannot be built for {side}x{side} pictures: {reason}"]) from error
        model.name = self.name
        _name_as_in_a_fresh_session(model)
        return model

    def preprocess(self, pixels: Any, name: str = "preprocess") -> Any:
        """Apply the network's own preprocessing to RGB pixels 0-255, in layers that any Keras can load.

        Networks that contain their preprocessing get the pixels as they are.

        Args:
            pixels: KerasTensor `(batch, height, width, 3)`.
            name: of the layer, if there is one.
        """
        scale, offset, flipped = _affine_map(self.constructor.__module__)
        if flipped:
            pixels = keras.ops.flip(pixels, axis=-1)  # a slice that runs backwards is not known to OpenVINO's backend
        if scale == [1.0] * 3 and offset == [0.0] * 3:
            return pixels
        return keras.layers.Rescaling(scale, offset, name=name)(pixels)


@cache
def backbones() -> dict[str, Backbone]:
    """All backbones by name, sorted."""
    found = {"nano": Backbone("nano", nano.Nano, nano.SIZE, packaged=True)}
    for class_name, constructor in vars(keras.applications).items():
        if not inspect.isfunction(constructor) or "include_top" not in inspect.signature(constructor).parameters:
            continue
        name = _canonical(class_name)
        size = _NATIVE_SIZES.get(name, _USUAL_SIZE)
        found[name] = Backbone(name, constructor, size)
        for width in _WIDTHS.get(name, ()):
            wider = f"{name}_{width:g}"
            found[wider] = Backbone(wider, constructor, size, {"alpha": width})
    return dict(sorted(found.items()))


def find_backbone(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        RecipeError: if there is none; the message has the nearest names.
    """
    known = backbones()
    if name not in known:
        raise RecipeError([f"unknown backbone {name!r}; {nearest(name, known)}"])
    return known[name]


def _name_as_in_a_fresh_session(model: keras.Model) -> None:
    """Keras numbers layers without names through a whole session; files and recipes need names that stay."""
    numbered: dict[str, list[tuple[int, Any]]] = {}
    for operation in model.operations:
        stem, number = _stem_and_number(operation.name)
        if stem == _snake_case(type(operation).__name__) and operation.name not in _NAMED_BY_HAND:
            numbered.setdefault(stem, []).append((number, operation))
    for stem, found in numbered.items():
        for place, (_, operation) in enumerate(sorted(found, key=itemgetter(0))):
            operation.name = f"{stem}_{place}" if place else stem


def _stem_and_number(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.+?)_(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def _snake_case(class_name: str) -> str:
    """As Keras makes names of classes: `GlobalAveragePooling2D` becomes `global_average_pooling2d`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _canonical(class_name: str) -> str:
    """`MobileNetV2` becomes `mobilenet_v2`, `EfficientNetV2B0` `efficientnet_v2_b0`, `ResNet50V2` `resnet50_v2`."""
    name = re.sub(r"Net(?=[A-Z])", "net_", class_name)
    name = re.sub(r"Net", "net", name)
    name = re.sub(r"(?<=[a-z0-9])(?=V\d)", "_", name)
    name = re.sub(r"(?<=V\d)(?=[A-Z])", "_", name)
    name = re.sub(r"(?<=ConvNeXt)(?=[A-Z])", "_", name).replace("ConvNeXt", "convnext")
    name = re.sub(r"^InceptionRes", "Inception_res", name)
    return name.lower()


@cache
def _affine_map(module_name: str) -> tuple[list[float], list[float], bool]:
    """What a module's `preprocess_input` does to each channel: scale, offset, and whether RGB becomes BGR."""
    public_name = module_name.replace("keras.src.", "keras.")
    preprocess = importlib.import_module(public_name).preprocess_input
    probes = np.vstack([np.zeros((1, 3)), 255.0 * np.eye(3)]).astype(np.float32)
    answers = np.asarray(preprocess(probes.reshape(4, 1, 1, 3).copy())).reshape(4, 3).astype(np.float64)
    offset, matrix = answers[0], (answers[1:] - answers[0]) / 255.0
    flipped = bool(matrix[0, 0] == 0)
    scale = np.diag(matrix[::-1] if flipped else matrix)
    # Seven digits are all that float32 has; more would turn a scale of one into 1.00000003.
    return [float(f"{value:.7g}") for value in scale], [float(f"{value:.7g}") for value in offset], flipped
