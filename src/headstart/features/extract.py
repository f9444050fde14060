"""Frozen part times pictures, once: what the store already has is taken from it, the rest is computed and kept."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from typing import TypeVar

import numpy as np

from headstart.features.keys import picture_digest
from headstart.features.runtime import Runtime
from headstart.features.stat_cache import Stat, StatCache, stat_of
from headstart.features.store import Arrays, Space
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.sources import Quarantined
from headstart.progress import Advance

log = logging.getLogger(__name__)

Item = TypeVar("Item")

BATCH = 32
"""Pictures per run of the frozen part, and per write to the store: what a kill can cost at most."""


@dataclass
class Extraction:
    """What became of each file.

    Attributes:
        space: where the features are.
        digests: the digest of every picture that has features, by path.
        quarantined: the files that have none, in the order given.
        extracted: pictures that went through the frozen part.
        reused: pictures whose features were there already, duplicates within the run among them.
    """

    space: Space
    digests: dict[str, str] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    extracted: int = 0
    reused: int = 0

    def read(self, paths: Sequence[str]) -> Arrays:
        """The features of some pictures: one float32 array per frontier tensor, a row for each path."""
        return self.space.read([self.digests[path] for path in paths])


@dataclass(frozen=True)
class _Loaded:
    """A file that was looked at: its digest, and its pixels where its features are not kept yet."""

    path: str
    stat: Stat | None = None
    digest: str | None = None
    pixels: np.ndarray | None = None
    reason: str | None = None


def extract(
    paths: Sequence[str],
    recipe: DecodeRecipe,
    load_runtime: Callable[[], Runtime],
    space: Space,
    stat_cache: StatCache,
    advance: Advance = lambda count: None,
) -> Extraction:
    """Make sure that the store has the features of every picture.

    Files are read and decoded on threads while the frozen part runs; no more than a few batches are in memory.
    Each batch is safe on disk before the next is begun. Rows that were kept are compared with their checksums, and
    computed again when damaged.

    Args:
        paths: the files.
        recipe: how they are decoded.
        load_runtime: makes the frozen part ready; called only when a picture needs it.
        space: where features of this kind are kept.
        stat_cache: digests of files that have not changed.
        advance: told of every file that is done with.

    Raises:
        StorageError: if the store cannot be written. What was written before stays.
    """
    result = Extraction(space.refresh())
    runtime: Runtime | None = None
    for batch in in_batches(_load_all(paths, recipe, space, stat_cache, result, advance)):
        runtime = runtime or load_runtime()
        pixels = np.stack([picture.pixels for picture in batch if picture.pixels is not None])
        space.append([str(picture.digest) for picture in batch], runtime(pixels))
        result.extracted += len(batch)
        advance(len(batch))
    lost = set(space.discard_damaged(sorted(set(result.digests.values()))))
    if lost:
        again = [path for path, digest in result.digests.items() if digest in lost]
        repaired = extract(again, recipe, load_runtime, space, stat_cache)
        result.extracted += repaired.extracted
        result.quarantined += repaired.quarantined
        result.digests = {path: d for path, d in result.digests.items() if d not in lost} | repaired.digests
    space.merge_small_shards()
    result.reused = len(result.digests) - result.extracted
    return result


def load_pictures(paths: Iterable[str], recipe: DecodeRecipe) -> Iterator[tuple[str, np.ndarray | Quarantined]]:
    """Decode files on threads, in order; each comes with its pixels, uint8 `(height, width, 3)`, or its reason."""
    for loaded in _in_order(paths, lambda path: _load(path, recipe, lambda digest: False, None)):
        if loaded.pixels is None:
            yield loaded.path, Quarantined(loaded.path, loaded.reason or "")
        else:
            yield loaded.path, loaded.pixels


def _load_all(
    paths: Sequence[str],
    recipe: DecodeRecipe,
    space: Space,
    stat_cache: StatCache,
    result: Extraction,
    advance: Advance,
) -> Iterator[_Loaded]:
    """Yield the pictures whose features must be computed, each content once; note the others."""
    known = stat_cache.lookup(paths)
    fresh: dict[str, tuple[Stat, str]] = {}
    pending: set[str] = set()
    for loaded in _in_order(paths, lambda path: _load(path, recipe, space.__contains__, known.get(path))):
        if loaded.digest is None:
            result.quarantined.append(Quarantined(loaded.path, loaded.reason or ""))
            advance(1)
            continue
        result.digests[loaded.path] = loaded.digest
        if loaded.stat is not None:
            fresh[loaded.path] = (loaded.stat, loaded.digest)
        if loaded.pixels is None or loaded.digest in pending:
            advance(1)
            continue
        pending.add(loaded.digest)
        yield loaded
    stat_cache.remember(fresh)


def _load(path: str, recipe: DecodeRecipe, is_kept: Callable[[str], bool], known: str | None) -> _Loaded:
    """Read one file, and decode it unless its features are kept. Runs on a thread."""
    if known is not None and is_kept(known):
        return _Loaded(path, digest=known)
    try:
        stat = stat_of(path)
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        return _Loaded(path, reason=f"cannot be read: {error.strerror or error}")
    digest = picture_digest(data)
    if is_kept(digest):
        return _Loaded(path, stat, digest)
    try:
        return _Loaded(path, stat, digest, decode(data, recipe))
    except UndecodableError as error:
        return _Loaded(path, reason=str(error))


def _in_order(paths: Iterable[str], load: Callable[[str], _Loaded]) -> Iterator[_Loaded]:
    """Load files on threads, a bounded number ahead, and give them in the order they came."""
    workers = cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: deque[Future[_Loaded]] = deque()
        try:
            for path in paths:
                waiting.append(pool.submit(load, path))
                if len(waiting) > 2 * BATCH + workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Gather items into lists of `BATCH`; the last one may be shorter."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
