"""Features on disk, found by content.

    STORE/features/SPACE/about.json             how the features of this space were computed
    STORE/features/SPACE/NAME.safetensors       one shard: keys, one tensor per frontier tensor, one checksum per row

A shard is written whole under a temporary name, synced and renamed; after that it never changes. So a reader sees
a shard or does not, a writer that is killed loses only the batches that were under way, any number of writers need no
lock, and a folder on a network or in object storage serves as well as a local one. Small shards are merged into
larger ones, which are again new shards. `docs/design/store.md` says what else was considered.
"""

import json
import logging
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from headstart.atomic import whole_file
from headstart.errors import StorageError, storage_errors
from headstart.features.keys import PICTURE_DIGEST_BYTES, space_digest
from headstart.features.stat_cache import StatCache

log = logging.getLogger(__name__)

Arrays = list[np.ndarray]
"""One array per frontier tensor, rows first."""

_SMALL_SHARD_BYTES = 4 << 20
_MERGED_SHARD_BYTES = 64 << 20
_READ_BYTES = 16 << 20
_STALE_SECONDS = 24 * 3600
STORE_HINT = "Free some space there, or set HEADSTART_STORE to a folder that can be written."


def default_root() -> Path:
    """Where the store lives: `HEADSTART_STORE`, else `headstart` in the user's cache folder (XDG base directories)."""
    if chosen := os.environ.get("HEADSTART_STORE"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "headstart"
    except RuntimeError:
        raise StorageError("there is no home folder to keep features in. Set HEADSTART_STORE to a folder.") from None


class Store:
    """Everything that is kept between runs: features, converted frozen parts, digests of files."""

    def __init__(self, root: Path | None = None):
        self.root = root or default_root()

    @property
    def stat_cache(self) -> StatCache:
        """Digests of files that have not changed."""
        return StatCache(self.root / "pictures.sqlite")

    def prepare(self) -> None:
        """Make sure that the store can be written before anything is computed.

        Raises:
            StorageError: if it cannot.
        """
        with storage_errors(self.root, STORE_HINT):
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"x")
            probe.unlink()

    def converted(self, fingerprint: str) -> Path:
        """The folder of what is kept about one frozen part: its form for the runtime, and what was found out."""
        return self.root / "converted" / fingerprint

    def space(self, identity: Mapping[str, Any], about: Mapping[str, Any]) -> "Space":
        """The features computed in one particular way.

        Args:
            identity: everything they depend on but the picture.
            about: what a person should be told of them.
        """
        space = Space(self.root / "features" / space_digest(identity))
        space.describe({"about": dict(about), "identity": dict(identity)})
        return space

    def spaces(self) -> "list[Space]":
        """All spaces in the store."""
        folder = self.root / "features"
        return [Space(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []

    def prune(self, unused_seconds: float = 0) -> int:
        """Remove what has not been used for a time, and what killed writers left; returns the bytes freed."""
        freed = 0
        horizon = time.time() - unused_seconds
        for space in self.spaces():
            freed += space.remove_leftovers()
            if space.last_used() <= horizon:
                freed += _remove_tree(space.path)
        converted = self.root / "converted"
        for folder in converted.iterdir() if converted.is_dir() else ():
            if folder.stat().st_mtime <= horizon:
                freed += _remove_tree(folder)
        if unused_seconds == 0 and (file := self.root / "pictures.sqlite").exists():
            freed += file.stat().st_size
            file.unlink()
        return freed


@dataclass(frozen=True)
class Health:
    """What a verification found.

    Attributes:
        rows: rows that are whole.
        damaged: rows whose checksum was wrong, and whole shards that could not be read, counted as one each.
    """

    rows: int
    damaged: int


class Space:
    """The features that were computed in one particular way, by the digest of the picture."""

    def __init__(self, path: Path):
        self.path = path
        self._where: dict[str, tuple[str, int]] = {}
        self._indexed: set[str] = set()

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write down, once, how the features of this space are computed."""
        with storage_errors(self.path, STORE_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "about.json").exists():
                write_atomically(self.path / "about.json", json.dumps(description, indent=1).encode())

    def about(self) -> dict[str, Any]:
        """What a person should be told of these features; empty when that is damaged."""
        with suppress(OSError, ValueError, KeyError):
            return dict(json.loads((self.path / "about.json").read_text())["about"])
        return {}

    def last_used(self) -> float:
        """When the space was last read or written, in seconds since 1970."""
        return self.path.stat().st_mtime

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    def refresh(self, touch: bool = True) -> "Space":
        """Take notice of the shards that other writers have added or merged.

        Args:
            touch: whether this counts as using the space.
        """
        present = {file.name for file in self.path.glob("*.safetensors")}
        if self._indexed - present:
            self._where = {key: place for key, place in self._where.items() if place[0] in present}
        self._indexed &= present
        for name in sorted(present - self._indexed):
            keys = self._read_keys(name)
            self._indexed.add(name)
            self._where.update((key, (name, row)) for row, key in enumerate(keys))
        if touch:
            with suppress(OSError):
                os.utime(self.path)
        return self

    def __contains__(self, key: object) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    def append(self, keys: Sequence[str], arrays: Arrays) -> None:
        """Add rows; when this returns they are safe.

        Args:
            keys: the digest of each picture.
            arrays: one array for each frontier tensor, a row for each key.

        Raises:
            StorageError: if the disk is full or cannot be written.
        """
        with storage_errors(self.path, STORE_HINT):
            self.path.mkdir(parents=True, exist_ok=True)  # somebody may have pruned it meanwhile
        name = self._write_shard(_bytes_of(keys), arrays)
        self._indexed.add(name)
        self._where.update((key, (name, row)) for row, key in enumerate(keys))

    def read(self, keys: Sequence[str]) -> Arrays:
        """The features of some pictures, in the order of `keys`, as new arrays.

        Raises:
            KeyError: if the space does not have one of them.
        """
        try:
            return self._read([self._where[key] for key in keys])
        except FileNotFoundError:  # another process has merged a shard since this one looked
            self.refresh()
            return self._read([self._where[key] for key in keys])

    def discard_damaged(self, keys: Sequence[str] | None = None) -> list[str]:
        """Compare rows with their checksums and forget those that are damaged.

        What is still good in a damaged shard is written into a new one.

        Args:
            keys: the rows to look at; all of them by default.

        Returns:
            Those of the keys that the space does not have, now that damaged rows are gone.
        """
        self.refresh(touch=False)
        asked = list(self._where) if keys is None else list(keys)
        key_at = {self._where[key]: key for key in asked if key in self._where}
        damaged: list[str] = []
        for name, wanted in _grouped(key_at).items():
            bad = self._damaged_rows(name, [row for row, _ in wanted])
            if bad:
                damaged += [key_at[name, row] for row in bad]
                with suppress(FileNotFoundError):  # another process has done so
                    self._rewrite({name})
        for key in damaged:
            self._where.pop(key, None)
        if damaged:
            log.warning("%d kept features in %s were damaged; they are computed again.", len(damaged), self.path)
        return [key for key in asked if key not in self._where]

    def verify(self) -> Health:
        """Check every row of every shard; damaged ones are dropped, so that the next run computes them again."""
        before = list(self.path.glob("*.safetensors"))
        self.refresh(touch=False)
        unreadable = sum(_set_aside(shard).exists() for shard in before)
        damaged = self.discard_damaged()
        return Health(rows=len(self), damaged=len(damaged) + unreadable)

    def merge_small_shards(self) -> None:
        """Merge many small shards into few larger ones, so that opening the space stays quick."""
        small = [name for name in sorted(self._indexed) if self._size_of(name) < _SMALL_SHARD_BYTES]
        if len(small) < 2:
            return
        for group in _groups_up_to(small, self._size_of, _MERGED_SHARD_BYTES):
            # Another process may be merging the same shards: whoever finds one gone leaves it to the other.
            with suppress(FileNotFoundError, SafetensorError):
                self._rewrite(set(group))

    def remove_leftovers(self) -> int:
        """Remove temporary files that killed writers left; returns the bytes freed."""
        freed = 0
        for file in self.path.glob(".*.tmp"):
            with suppress(OSError):
                found = file.stat()
                if time.time() - found.st_mtime > _STALE_SECONDS:
                    file.unlink()
                    freed += found.st_size
        return freed

    def _rewrite(self, names: Collection[str]) -> None:
        """Put the good rows of some shards into a new one and remove the old ones."""
        good: dict[str, tuple[str, int]] = {}
        for name in names:
            keys = self._load_keys(name)
            bad = set(self._damaged_rows(name, range(len(keys))))
            good.update((key, (name, row)) for row, key in enumerate(keys) if row not in bad)
        self._where = {key: place for key, place in self._where.items() if place[0] not in names}
        if good:
            self.append(list(good), self._read(good.values()))
        for name in names:
            with suppress(OSError):
                (self.path / name).unlink()
            self._indexed.discard(name)

    def _read(self, places: Collection[tuple[str, int]]) -> Arrays:
        parts: Arrays = []
        for name, wanted in _grouped(places).items():
            with safe_open(self.path / name, framework="numpy") as shard:
                tensors = [shard.get_slice(tensor) for tensor in _tensor_names(shard)]
                parts = parts or [np.empty((len(places), *t.get_shape()[1:]), t[:1].dtype) for t in tensors]
                for part, tensor in zip(parts, tensors, strict=True):
                    for start, stop, target in _runs(wanted):
                        part[target : target + stop - start] = tensor[start:stop]
        return parts

    def _damaged_rows(self, name: str, rows: Sequence[int]) -> list[int]:
        wanted = sorted(rows)
        bad: list[int] = []
        try:
            shard_file = safe_open(self.path / name, framework="numpy")
        except FileNotFoundError:
            return wanted  # merged or pruned by another process; whoever needs the rows looks again
        with shard_file as shard:
            expected = shard.get_tensor("checksums")
            keys = shard.get_tensor("keys")
            tensors = [shard.get_slice(tensor) for tensor in _tensor_names(shard)]
            row_bytes = sum(tensor[:1].nbytes for tensor in tensors)
            step = max(1, _READ_BYTES // max(1, row_bytes))
            for start in range(wanted[0], wanted[-1] + 1, step):
                stop = min(start + step, wanted[-1] + 1)
                found = _checksums(keys[start:stop], [tensor[start:stop] for tensor in tensors])
                bad += [start + int(i) for i in np.flatnonzero(found != expected[start:stop])]
        return sorted(set(bad) & set(wanted))

    def _read_keys(self, name: str) -> list[str]:
        try:
            return self._load_keys(name)
        except FileNotFoundError:  # merged by another process since the folder was listed
            return []
        except (SafetensorError, OSError) as error:
            log.warning("%s in %s cannot be read (%s); what it held is computed again.", name, self.path, error)
            with suppress(OSError):
                os.replace(self.path / name, _set_aside(self.path / name))
            return []

    def _load_keys(self, name: str) -> list[str]:
        with safe_open(self.path / name, framework="numpy") as shard:
            names = set(shard.keys())
            if not {"keys", "checksums", "tensor_000"} <= names:
                raise SafetensorError(f"its tensors are called {', '.join(sorted(names))}")
            return [row.tobytes().hex() for row in shard.get_tensor("keys")]

    def _write_shard(self, keys: np.ndarray, arrays: Arrays) -> str:
        name = f"{uuid.uuid4().hex}.safetensors"
        tensors = {f"tensor_{i:03d}": np.ascontiguousarray(array) for i, array in enumerate(arrays)}
        shard = save({"keys": keys, "checksums": _checksums(keys, arrays), **tensors})
        with storage_errors(self.path, STORE_HINT):
            write_atomically(self.path / name, shard)
        return name

    def _size_of(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return _MERGED_SHARD_BYTES


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _set_aside(shard: Path) -> Path:
    return shard.with_name(f"{shard.name}.damaged")


def _bytes_of(keys: Sequence[str]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), PICTURE_DIGEST_BYTES)


def _tensor_names(shard: Any) -> list[str]:
    return sorted(name for name in shard.keys() if name.startswith("tensor_"))  # noqa: SIM118 it is not a dict


def _checksums(keys: np.ndarray, arrays: Arrays) -> np.ndarray:
    """One CRC-32 per row, over its key and all its tensors."""
    sums = np.zeros(len(keys), np.uint32)
    for array in (keys, *arrays):
        contiguous = np.ascontiguousarray(array)
        for row in range(len(sums)):
            sums[row] = zlib.crc32(contiguous[row].data, int(sums[row]))
    return sums


def _grouped(places: Iterable[tuple[str, int]]) -> dict[str, list[tuple[int, int]]]:
    """Rows by shard, each with its position in what was asked for."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for target, (name, row) in enumerate(places):
        groups.setdefault(name, []).append((row, target))
    return groups


def _runs(wanted: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Stretches of rows that are wanted in the order they are stored: start, stop, where they go."""
    start, target = wanted[0]
    length = 1
    for row, place in wanted[1:]:
        if row == start + length and place == target + length:
            length += 1
            continue
        yield start, start + length, target
        start, target, length = row, place, 1
    yield start, start + length, target


def _groups_up_to(names: Sequence[str], size_of: Callable[[str], int], limit: int) -> Iterator[list[str]]:
    group: list[str] = []
    total = 0
    for name in names:
        size = size_of(name)
        if group and total + size > limit:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if len(group) > 1:
        yield group


def _remove_tree(path: Path) -> int:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    with storage_errors(path, "Give yourself the right to remove it."):
        shutil.rmtree(path)
    return size
