"""What runs in the workers of a cluster: the local engine, on one core or one accelerator, for a part of the pictures.

A worker writes what it computes to the store itself and tells only which pictures it has done. So features never
pass the process that asked for them, and a part that Ray gives out a second time, because a worker or its machine is
gone, finds in the store what was finished the first time.
"""

import json
import os
import pickle
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headstart.errors import DataError, HeadstartError, StorageError
from headstart.features.extract import Extraction, compute_missing, decoder, hash_pictures
from headstart.features.packed import Packed
from headstart.features.runtime import Runtime
from headstart.features.store import Space
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Quarantined
from headstart.images.places import Stat, stat_of
from headstart.images.views import View
from headstart.loading import share_accelerators
from headstart.threads import CORES

PATH = "path"
"""The column with the paths of files, in bytes: a name on disk need not be text."""

ERROR = "error"
"""The column with what ended the work on a part, pickled; empty where nothing did."""

Columns = dict[str, np.ndarray]
"""A part of a table, as Ray hands it over."""


class Part:
    """A callable that Ray makes once in every worker and calls with one part of the pictures after the other.

    Args:
        task: in a list, where Ray leaves it alone, the reference to what is to be done.
        cores: how many the worker may keep busy.
        folder: what paths are relative to.
    """

    def __init__(self, task: list[Any], cores: int, folder: str):
        import ray

        os.environ[CORES] = str(cores)
        share_accelerators()
        with suppress(OSError):  # where there is no such folder, the pictures will be missed
            os.chdir(folder)
        self.task: Any = ray.get(task[0])

    def __call__(self, columns: Columns) -> Columns:
        """Do the work on a part, or say in every row what is in the way of it."""
        paths = [os.fsdecode(path) for path in columns[PATH]]
        try:
            return {PATH: columns[PATH], ERROR: _texts(b"" for _ in paths), **self.work(paths)}
        except HeadstartError as error:
            return {PATH: columns[PATH], ERROR: _texts(pickle.dumps(error) for _ in paths)}

    def work(self, paths: Sequence[str]) -> Columns:
        """Columns about the files, a row for each."""
        raise NotImplementedError


@dataclass(frozen=True)
class Extracting:
    """The task of keeping features, or of finding digests alone.

    Attributes:
        example: a picture that every worker must find.
        decode: how pictures are decoded.
        view: which random view of them; None for that of the centre.
        frozen: what they go through; None where digests alone are wanted.
        open_space: opens the space of the store that takes the features.
    """

    example: str
    decode: DecodeRecipe | None = None
    view: View | None = None
    frozen: Packed | None = None
    open_space: Callable[[], Space] | None = None


class Extractor(Part):
    """Keeps the features of its parts of the pictures; see `Extracting` for its task and `Done` for its columns."""

    task: Extracting

    def work(self, paths: Sequence[str]) -> Columns:
        """See `Part`."""
        self._refuse_hidden_pictures()
        notes = Notes()
        if self.task.frozen is None:
            digests, quarantined = hash_pictures(paths, notes)
            return _told(paths, digests, quarantined, notes, 0)
        found = self._extract(paths, self.task.frozen, notes)
        return _told(paths, found.digests, found.quarantined, notes, found.extracted)

    def _extract(self, paths: Sequence[str], frozen: Packed, notes: "Notes") -> Extraction:
        assert self.task.decode is not None
        make = decoder(self.task.decode, self.task.view)
        return compute_missing(paths, make, lambda: self._runtime, self._space, notes, size=frozen.given)

    @cached_property
    def _runtime(self) -> Runtime:
        assert self.task.frozen is not None
        return self.task.frozen.unpack()

    @cached_property
    def _space(self) -> Space:
        assert self.task.open_space is not None
        space = self.task.open_space()
        if not space.about():
            raise StorageError(
                f"the store {space.place} is not to be seen from {platform.node()}. Set HEADSTART_STORE to a folder "
                "that all machines share, or to one in object storage."
            )
        return space

    def _refuse_hidden_pictures(self) -> None:
        try:
            stat_of(self.task.example)
        except OSError:
            raise DataError(
                f"{self.task.example} is not to be seen from {platform.node()}. Put the pictures where all machines "
                "see them under the same path, or into object storage."
            ) from None


class Notes:
    """Takes down the digests of files that a worker has read, for the process that keeps them."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[Stat, str]] = {}

    def lookup(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Nothing: what is known was not given out."""
        return {}

    def remember(self, entries: Mapping[str, tuple[Stat, str]]) -> None:
        """Take them down."""
        self.taken.update(entries)


@dataclass(frozen=True)
class Done:
    """What became of one file.

    Attributes:
        path: the file.
        digest: of its bytes; empty if it cannot be used.
        reason: why it cannot be used.
        stat: what it was when it was read.
    """

    path: str
    digest: str
    reason: str
    stat: Stat | None


def read_done(columns: Columns) -> Iterator[Done]:
    """What an `Extractor` tells of its files."""
    for path, digest, reason, stat in zip(*(columns[name] for name in (PATH, "digest", "reason", "stat")), strict=True):
        size, modified, changed, inode = json.loads(stat) if stat else (0, 0, 0, 0)
        yield Done(os.fsdecode(path), digest, reason, (size, modified, changed, inode) if stat else None)


def count_extracted(columns: Columns) -> int:
    """How many pictures of a part went through the frozen part."""
    return int(columns["extracted"].sum())


def _told(
    paths: Sequence[str],
    digests: Mapping[str, str],
    quarantined: Sequence[Quarantined],
    notes: Notes,
    extracted: int,
) -> Columns:
    reasons = {bad.path: bad.reason for bad in quarantined}
    stats = {path: json.dumps(stat) for path, (stat, _) in notes.taken.items()}
    return {
        "digest": _texts(digests.get(path, "") for path in paths),
        "reason": _texts(reasons.get(path, "") for path in paths),
        "stat": _texts(stats.get(path, "") for path in paths),
        "extracted": np.array([extracted, *(0 for _ in paths[1:])]),
    }


def _texts(values: Iterable[str | bytes]) -> np.ndarray:
    return np.array(list(values), object)
