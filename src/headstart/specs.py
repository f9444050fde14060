"""The small languages of a recipe: heads, what is unfrozen, augmentations, schedules. Text in, values out.

Every parser raises `ValueError` with one sentence that says what was received and what would have been valid.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from headstart.errors import nearest

MOST_UNITS = 65_536
"""Units of the widest dense layer in a head."""

MOST_VIEWS = 1000
"""Random views kept of each picture, at most."""

LANDMARKS = 3000
"""Landmarks of a kernel head, unless told otherwise."""

HeadKind = Literal["auto", "linear", "kernel", "layers"]
LayerKind = Literal["conv", "flatten", "dense", "dropout"]


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a head before the classifier.

    Attributes:
        kind: `conv` (1x1, with BatchNormalization and ReLU), `flatten`, `dense` (with ReLU) or `dropout`.
        amount: filters or units, or the share that is dropped; 0 for `flatten`.
    """

    kind: LayerKind
    amount: float = 0.0


@dataclass(frozen=True)
class HeadSpec:
    """A head.

    Attributes:
        text: `auto`, `linear`, `kernel`, `kernel:500`, or layers as `dense:400,dropout:0.2,dense:100`,
            `flatten,dense:400` or `conv:1280,flatten`.
        kind: `auto` stands for the better of `linear` and `kernel`.
        layers: what stands before the classifier where the kind is `layers`.
        landmarks: rows of the kernel head's first layer.
    """

    text: str
    kind: HeadKind = "linear"
    layers: tuple[HeadLayer, ...] = ()
    landmarks: int = LANDMARKS

    @property
    def is_solved(self) -> bool:
        """Whether the head is a convex problem on pooled features, so that it is solved and not fitted."""
        return self.kind != "layers"


def parse_head(text: str) -> HeadSpec:
    """Read a head from its text."""
    kind, _, number = text.partition(":")
    if text in ("auto", "linear"):
        return HeadSpec(text, "auto" if text == "auto" else "linear")
    if kind == "kernel" and "," not in text:
        return HeadSpec(text, "kernel", landmarks=_whole(number or str(LANDMARKS), 2, MOST_UNITS, text, "kernel:UNITS"))
    layers = tuple(_parse_layer(part.strip()) for part in text.split(","))
    shapes = [layer.kind for layer in layers]
    if "conv" in shapes and any(kind != "conv" for kind in shapes[: _last(shapes, "conv")]):
        raise ValueError(f"head {text!r}: conv layers come first, since they take feature maps.")
    if "flatten" in shapes and any(kind != "conv" for kind in shapes[: _last(shapes, "flatten")]):
        raise ValueError(f"head {text!r}: flatten comes first, or right after conv layers.")
    return HeadSpec(text, "layers", layers)


def _last(kinds: list[LayerKind], kind: LayerKind) -> int:
    return len(kinds) - 1 - kinds[::-1].index(kind)


def _parse_layer(part: str) -> HeadLayer:
    kind, _, number = part.partition(":")
    if kind in ("dense", "conv"):
        name: LayerKind = "dense" if kind == "dense" else "conv"
        return HeadLayer(name, _whole(number, 1, MOST_UNITS, part, f"{kind}:UNITS"))
    if kind == "dropout":
        return HeadLayer("dropout", _share(number, part, "dropout:SHARE"))
    if part == "flatten":
        return HeadLayer("flatten")
    if kind in ("linear", "kernel", "auto"):
        raise ValueError(f"{kind} stands alone; the classifier after other layers is added by itself.")
    raise ValueError(
        f"unknown head layer {kind!r}; {nearest(kind, ['auto', 'linear', 'kernel', *get_args(LayerKind)])}"
    )


UnfreezeKind = Literal["none", "all", "last", "from", "block", "top"]


@dataclass(frozen=True)
class Unfreeze:
    """Which layers of a backbone are trained.

    Attributes:
        text: as it was given.
        kind: `none`, `all`, the `last` so many layers, `from` a layer on, from a `block` on, or the `top` layers that
            hold a share of the parameters.
        layer: name of a layer or block; None where a number is given.
        number: number of layers, or number of a layer.
        share: of the parameters, above 0 and at most 1.
    """

    text: str
    kind: UnfreezeKind
    layer: str | None = None
    number: int = 0
    share: float = 0.0


UNFREEZE_FORMS = "none, all, last:LAYERS, from:NUMBER, from:NAME, block:NAME, top:PERCENT%"


def parse_unfreeze(text: str) -> Unfreeze:
    """Read what is to be unfrozen: `none`, `all`, `last:34`, `from:113`, `from:NAME`, `block:NAME`, `top:20%`."""
    kind, _, value = text.partition(":")
    if text == "none" or text == "all":
        return Unfreeze(text, "none" if text == "none" else "all")
    if kind == "last":
        return Unfreeze(text, "last", number=_whole(value, 1, 100_000, text, "last:LAYERS"))
    if kind == "from" and value.removeprefix("-").isdecimal():
        return Unfreeze(text, "from", number=int(value))
    if kind == "from" and value:
        return Unfreeze(text, "from", layer=value)
    if kind == "block" and value:
        return Unfreeze(text, "block", layer=value)
    if kind == "top":
        return Unfreeze(text, "top", share=_percent(value, text))
    raise ValueError(f"unfreeze {text!r} is none of {UNFREEZE_FORMS}.")


def _percent(value: str, text: str) -> float:
    try:
        share = float(value.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not (value.endswith("%") and 0 < share <= 1):
        raise ValueError(f"unfreeze {text!r} should be top:PERCENT% with a number above 0 and up to 100.")
    return share


@dataclass(frozen=True)
class Views:
    """How many random views of each picture there are.

    Attributes:
        text: `auto`, `none`, `views=K` or `stream`.
        mode: `auto` leaves the choice between `views` and `stream` to the room on disk.
        count: K.
    """

    text: str
    mode: Literal["auto", "none", "views", "stream"]
    count: int = 0


def parse_augment(text: str) -> Views:
    """Read `auto`, `none`, `views=K` or `stream`."""
    if text in ("auto", "none", "stream"):
        return Views(text, "auto" if text == "auto" else "none" if text == "none" else "stream")
    name, _, number = text.partition("=")
    if name == "views":
        return Views(text, "views", _whole(number, 1, MOST_VIEWS, text, "views=COUNT"))
    raise ValueError(f"augment {text!r} is none of auto, none, views=K, stream.")


OpKind = Literal["flip", "vflip", "crop", "rotate", "colour", "randaugment", "mixup", "cutmix"]

# What each is when no number is given, and the range of the number.
_OPS: dict[OpKind, tuple[float, float, float]] = {
    "flip": (0.5, 0.0, 1.0),
    "vflip": (0.5, 0.0, 1.0),
    "crop": (0.5, 0.01, 1.0),
    "rotate": (15.0, 0.0, 180.0),
    "colour": (0.2, 0.0, 1.0),
    "randaugment": (2.0, 1.0, 10.0),
    "mixup": (0.2, 0.01, 10.0),
    "cutmix": (1.0, 0.01, 10.0),
}
MIXING: tuple[OpKind, ...] = ("mixup", "cutmix")
"""What mixes two pictures of a batch; the others change one picture."""


@dataclass(frozen=True)
class Op:
    """One kind of random change.

    Attributes:
        kind: `flip` and `vflip` (probability), `crop` (smallest share of the area), `rotate` (degrees at most, either
            way), `colour` (strength of brightness, contrast and saturation), `randaugment` (operations per picture),
            `mixup` and `cutmix` (alpha of the beta distribution).
        amount: see there.
    """

    kind: OpKind
    amount: float


def parse_ops(text: str) -> tuple[Op, ...]:
    """Read augmentations, as `flip,crop:0.5,rotate:15,colour:0.2,mixup`."""
    ops = []
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        if name not in _OPS:
            raise ValueError(f"unknown augmentation {name!r}; {nearest(name, list(_OPS))}")
        kind: OpKind = name
        usual, low, high = _OPS[kind]
        try:
            amount = float(number) if number else usual
        except ValueError:
            amount = low - 1
        whole = kind == "randaugment"
        if not low <= amount <= high or (whole and amount != int(amount)):
            wanted = "a whole number" if whole else "a number"
            raise ValueError(f"{part.strip()!r} should be {kind}:NUMBER with {wanted} from {low:g} to {high:g}.")
        ops.append(Op(kind, amount))
    if len({op.kind for op in ops}) < len(ops):
        raise ValueError(f"augmentations {text!r} name one of them twice.")
    return tuple(ops)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes after the warm-up.

    Attributes:
        text: `constant`, `cosine` or `decay:RATE`.
        kind: `cosine` falls to nothing at the last epoch; `decay` divides by 1 + rate x step.
        rate: of `decay`, per step.
    """

    text: str
    kind: Literal["constant", "cosine", "decay"]
    rate: float = 0.0


def parse_schedule(text: str) -> Schedule:
    """Read `constant`, `cosine` or `decay:1e-6`."""
    if text in ("constant", "cosine"):
        return Schedule(text, "constant" if text == "constant" else "cosine")
    kind, _, number = text.partition(":")
    try:
        rate = float(number)
    except ValueError:
        rate = -1.0
    if kind != "decay" or not 0 <= rate < 1:
        raise ValueError(f"schedule {text!r} is none of constant, cosine, decay:RATE.")
    return Schedule(text, "decay", rate)


def _whole(number: str, low: int, high: int, text: str, form: str) -> int:
    value = int(number) if number.isdecimal() else -1
    if not low <= value <= high:
        raise ValueError(f"{text!r} should be {form} with a whole number from {low} to {high}.")
    return value


def _share(number: str, text: str, form: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ValueError(f"{text!r} should be {form} with a number from 0 to below 1.")
    return value


@dataclass(frozen=True)
class NamePattern:
    """Where something stands in the names of files.

    Attributes:
        text: as it was given.
        form: the same as a regular expression with one group.
    """

    text: str
    form: re.Pattern[str]

    def find(self, name: str) -> str | None:
        """What stands there in the name of a picture, without blanks around it; None where the name does not match.

        Args:
            name: a path below the folder that was given; a pattern without a slash is for the name of the file alone.
        """
        match = self.form.fullmatch(name if "/" in self.text else name.rpartition("/")[2])
        return (match[1].strip() or None) if match else None


def parse_label_pattern(text: str) -> NamePattern:
    """Read how the label stands in the names of files: `{label}.*` makes `cat.17.jpg` a cat.

    The word in braces stands for what is wanted, `*` for anything, the rest for itself. What is wanted is as short as
    it can be and holds no slash.
    """
    return _name_pattern(text, "label_pattern", "label", "{label}.*")


def parse_group_pattern(text: str) -> NamePattern:
    """Read how the group stands in the names of files: `{group}_*` puts `p07_1.png` and `p07_2.png` into one, `p07`."""
    return _name_pattern(text, "group_by", "group", "{group}_*")


def _name_pattern(text: str, option: str, wanted: str, example: str) -> NamePattern:
    if text.count(f"{{{wanted}}}") != 1:
        raise ValueError(f"{option} {text!r} should have {{{wanted}}} in it once, as in {example}")
    parts = {f"{{{wanted}}}": "([^/]+?)", "*": ".*"}
    pieces = re.split(rf"(\{{{wanted}\}}|\*)", text)
    return NamePattern(text, re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL))


class Fold(NamedTuple):
    """One of several folds: the pictures that this training is checked on, while all others are learned from.

    Attributes:
        number: which, from 1.
        of: how many there are.
    """

    number: int
    of: int


def parse_fold(text: str) -> Fold:
    """Read which fold is for validation: `2/5` is the second of five.

    Raises:
        ValueError: if it is none.
    """
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    fold = Fold(int(found[1]), int(found[2])) if found else Fold(0, 0)
    if not 1 <= fold.number <= fold.of or fold.of < 2:
        raise ValueError(f"fold {text!r} should be one of several, as 2/5 is the second of five")
    return fold
