"""From pictures that each have a label of their own to a listing: which side they are on, which classes there are."""

import os
from collections.abc import Callable, Sequence

from headstart.errors import DataError, nearest
from headstart.images.pictures import Listing, Picture, Quarantined, Side, check_class_sizes
from headstart.objects.addresses import as_path
from headstart.texts import printable

Place = str | os.PathLike[str]
Found = Sequence[Picture | Quarantined]


def collect(
    source: Place, val: Place | None, test: Place | None, classes: Sequence[str] | None, read: Callable[[Place], Found]
) -> Listing:
    """Put pictures on their sides as folders do: `test` alone is for validation, without `val` headstart splits.

    Args:
        source: where they are.
        val: where pictures for validation are; they replace those of the source.
        test: where pictures for testing are; they replace those of the source.
        classes: the classes there are, in their order; None for those of the pictures to learn from, sorted.
        read: finds what is in one of these places.

    Raises:
        DataError: if there are fewer than two classes, or too few pictures of one, or one of an unknown class.
    """
    others: dict[Side, Place | None] = {"val": val, "test": test}
    given = {side: read(place) for side, place in others.items() if place is not None}
    found = read(source)
    pictures = [item for item in found if isinstance(item, Picture) and item.side not in given]
    if "val" not in given and not any(picture.side == "val" for picture in pictures):
        pictures = [picture._replace(side="val") if picture.side == "test" else picture for picture in pictures]
    for side, items in given.items():
        pictures += [item._replace(side=side) for item in items if isinstance(item, Picture)]
    is_split = any(picture.side == "val" for picture in pictures)
    pictures = [p._replace(side="train" if is_split else None) if p.is_learnable else p for p in pictures]
    everything = [item for items in (found, *given.values()) for item in items]
    skipped = tuple(item for item in everything if isinstance(item, Quarantined))
    names = _classes(source, pictures, classes)
    return Listing(as_path(source), tuple(pictures), names, skipped)


def collect_for_evaluation(source: str | os.PathLike[str], found: Found) -> Listing:
    """Take the pictures for validation where the source says so, or else for testing, or else all.

    Raises:
        DataError: if there are none.
    """
    pictures = [item for item in found if isinstance(item, Picture)]
    if not pictures:
        raise DataError(f"no pictures in {source}.")
    sides = {picture.side for picture in pictures}
    wanted = next((side for side in ("val", "test") if side in sides), None)
    chosen = tuple(p._replace(side=None) for p in pictures if wanted is None or p.side == wanted)
    names = tuple(sorted({str(picture.label) for picture in chosen}))
    return Listing(as_path(source), chosen, names, tuple(item for item in found if isinstance(item, Quarantined)))


def _classes(source: object, pictures: Sequence[Picture], listed: Sequence[str] | None) -> tuple[str, ...]:
    learnable = [picture for picture in pictures if picture.is_learnable]
    learned = sorted({str(picture.label) for picture in learnable})
    names = learned if listed is None else list(listed)
    known = set(names)
    for picture in pictures:
        if picture.label not in known:
            where = "the list of classes" if listed is not None else "the pictures to learn from"
            raise DataError(
                f"{printable(picture.name)} in {source} is of class {picture.label!r}, which is not among {where}; "
                f"{nearest(str(picture.label), names)}"
            )
    if not learned:
        raise DataError(f"no pictures to learn from in {source}.")
    if len(learned) == 1:
        raise DataError(f"only one class to learn from in {source}: {learned[0]!r}. A classifier needs at least two.")
    check_class_sizes(learnable, learned, source)
    return tuple(names)
