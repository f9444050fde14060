"""The whole audit, read aloud: list, look, check files and labels, compute features, check those."""

import os
import time
from collections.abc import Sequence

from headstart.auditing import duplicates, plain
from headstart.auditing.findings import NEEDS_KERAS, Audit, Check
from headstart.auditing.subject import Subject, examine
from headstart.errors import RecipeError
from headstart.features.store import Store
from headstart.images.dataset import check_shares
from headstart.images.given import listed, shares_of
from headstart.images.pictures import Picture
from headstart.images.sources import list_any
from headstart.loading import load_keras
from headstart.recipe import Recipe


def run_audit(
    recipe: Recipe,
    against: str | os.PathLike[str] | None = None,
    features: bool = True,
    show: bool = False,
) -> Audit:
    """Look at data before anything is learned from it.

    Args:
        recipe: which data, how it is split, and whose features are compared; its strategy is `head`.
        against: a folder, zip or file of new pictures to compare the training pictures with.
        features: whether to compute features; without them there are fewer checks, and Keras is not needed.
        show: whether to draw progress bars.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if features are wanted and Keras is not installed.
    """
    started = time.perf_counter()
    if features:
        load_keras(NEEDS_KERAS)
    _check(recipe, features)
    listing, shares = listed(recipe), shares_of(recipe)
    check_shares(listing, shares)
    new: Sequence[Picture] = () if against is None else list_any([against])
    store = Store()
    store.prepare()
    subject = examine(listing, new, shares, store, show)
    checks = _plain_checks(subject)
    if features and len(subject.good):
        checks += _learned_checks(subject, recipe, store)
    return Audit(
        data=recipe.data,
        files=len(subject.pictures) + len(listing.skipped),
        counts=_counts(subject),
        checks=tuple(checks),
        backbone=recipe.backbone if features else None,
        refused=subject.refused,
        seconds=time.perf_counter() - started,
    )


def _check(recipe: Recipe, features: bool) -> None:
    if "," in recipe.backbone:
        raise RecipeError([f"an audit takes one backbone, not {recipe.backbone!r}."])
    if not features:
        recipe.check([recipe.backbone])
        return
    from headstart.models.backbones import backbones

    recipe.check(backbones())


def _plain_checks(subject: Subject) -> list[Check]:
    """Leaks first, then what is broken, then what is odd."""
    checks = [
        duplicates.exact(subject),
        duplicates.near(subject),
        plain.groups(subject),
        plain.unreadable(subject),
        plain.formats(subject),
        plain.skipped(subject),
        plain.imbalance(subject),
        plain.sizes(subject),
    ]
    return [check for check in checks if check is not None]


def _learned_checks(subject: Subject, recipe: Recipe, store: Store) -> list[Check]:
    from headstart.auditing import learned
    from headstart.auditing.vectors import compute_vectors

    vectors = compute_vectors(subject, recipe, store)
    return [check(subject, vectors, recipe.seed) for check in (learned.labels, learned.outliers, learned.shift)]


def _counts(subject: Subject) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {name: {} for name in subject.listing.classes}
    for row in subject.good:
        label, side = subject.pictures[row].label, subject.sides[row]
        if label is not None and side is not None:
            counts[label][side] = counts[label].get(side, 0) + 1
    return counts
