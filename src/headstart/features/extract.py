"""Frozen part times pictures: once, where the store keeps what it gives; anew, where every epoch has its own views."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from headstart.errors import DataError
from headstart.features.runtime import BATCH, Runtime
from headstart.features.stat_cache import Digests
from headstart.features.store import Arrays, Space
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.digest import picture_digest
from headstart.images.memory import reading
from headstart.images.pictures import Content, Quarantined
from headstart.images.places import Stat, read_file, readers, size_of, stat_of, stats_of
from headstart.images.views import View
from headstart.progress import Advance
from headstart.threads import in_order

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_BATCHES_AHEAD = 1
"""Batches that wait for the one that is being run, so that the next one can begin at once."""

Make = Callable[[bytes, str], np.ndarray]
"""Makes an array of a file's bytes and their digest, if that is known, on a thread; raises `UndecodableError`."""


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
        """The features of some pictures: one array per frontier tensor, a row for each path.

        They are float32, or uint8 where the frontier is the pixels.
        """
        return self.space.read([self.digests[path] for path in paths])


_Known = tuple[Stat, str]
"""What a file was when it was last read, and the digest of its bytes then."""


@dataclass(frozen=True)
class _Loaded:
    """A file that was looked at; without a digest if it cannot be used, without pixels if these are not wanted."""

    path: str
    digest: str | None = None
    pixels: np.ndarray | None = None
    stat: Stat | None = None  # where it is not known yet
    reason: str = ""


def extract(
    paths: Sequence[str],
    recipe: DecodeRecipe,
    load_runtime: Callable[[], Runtime],
    space: Space,
    stat_cache: Digests,
    advance: Advance = lambda count: None,
    view: View | None = None,
    size: int = BATCH,
) -> Extraction:
    """Make sure that the store has the features of every picture.

    Files are read and decoded on threads while the frozen part runs; no more than a few batches are in memory.
    Each batch is safe on disk while the next but one is run. Rows that were kept are compared with their checksums, and
    computed again when damaged.

    Args:
        paths: the files.
        recipe: how they are decoded.
        load_runtime: makes the frozen part ready; called only when a picture needs it.
        space: where features of this kind are kept.
        stat_cache: digests of files that have not changed.
        advance: told of every file that is done with.
        view: which random view of the pictures; None for that of the centre. It is part of the identity of the space.
        size: pictures per run of the frozen part.

    Raises:
        StorageError: if the store cannot be written. What was written before stays.
    """
    return keep(paths, decoder(recipe, view), load_runtime, space, stat_cache, advance, size)


def keep(
    paths: Sequence[str],
    make: Make,
    load_runtime: Callable[[], Runtime],
    space: Space,
    stat_cache: Digests,
    advance: Advance = lambda count: None,
    size: int = BATCH,
) -> Extraction:
    """Make sure that the store has what follows from every file: `extract`, whatever is made of a file.

    Args:
        paths: the files.
        make: what is made of each, all of one shape and type; see `Make`.
        load_runtime: gives what turns a batch of these into the arrays that are kept.
        space: where they are kept.
        stat_cache: digests of files that have not changed.
        advance: told of every file that is done with.
        size: files for each write to the store.

    Raises:
        StorageError: if the store cannot be written. What was written before stays.
    """
    result = compute_missing(paths, make, load_runtime, space, stat_cache, advance, size)
    return settled(result, lambda again: keep(again, make, load_runtime, space, stat_cache, size=size))


def compute_missing(
    paths: Sequence[str],
    make: Make,
    load_runtime: Callable[[], Runtime],
    space: Space,
    stat_cache: Digests,
    advance: Advance = lambda count: None,
    size: int = BATCH,
) -> Extraction:
    """Add to a space what it lacks of some files; arguments and errors as for `keep`.

    Whether rows that were there are whole is not looked at, and small shards stay small: for that there is `settled`.
    """
    result = Extraction(space.refresh())
    missing = _load_missing(paths, make, stat_cache, result, advance, 2 * size)
    for digests, arrays in _computed(in_batches(missing, size), load_runtime):
        space.append(digests, arrays)
        result.extracted += len(digests)
        advance(len(digests))
    return result


def settled(result: Extraction, compute: Callable[[list[str]], Extraction]) -> Extraction:
    """What an extraction comes to, once damaged rows are computed again and small shards are merged.

    Args:
        result: says which rows there ought to be.
        compute: computes those of some files.
    """
    space = result.space
    lost = set(space.discard_damaged(sorted(set(result.digests.values()))))
    if lost:
        repaired = compute([path for path, digest in result.digests.items() if digest in lost])
        result.extracted += repaired.extracted
        result.quarantined += repaired.quarantined
        result.digests = {path: d for path, d in result.digests.items() if d not in lost} | repaired.digests
    space.merge_small_shards()
    result.reused = len(result.digests) - result.extracted
    return result


def those_not_kept(paths: Sequence[str], stat_cache: Digests, result: Extraction) -> list[str]:
    """The files of which it is not known that a space has what follows from them; the others are noted in `result`."""
    known = {path: digest for path, (_, digest) in _recall(paths, stat_cache).items() if digest in result.space}
    result.digests |= known
    return [path for path in paths if path not in known]


def _computed(
    batches: Iterable[list[_Loaded]], load_runtime: Callable[[], Runtime]
) -> Iterator[tuple[list[str], Arrays]]:
    """Run the frozen part over batches, on a thread of its own: the one before is written while the next is run."""
    runtime: Runtime | None = None

    def run(batch: list[_Loaded]) -> tuple[list[str], Arrays]:
        nonlocal runtime
        runtime = runtime or load_runtime()
        pixels = np.stack([picture.pixels for picture in batch if picture.pixels is not None])
        return [str(picture.digest) for picture in batch], runtime(pixels)

    return in_order(run, batches, workers=1, ahead=_BATCHES_AHEAD, name="frozen")


def load_pictures(
    paths: Iterable[str | Content], recipe: DecodeRecipe, view: View | None = None, ahead: int = 2 * BATCH
) -> Iterator[tuple[str, np.ndarray | Quarantined]]:
    """Decode files on threads, in order.

    Args:
        paths: the files, or their contents.
        recipe: how they are decoded.
        view: which random view of the pictures; None for that of the centre.
        ahead: how many may wait to be asked for.

    Yields:
        Each path, or name of a content, with its pixels, uint8 `(height, width, 3)`, or the reason why there are none.
    """
    make = decoder(recipe, view)

    def load(item: str | Content) -> _Loaded:
        return _load_content(item, make) if isinstance(item, Content) else _load(item, make)

    for loaded in _in_order(paths, load, ahead):
        yield loaded.path, loaded.pixels if loaded.pixels is not None else Quarantined(loaded.path, loaded.reason)


def hash_pictures(
    paths: Sequence[str], stat_cache: Digests, advance: Advance = lambda count: None
) -> tuple[dict[str, str], list[Quarantined]]:
    """Find the digests of files without decoding them.

    Args:
        paths: the files.
        stat_cache: digests of files that have not changed, which are not read; those of the others are added.
        advance: told of every file that is done with.

    Returns:
        The digests by path, in the order given, and the files that cannot be read. What can be read may still prove
        not to be a picture.
    """
    digests: dict[str, str] = {}
    unreadable: list[Quarantined] = []
    for loaded in _look_at(paths, stat_cache, lambda path, known: _load(path, None, known)):
        if loaded.digest is None:
            unreadable.append(Quarantined(loaded.path, loaded.reason))
        else:
            digests[loaded.path] = loaded.digest
        advance(1)
    return digests, unreadable


def digests_of(paths: Sequence[str]) -> Iterator[str]:
    """The digests of files that could be read a moment ago, in order.

    Raises:
        OSError: if one cannot be read any more.
    """
    workers = readers(paths[0]) if paths else 1
    return in_order(lambda path: picture_digest(read_file(path)), paths, workers, workers, "digest")


def _required(content: np.ndarray | Quarantined) -> np.ndarray:
    if isinstance(content, Quarantined):
        raise DataError(
            f"{content.path} can no longer be used: {content.reason}. Put it back as it was, or begin without it."
        )
    return content


def _load_missing(
    paths: Sequence[str],
    make: Make,
    stat_cache: Digests,
    result: Extraction,
    advance: Advance,
    ahead: int,
) -> Iterator[_Loaded]:
    """Yield the pictures whose features must be computed, each content once; note the others."""
    pending: set[str] = set()
    is_kept = result.space.__contains__
    for loaded in _look_at(paths, stat_cache, lambda path, known: _load(path, make, known, is_kept), ahead):
        if loaded.digest is None:
            result.quarantined.append(Quarantined(loaded.path, loaded.reason))
            advance(1)
            continue
        result.digests[loaded.path] = loaded.digest
        if loaded.pixels is None or loaded.digest in pending:
            advance(1)
            continue
        pending.add(loaded.digest)
        yield loaded


def _look_at(
    paths: Sequence[str],
    stat_cache: Digests,
    load: Callable[[str, _Known | None], _Loaded],
    ahead: int = 2 * BATCH,
) -> Iterator[_Loaded]:
    """Load files, each with what is known of it, and remember what is new."""
    known = _recall(paths, stat_cache)
    fresh: dict[str, _Known] = {}
    try:
        for loaded in _in_order(paths, lambda path: load(path, known.get(path)), ahead):
            if loaded.stat is not None and loaded.digest is not None:
                fresh[loaded.path] = (loaded.stat, loaded.digest)
            yield loaded
    finally:  # whoever interrupts it has these files read again for nothing otherwise
        stat_cache.remember(fresh)


def _recall(paths: Sequence[str], stat_cache: Digests) -> dict[str, _Known]:
    """What is known of files that have not changed."""
    # Taken before the cache compares: a file that changes in between has another stat when it is read.
    stats = stats_of(paths)
    return {path: (stats[path], digest) for path, digest in stat_cache.lookup(stats).items()}


def decoder(recipe: DecodeRecipe, view: View | None) -> Make:
    """Makes pixels of files: what `extract` makes of them."""
    return lambda data, digest: decode(data, recipe, view, digest)


def _load(
    path: str,
    make: Make | None,
    known: _Known | None = None,
    is_kept: Callable[[str], bool] = lambda digest: False,
) -> _Loaded:
    """Read one file, unless its digest is known and enough; decode it, unless it is kept. Runs on a thread."""
    if known is not None and (make is None or is_kept(known[1])):
        return _Loaded(path, known[1])
    try:
        with reading(size_of(path)):
            return _read(path, make, known, is_kept)
    except OSError as error:
        return _Loaded(path, reason=f"cannot be read: {error.strerror or error}")
    except UndecodableError as error:
        return _Loaded(path, reason=str(error))


def _load_content(content: Content, make: Make) -> _Loaded:
    try:
        return _Loaded(content.name, pixels=make(content.data, ""))
    except UndecodableError as error:
        return _Loaded(content.name, reason=str(error))


def _read(path: str, make: Make | None, known: _Known | None, is_kept: Callable[[str], bool]) -> _Loaded:
    """What `_load` does with a file that has to be read.

    Raises:
        OSError: if it cannot be.
        UndecodableError: if it is no picture.
    """
    stat = stat_of(path)
    data = read_file(path)
    unchanged = known is not None and known[0] == stat == stat_of(path)
    digest = known[1] if known is not None and unchanged else picture_digest(data)
    fresh = None if unchanged else stat
    if make is None or is_kept(digest):
        return _Loaded(path, digest, stat=fresh)
    return _Loaded(path, digest, make(data, digest), fresh)


def _in_order(paths: Iterable[Item], load: Callable[[Item], _Loaded], ahead: int = 2 * BATCH) -> Iterator[_Loaded]:
    """Load files on threads, a bounded number ahead, and give them in the order they came."""
    waiting = iter(paths)
    some = list(islice(waiting, 1))
    workers = readers(some[0]) if some else 1
    return in_order(load, chain(some, waiting), workers, ahead + workers, "decode")


def in_batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """Gather items into lists of `size`; the last one may be shorter."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
