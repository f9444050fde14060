"""Frozen part times pictures, wherever the cut is: which runtime, which space in the store, which views."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import keras
import numpy as np

from headstart.errors import DataError
from headstart.features.convert import PROBE_PICTURES, FrozenRuntime, choose_runtime
from headstart.features.extract import Extraction, extract, hash_pictures, load_pictures
from headstart.features.keys import space_identity
from headstart.features.store import Store
from headstart.images.dataset import make_dataset
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Listing, Quarantined
from headstart.images.split import Shares
from headstart.images.views import View
from headstart.models.cut import Parts, bytes_per_picture, fingerprint
from headstart.progress import bar, waiting
from headstart.recipe import Recipe
from headstart.specs import Op, Views

log = logging.getLogger(__name__)

VIEWS = 8
"""Random views kept of each picture where they fit and nobody said how many."""

FEWEST_VIEWS = 3
"""With room for fewer than these, views are streamed."""

MOST_KEPT_BYTES = 8 << 30
"""What kept views may take on disk where nobody said how many there should be; never more than half of what is free."""


@dataclass(frozen=True)
class Frozen:
    """A frozen part that is ready to run.

    Attributes:
        model: the frozen part.
        digest: its fingerprint.
        runtime: what runs it.
    """

    model: keras.Model
    digest: str
    runtime: FrozenRuntime

    def in_f32(self) -> "Frozen":
        """The same where Keras runs it, as the saved model computes."""
        identity = replace(self.runtime.identity, precision="f32")
        return replace(self, runtime=replace(self.runtime, identity=identity, model=self.model))


@dataclass
class Keeper:
    """Runs frozen parts over the pictures of one training and keeps what comes out.

    Attributes:
        recipe: backbone, weights, precision, strictness.
        listing: the pictures.
        decode: how they are decoded.
        store: where features are kept.
        show: whether to draw progress bars.
        extracted: pictures that went through a frozen part so far, each view counted.
        reused: pictures whose features were there already, each view counted.
        engine: makes sure that the store has the features, as `extract` does.
    """

    recipe: Recipe
    listing: Listing
    decode: DecodeRecipe
    store: Store
    show: bool
    extracted: int = 0
    reused: int = 0
    engine: Callable[..., Extraction] = extract
    _known: dict[str, FrozenRuntime] = field(default_factory=dict)

    def freeze(self, parts: Parts) -> Frozen:
        """Choose the runtime of a frozen part."""
        with waiting("preparing the frozen part", self.show):
            digest = fingerprint(parts.frozen)
            if digest not in self._known:
                self._known[digest] = choose_runtime(
                    parts.frozen, digest, self.store, self._samples, self.recipe.precision
                )
        return Frozen(parts.frozen, digest, self._known[digest])

    def keep(self, frozen: Frozen, paths: Sequence[str] | None = None, view: View | None = None) -> Extraction:
        """Make sure that the store has what the frozen part gives for pictures.

        Args:
            frozen: the frozen part.
            paths: the pictures; all of them by default.
            view: which random view; None for that of the centre.

        Raises:
            DataError: if files cannot be decoded and the recipe is strict.
            StorageError: if the store cannot be written.
        """
        chosen = [picture.path for picture in self.listing.pictures] if paths is None else list(paths)
        label = (
            f"extracting features of {self.recipe.backbone}" if view is None else f"extracting view {view.number + 1}"
        )
        with bar(label, len(chosen), "pictures", self.show) as advance:
            identity = space_identity(frozen.digest, self.decode, frozen.runtime.identity, view)
            space = self.store.space(identity, self._about(frozen, view))
            load = partial(frozen.runtime.load, pictures=len(chosen))
            given = (chosen, self.decode, load, space, self.store.stat_cache, advance, view)
            features = self.engine(*given, frozen.runtime.batch)
        if self.recipe.strict and features.quarantined:
            first = features.quarantined[0]
            raise DataError(
                f"{len(features.quarantined)} files cannot be decoded, the first is {first.path}: {first.reason}. "
                "Remove them, or leave --strict out to train without them."
            )
        self.extracted += features.extracted
        self.reused += features.reused
        return features

    def how_many_views(self, asked: Views, frozen: Frozen, pictures: int) -> Views:
        """Decide between kept and streamed views by the room on disk, where the recipe leaves it open."""
        if asked.mode != "auto":
            return asked
        one = pictures * bytes_per_picture(frozen.model)
        room = min(MOST_KEPT_BYTES, shutil.disk_usage(self.store.root).free // 2)
        count = min(VIEWS, room // max(1, one))
        if count >= FEWEST_VIEWS:
            return Views(f"views={count}", "views", int(count))
        log.warning(
            "one view of %d pictures takes %.1f GB, and there are %.1f GB for all views, so they are streamed: "
            "every epoch runs the frozen part again. --augment views=K keeps K of them all the same.",
            *(pictures, one / 1e9, room / 1e9),
        )
        return Views("stream", "stream")

    def views(self, frozen: Frozen, paths: Sequence[str], ops: tuple[Op, ...], count: int) -> list[Extraction]:
        """Keep several random views of each picture.

        Raises:
            DataError: if a picture that could be decoded before cannot be any more.
        """
        kept = [self.keep(frozen, paths, View(ops, self.recipe.seed, number)) for number in range(count)]
        for features in kept:
            self.refuse_changed(paths, features)
        return kept

    def refuse_changed(self, paths: Sequence[str], features: Extraction) -> None:
        """Refuse pictures that have become unreadable since the training began.

        Raises:
            DataError: naming the first of them.
        """
        for path in paths:
            if path not in features.digests:
                raise DataError(f"{path} could be decoded when the training began and cannot be any more.")

    def _about(self, frozen: Frozen, view: View | None) -> dict[str, object]:
        return {
            "backbone": self.recipe.backbone,
            "weights": self.recipe.weights,
            "image_size": self.decode.height,
            "frontier": [list(tensor.shape[1:]) for tensor in frozen.model.outputs],
            "view": "centre" if view is None else f"random {view.number}",
            "bytes_per_picture": bytes_per_picture(frozen.model),
            "runtime": frozen.runtime.identity.name,
            "precision": frozen.runtime.identity.precision,
        }

    def _samples(self) -> np.ndarray:
        """A few of the user's own pictures, from all over the listing."""
        pictures = self.listing.pictures
        spread = [pictures[i].path for i in np.random.default_rng(0).permutation(len(pictures))]
        decoded = (content for _, content in load_pictures(spread, self.decode) if isinstance(content, np.ndarray))
        samples = list(islice(decoded, PROBE_PICTURES))
        if not samples:
            raise DataError(f"none of the {len(spread)} files in {self.listing.root} is a picture that can be decoded.")
        return np.stack(samples)


def some_of_training(keeper: Keeper, shares: Shares, most: int) -> dict[str, str]:
    """Training pictures with their digests, by path: known before any of them is decoded.

    In the order of their digests pictures are mixed, and the same ones are taken whatever their names.

    Args:
        keeper: the pictures and the store.
        shares: how they are divided.
        most: how many are taken at most.
    """
    digests, _ = hash_pictures([picture.path for picture in keeper.listing.pictures], keeper.store.stat_cache)
    data = make_dataset(keeper.listing, digests, shares)
    paths = sorted(data.side("train").paths, key=lambda path: (digests[path], path))
    return {path: digests[path] for path in paths[:most]}


def decoded(keeper: Keeper, paths: Sequence[str]) -> list[np.ndarray]:
    """The pixels of the files that can be decoded, uint8 `(height, width, 3)` each."""
    return [content for _, content in load_pictures(paths, keeper.decode) if not isinstance(content, Quarantined)]
