"""Every choice of one training, in one value that is checked at once."""

import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from headstart.errors import RecipeError, nearest

Fit = Literal["crop", "stretch"]
PrecisionChoice = Literal["auto", "f32", "bf16"]
Strategy = Literal["head"]


MOST_UNITS = 65_536
"""Units of the widest dense layer in a head."""


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a head before the classifier.

    Attributes:
        kind: `dense` (with ReLU) or `dropout`.
        amount: units, or the share that is dropped.
    """

    kind: Literal["dense", "dropout"]
    amount: float


@dataclass(frozen=True)
class HeadSpec:
    """A head.

    Attributes:
        text: `linear`, or layers as `dense:400,dropout:0.2,dense:100`.
        layers: what stands before the classifier; none for a linear head.
    """

    text: str
    layers: tuple[HeadLayer, ...] = ()

    @property
    def is_linear(self) -> bool:
        """Whether the head is one dense layer, and so a convex problem."""
        return not self.layers


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Attributes:
        data: folder of class folders, or of `train` and `val` folders of class folders.
        out: the RUN folder to create; None to keep the result in a temporary folder.
        backbone: name in the registry, as `mobilenet_v2`.
        weights: `imagenet`, `none` for random ones, or the path of a file.
        strategy: `head` trains a new head on the frozen backbone.
        head: `linear`, or layers as `dense:400,dropout:0.2,dense:100`.
        val: share of pictures kept aside for validation, above 0 and below 1, or the path of a folder of class
            folders. Not used where the data has a folder for validation, unless it is a path.
        epochs: at most so many, where epochs are run; a linear head is solved and has none.
        image_size: rows and columns in pixels; None for the backbone's native size.
        fit: `crop` keeps the aspect ratio and cuts the centre, `stretch` keeps everything and distorts it.
        seed: for the split, random weights and the order of training; the same seed gives the same result.
        precision: of the frozen part: `f32`, `bf16`, or `auto`, which takes bf16 only if it changes hardly anything.
        strict: refuse files that cannot be decoded instead of leaving them out.
    """

    data: str
    out: str | None = None
    backbone: str = "mobilenet_v2"
    weights: str = "imagenet"
    strategy: Strategy = "head"
    head: str = "linear"
    val: float | str = 0.2
    epochs: int = 50
    image_size: int | None = None
    fit: Fit = "crop"
    seed: int = 0
    precision: PrecisionChoice = "auto"
    strict: bool = False

    def __post_init__(self) -> None:
        # Whoever writes Python gives paths and numbers of many kinds; below here there are strings, ints and floats.
        for name in ("data", "out", "weights", "val"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
        if isinstance(self.val, Real):
            object.__setattr__(self, "val", float(self.val))
        for name in ("epochs", "seed", "image_size"):
            value = getattr(self, name)
            if isinstance(value, Integral):
                object.__setattr__(self, name, int(value))
        problems = list(self._wrong_types())
        if problems:
            raise RecipeError(problems)

    def check(self, backbones: Collection[str]) -> None:
        """Refuse a recipe that cannot be carried out, with everything that is wrong with it at once.

        Args:
            backbones: the names in the registry.

        Raises:
            RecipeError: with one sentence for each problem.
        """
        problems = [*self._wrong_names(backbones), *self._wrong_numbers()]
        try:
            parse_head(self.head)
        except RecipeError as error:
            problems += error.problems
        if problems:
            raise RecipeError(problems)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for bundles."""
        return asdict(self)

    def _wrong_types(self) -> Iterator[str]:
        for name in ("data", "backbone", "weights", "strategy", "head", "fit", "precision"):
            if not isinstance(getattr(self, name), str):
                yield f"{name} is {getattr(self, name)!r}; a text is needed."
        for name in ("epochs", "seed"):
            if not isinstance(getattr(self, name), int):
                yield f"{name} is {getattr(self, name)!r}; a whole number is needed."
        if self.image_size is not None and not isinstance(self.image_size, int):
            yield f"image_size is {self.image_size!r}; a whole number or None is needed."
        if not isinstance(self.val, float | str):
            yield f"val is {self.val!r}; a share or a folder is needed."
        if self.out is not None and not isinstance(self.out, str):
            yield f"out is {self.out!r}; a path is needed."

    def _wrong_names(self, backbones: Collection[str]) -> Iterator[str]:
        for name, value, valid in (
            ("backbone", self.backbone, backbones),
            ("strategy", self.strategy, get_args(Strategy)),
            ("fit", self.fit, get_args(Fit)),
            ("precision", self.precision, get_args(PrecisionChoice)),
        ):
            if value not in valid:
                yield f"unknown {name} {value!r}; {nearest(str(value), valid)}"
        if self.weights not in ("imagenet", "none") and not Path(self.weights).exists():
            yield f"weights {self.weights!r} is no file; besides a file there are imagenet and none."

    def _wrong_numbers(self) -> Iterator[str]:
        if isinstance(self.val, float) and not 0 < self.val < 1:
            yield f"val is {self.val:g}; as a share it lies above 0 and below 1."
        for name in ("data", "out", "val"):
            if getattr(self, name) == "":
                yield f"{name} is empty; a path is needed."
        if self.epochs < 1:
            yield f"epochs is {self.epochs}; at least 1 is needed."
        if self.image_size is not None and self.image_size < 1:
            yield f"image_size is {self.image_size}; at least 1 is needed."
        if not 0 <= self.seed < 2**32:
            yield f"seed is {self.seed}; it lies from 0 to {2**32 - 1}."


def parse_val(text: str) -> float | str:
    """A share if it reads as a number, else a path."""
    try:
        return float(text)
    except ValueError:
        return text


def parse_head(text: str) -> HeadSpec:
    """Read a head from its text.

    Raises:
        RecipeError: with one problem for each part that cannot be read.
    """
    if text == "linear":
        return HeadSpec(text)
    problems: list[str] = []
    layers: list[HeadLayer] = []
    for part in text.split(","):
        try:
            layers.append(_parse_layer(part.strip()))
        except ValueError as error:
            problems.append(f"head {text!r}: {error}")
    if problems:
        raise RecipeError(problems)
    return HeadSpec(text, tuple(layers))


def _parse_layer(part: str) -> HeadLayer:
    kind, _, number = part.partition(":")
    try:
        amount = float(number)
    except ValueError:
        amount = -1.0
    if kind == "dense":
        if not 1 <= amount <= MOST_UNITS or amount != int(amount):
            raise ValueError(f"{part!r} should be dense:UNITS with a whole number from 1 to {MOST_UNITS}.")
        return HeadLayer("dense", amount)
    if kind == "dropout":
        if not 0 <= amount < 1:
            raise ValueError(f"{part!r} should be dropout:SHARE with a number from 0 to below 1.")
        return HeadLayer("dropout", amount)
    if kind == "linear":
        raise ValueError("linear stands alone; the classifier after other layers is added by itself.")
    raise ValueError(f"unknown layer {kind!r}; {nearest(kind, ['linear', 'dense', 'dropout'])}")
