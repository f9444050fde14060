"""The pictures that can be used, each on its side of the split."""

import hashlib
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from headstart.errors import DataError
from headstart.images.pictures import Listing, Picture, Side, check_class_sizes
from headstart.images.split import Shares, split_by_content, split_by_group, undivided

log = logging.getLogger(__name__)

IMBALANCE = 10
"""A class with so many times fewer pictures to learn from than the largest is worth a word."""


class Example(NamedTuple):
    """A picture that can be decoded.

    Attributes:
        picture: the file.
        digest: of its bytes.
        side: where it ended up.
    """

    picture: Picture
    digest: str
    side: Side


@dataclass(frozen=True)
class Labelled:
    """Pictures on one side of the split.

    Attributes:
        examples: the pictures.
        paths: their files.
        labels: integer `(pictures,)`, class numbers.
    """

    examples: tuple[Example, ...]
    paths: tuple[str, ...]
    labels: np.ndarray

    @property
    def groups(self) -> list[str] | None:
        """What of them must not be divided, one name for each picture; None where nobody spoke of groups."""
        if all(example.picture.group is None for example in self.examples):
            return None
        return undivided([example.digest for example in self.examples], [e.picture.group for e in self.examples])


@dataclass(frozen=True)
class Dataset:
    """All pictures that can be used.

    Attributes:
        classes: the class names; a label is a place in them.
        examples: in the order in which they were found.
    """

    classes: tuple[str, ...]
    examples: tuple[Example, ...]

    def side(self, side: Side) -> Labelled:
        """The pictures on one side."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        chosen = tuple(example for example in self.examples if example.side == side)
        labels = np.array([numbers[str(example.picture.label)] for example in chosen], int)
        return Labelled(chosen, tuple(example.picture.path for example in chosen), labels)

    @cached_property
    def digest(self) -> str:
        """Of the pictures' contents, their labels and sides: the same wherever they came from and whatever their names.

        64 hexadecimal digits of BLAKE2b.
        """
        rows = sorted((example.digest, str(example.picture.label), example.side) for example in self.examples)
        return hashlib.blake2b(json.dumps([self.classes, rows]).encode(), digest_size=32).hexdigest()

    @cached_property
    def across_sides(self) -> frozenset[str]:
        """The digests of pictures that are both learned from and evaluated on."""
        learned = {example.digest for example in self.examples if example.side == "train"}
        return frozenset(example.digest for example in self.examples if example.side != "train") & learned

    @cached_property
    def torn(self) -> frozenset[str]:
        """The digests of pictures that are in more than one class."""
        label_of: dict[str, str | None] = {}
        return frozenset(
            example.digest
            for example in self.examples
            if label_of.setdefault(example.digest, example.picture.label) != example.picture.label
        )

    @cached_property
    def divided_groups(self) -> frozenset[str]:
        """The groups of which some pictures are learned from and others evaluated on."""
        return self._groups_on(learned=True) & self._groups_on(learned=False)

    @cached_property
    def learned(self) -> dict[str, int]:
        """How many pictures of each class there are to learn from; some may have none."""
        counts = dict.fromkeys(self.classes, 0)
        for example in self.examples:
            counts[str(example.picture.label)] += example.side == "train"
        return counts

    def warn(self, data: str) -> None:
        """Say what makes the figures untrue, or hides behind them, as far as digests and labels show it.

        Args:
            data: what was given, for the command that shows more.
        """
        look = f"`headstart audit {shlex.quote(data)}` shows them."
        if self.across_sides:
            log.warning(
                "%d pictures are both trained on and evaluated on: the figures flatter the model. %s",
                *(len(self.across_sides), look),
            )
        if self.divided_groups:
            log.warning(
                "%d groups are both trained on and evaluated on, as %r: the figures flatter the model. %s",
                *(len(self.divided_groups), min(self.divided_groups), look),
            )
        if self.torn:
            log.warning(
                "%d pictures are in more than one class: at least one of their labels is wrong. %s",
                *(len(self.torn), look),
            )
        few = {name: count for name, count in self.learned.items() if count * IMBALANCE <= max(self.learned.values())}
        if few := {name: count for name, count in few.items() if count}:
            rarest = min(few, key=lambda name: (few[name], name))
            log.warning(
                "%d classes have %d times fewer pictures than the largest or less, %r has %d: accuracy hardly shows "
                "how they fare. `headstart audit %s` counts them.",
                *(len(few), IMBALANCE, rarest, few[rarest], shlex.quote(data)),
            )

    def _groups_on(self, learned: bool) -> frozenset[str]:
        chosen = (example.picture for example in self.examples if (example.side == "train") == learned)
        return frozenset(picture.group for picture in chosen if picture.group is not None)

    @property
    def evaluated_sides(self) -> tuple[Side, ...]:
        """The sides that figures are reported for: `val`, and `test` where there is one."""
        present = {example.side for example in self.examples}
        sides: tuple[Side, ...] = ("val", "test")
        return tuple(side for side in sides if side in present)


def make_dataset(listing: Listing, digests: Mapping[str, str], shares: Shares) -> Dataset:
    """Put every picture on its side: the one its folder says, else the one its content or its group draws.

    Args:
        listing: what was found.
        digests: of the pictures that can be decoded, by path; the others are left out.
        shares: what is drawn where no folder holds it; test pictures are taken from those that are not in a folder for
            validation.

    Raises:
        DataError: if a class has too few pictures that can be decoded, or none is left for validation or testing.
    """
    usable = [picture for picture in listing.pictures if picture.path in digests]
    learnable = [picture for picture in usable if picture.is_learnable]
    where = f"{listing.root}, without the files that cannot be decoded,"
    check_class_sizes(learnable, listing.pictured, where)
    labels = [str(picture.label) for picture in learnable]
    contents, groups = [digests[picture.path] for picture in learnable], [picture.group for picture in learnable]
    to_draw = _still_to_draw(listing, shares)
    if any(groups):
        drawn = split_by_group(labels, contents, groups, to_draw)
    else:
        drawn = split_by_content(labels, contents, to_draw)
    drawn = _as_before(contents, drawn, shares.known)
    folders: dict[str, Side] = {picture.path: picture.side for picture in usable if picture.side is not None}
    sides = folders | dict(zip((picture.path for picture in learnable), drawn, strict=True))
    examples = tuple(Example(picture, digests[picture.path], sides[picture.path]) for picture in usable)
    _refuse_empty_sides(listing, examples, shares.test)
    return Dataset(listing.classes, examples)


def _as_before(digests: Sequence[str], drawn: Sequence[Side], known: Mapping[str, Side]) -> list[Side]:
    """The sides that an earlier split says, and those that were drawn for what is new."""
    if known and (new := sum(digest not in known for digest in digests)):
        log.warning("%d of %d pictures are not in the split that was given; they are split anew.", new, len(digests))
    return [known.get(digest, side) for digest, side in zip(digests, drawn, strict=True)]


def check_shares(listing: Listing, shares: Shares) -> None:
    """Refuse to draw what folders say already, before anything is computed.

    Raises:
        DataError: if they do.
    """
    if not _has_val_folder(listing):
        return
    if shares.fold is not None:
        raise DataError(
            f"the validation pictures of {listing.root} are given, so there are no folds to take them from. Leave the "
            "fold out, or give one folder of all pictures."
        )
    if shares.known:
        raise DataError(f"the validation pictures of {listing.root} are given; leave the split out.")


def _still_to_draw(listing: Listing, shares: Shares) -> Shares:
    """The shares without those that a folder holds."""
    val = 0.0 if _has_val_folder(listing) else shares.val
    return replace(shares, val=val, test=None if listing.on("test") else shares.test)


def _has_val_folder(listing: Listing) -> bool:
    return any(picture.side == "train" for picture in listing.pictures)


def _refuse_empty_sides(listing: Listing, examples: Sequence[Example], test: float | None) -> None:
    present = {example.side for example in examples}
    if "val" not in present:
        raise DataError(
            f"no picture is left for validation in {listing.root}: the pictures of each class are all the same one "
            "or of one group, or the validation folders hold none that can be decoded."
        )
    if "test" not in present and (test is not None or listing.on("test")):
        raise DataError(
            f"no picture is left for testing in {listing.root}: the classes have too few different pictures, or the "
            "test folders hold none that can be decoded. Add some, or go without a test part."
        )
