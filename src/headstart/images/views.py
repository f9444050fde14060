"""Random views of a picture: what is changed, and by how much, follows from the picture and two numbers alone.

So a view is the same whichever batch, thread, run or machine computes it: kept views can be added one at a time, and
a training that is resumed sees what it would have seen. Changes of the frame are OpenCV's, what Pillow has and OpenCV
has not is Pillow's; `docs/design/augmentation.md` says why they are not Keras' layers.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np

from headstart.images.randaugment import adjust_colour, rand_augment, warp
from headstart.specs import MIXING, Op, OpKind

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""How far a random crop may be from the aspect ratio of the result, either way (Szegedy et al., arXiv 1409.4842)."""

_CROP_ATTEMPTS = 10


class Box(NamedTuple):
    """A part of a picture, each side as a share of the picture's rows or columns, from 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True)
class View:
    """One of the random views of every picture. Where there is none, the view is that of the centre.

    Attributes:
        ops: which changes, whatever their order; they are applied in the order crop, rotate, flip, vflip, colour,
            randaugment. What mixes two pictures is no view of one.
        seed: another seed gives other views.
        number: which of the views: 0 to K-1 for those that are kept, the number of the epoch for those that are not.
    """

    ops: tuple[Op, ...]
    seed: int
    number: int

    def __post_init__(self) -> None:
        mixing = [op.kind for op in self.ops if op.kind in MIXING]
        if mixing:
            raise ValueError(f"{' and '.join(mixing)} mixes the pictures of a batch and is no view of one.")
        object.__setattr__(self, "ops", tuple(sorted(self.ops, key=lambda op: _ORDER.index(op.kind))))

    def identity(self) -> dict[str, Any]:
        """Everything the view depends on but the picture and the decoders, for keys."""
        return {**asdict(self), "ops": [[op.kind, op.amount] for op in self.ops], "version": 1}

    def chance(self, digest: str) -> Random:
        """What decides about one picture: the same for the same view and the same digest of a picture's bytes."""
        return Random(f"{self.seed}:{self.number}:{digest}")

    def box(self, aspect: float, chance: Random) -> Box | None:
        """The part of a picture that is seen, None where that is left to the decode recipe.

        Args:
            aspect: columns over rows of the picture, divided by those of the result; 1 where the picture is stretched.
            chance: asked first by this function, then by `change`.
        """
        for op in self.ops:
            if op.kind == "crop":
                return _random_box(op.amount, aspect, chance)
        return None

    def change(self, pixels: np.ndarray, chance: Random) -> np.ndarray:
        """Change what is seen.

        Args:
            pixels: uint8 `(height, width, 3)`, RGB, 0-255.
            chance: see `box`.

        Returns:
            A picture of the same size.
        """
        for op in self.ops:
            if op.kind in _CHANGES:
                pixels = _CHANGES[op.kind](pixels, op.amount, chance)
        return np.ascontiguousarray(pixels)


def _random_box(smallest: float, aspect: float, chance: Random) -> Box:
    """A random resized crop (Szegedy et al., arXiv 1409.4842), drawn as torchvision's `RandomResizedCrop` draws it.

    Area and logarithm of the aspect ratio are uniform; if ten of them do not fit into the picture, it is the largest
    crop from the centre with an aspect ratio that is allowed.
    """
    low, high = ASPECT_RATIOS
    for _ in range(_CROP_ATTEMPTS):
        area = chance.uniform(smallest, 1.0)
        ratio = math.exp(chance.uniform(math.log(low), math.log(high)))
        height, width = math.sqrt(area * aspect / ratio), math.sqrt(area * ratio / aspect)
        if height <= 1 and width <= 1:
            top, left = chance.uniform(0, 1 - height), chance.uniform(0, 1 - width)
            return Box(top, left, top + height, left + width)
    height, width = min(1.0, aspect / low), min(1.0, high / aspect)
    return Box((1 - height) / 2, (1 - width) / 2, (1 + height) / 2, (1 + width) / 2)


def _rotate(pixels: np.ndarray, degrees: float, chance: Random) -> np.ndarray:
    return warp(pixels, rotation=chance.uniform(-degrees, degrees))


def _flip(pixels: np.ndarray, probability: float, chance: Random) -> np.ndarray:
    return pixels[:, ::-1] if chance.random() < probability else pixels


def _flip_upside_down(pixels: np.ndarray, probability: float, chance: Random) -> np.ndarray:
    return pixels[::-1] if chance.random() < probability else pixels


def _colour(pixels: np.ndarray, strength: float, chance: Random) -> np.ndarray:
    brightness, contrast, saturation = (chance.uniform(1 - strength, 1 + strength) for _ in range(3))
    return adjust_colour(pixels, brightness, contrast, saturation)


def _rand_augment(pixels: np.ndarray, operations: float, chance: Random) -> np.ndarray:
    return rand_augment(pixels, int(operations), chance)


_CHANGES: dict[OpKind, Callable[[np.ndarray, float, Random], np.ndarray]] = {
    "rotate": _rotate,
    "flip": _flip,
    "vflip": _flip_upside_down,
    "colour": _colour,
    "randaugment": _rand_augment,
}
_ORDER: tuple[OpKind, ...] = ("crop", *_CHANGES)
