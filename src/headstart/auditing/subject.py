"""What is audited: pictures with their labels, sides and looks, and new pictures to compare them with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from headstart.auditing.alike import STEPS, find_alike
from headstart.auditing.findings import Pictured, Where
from headstart.auditing.look import Looks, look
from headstart.errors import DataError
from headstart.features.store import Store
from headstart.images.dataset import Dataset, make_dataset
from headstart.images.pictures import Listing, Picture
from headstart.images.split import Shares
from headstart.progress import bar


@dataclass(frozen=True)
class Likeness:
    """Which pictures are the same, or nearly.

    Attributes:
        exact: integer `(pictures,)`; files with the same bytes have the same number.
        near: integer `(pictures,)`; pictures that look alike, exact copies among them, have the same number. That of
            a file that cannot be decoded is its own.
        mirrored: numbers in `near` of groups that are held together by mirror images alone.
    """

    exact: np.ndarray
    near: np.ndarray
    mirrored: frozenset[int]


@dataclass(frozen=True)
class Subject:
    """The pictures of an audit, each with what is known of it.

    Attributes:
        listing: what was found in the data.
        pictures: those of the listing, and behind them the new ones.
        sides: of each; None for those that are on no side.
        looks: of each.
        dataset: the split as a training would make it; None where it could not.
        refused: why it could not; empty where it could.
        show: whether to draw progress bars.
    """

    listing: Listing
    pictures: tuple[Picture, ...]
    sides: tuple[Where | None, ...]
    looks: Looks
    dataset: Dataset | None
    refused: str
    show: bool

    @cached_property
    def good(self) -> np.ndarray:
        """Integer, the rows of the pictures that can be decoded."""
        return np.flatnonzero(self.looks.decodable)

    @cached_property
    def likeness(self) -> Likeness:
        """Which pictures are the same, or nearly."""
        _, exact = np.unique(np.array(self.looks.digests, "S40"), return_inverse=True)
        unread = np.array([not digest for digest in self.looks.digests], bool)
        exact[unread] = exact.max(initial=0) + 1 + np.arange(unread.sum())
        _, first = np.unique(exact[self.good], return_index=True)
        chosen = self.good[first]
        records = self.looks.records[chosen]
        with bar("looking for duplicates", STEPS, "steps", self.show) as advance:
            found = find_alike(records["hash"], records["mirrored"], records["thumbnail"], advance)
        # Files are in the group of their content; those without one are alone.
        group_of = np.arange(exact.max(initial=0) + 1) + len(chosen)
        group_of[exact[chosen]] = found.groups
        plain = set(found.groups[found.first[~found.mirrored]].tolist())
        linked = set(found.groups[found.first[found.mirrored]].tolist())
        return Likeness(exact, group_of[exact], frozenset(linked - plain))

    @cached_property
    def units(self) -> np.ndarray:
        """Integer `(pictures,)`: what must not be divided over folds has the same number: likes, and groups."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        near = self.likeness.near
        names = {name: number for number, name in enumerate(sorted({p.group for p in self.pictures if p.group}))}
        offset = int(near.max(initial=0)) + 1
        rows = [row for row, picture in enumerate(self.pictures) if picture.group]
        groups = np.array([names[str(self.pictures[row].group)] for row in rows], int) + offset
        size = offset + len(names)
        graph = coo_array((np.ones(len(rows), bool), (near[rows], groups)), shape=(size, size))
        _, units = connected_components(graph, directed=False)
        return np.asarray(units[near])

    def on(self, *sides: Where) -> np.ndarray:
        """Integer, the rows of the pictures on these sides that can be decoded."""
        return np.array([row for row in self.good if self.sides[row] in sides], int)

    def pictured(self, row: int) -> Pictured:
        """One picture, for a finding."""
        picture = self.pictures[row]
        return Pictured(picture.path, picture.name, picture.label, self.sides[row])


def examine(
    listing: Listing,
    new: Sequence[Picture],
    shares: Shares,
    store: Store,
    show: bool = False,
) -> Subject:
    """Look at all files, and split those that are pictures as a training would.

    Args:
        listing: what was found.
        new: pictures to compare it with.
        shares: how they are divided.
        store: where looks are kept.
        show: whether to draw progress bars.
    """
    pictures = (*listing.pictures, *new)
    looks = look([picture.path for picture in pictures], store, show)
    known = len(listing.pictures)
    decodable = looks.decodable
    digests = {listing.pictures[row].path: looks.digests[row] for row in np.flatnonzero(decodable[:known])}
    sides: list[Where | None] = [picture.side for picture in listing.pictures]
    dataset, refused = None, ""
    try:
        dataset = make_dataset(listing, digests, shares)
    except DataError as error:
        refused = str(error)
    if dataset is not None:
        drawn = {example.picture.path: example.side for example in dataset.examples}
        sides = [drawn.get(picture.path) for picture in listing.pictures]
    sides += ["new"] * len(new)
    return Subject(listing, pictures, tuple(sides), looks, dataset, refused, show)


def without_broken(subject: Subject) -> Listing:
    """The listing, without the files that cannot be decoded."""
    kept = tuple(p for p, good in zip(subject.listing.pictures, subject.looks.decodable, strict=False) if good)
    return replace(subject.listing, pictures=kept)
