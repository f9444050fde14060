"""The features that were computed in one particular way, by the digest of the picture: which rows there are, and where.

Rows are in shards that never change; small ones are merged into larger ones, which are again new shards. Every row has
a checksum of its own.
"""

import json
import logging
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

from headstart.features.keys import PICTURE_DIGEST_BYTES
from headstart.features.mirror import MirroredShards
from headstart.features.shards import SUFFIX, Shards
from headstart.objects.addresses import Address

log = logging.getLogger(__name__)

Arrays = list[np.ndarray]
"""One array per frontier tensor, rows first."""

_SMALL_SHARD_BYTES = 4 << 20
_MERGED_SHARD_BYTES = 64 << 20
_READ_BYTES = 16 << 20


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
    """The features that were computed in one particular way, by the digest of the picture.

    Args:
        path: its folder on this machine.
        away: where it is in object storage, if it is; then the folder mirrors what is read of it.
    """

    def __init__(self, path: Path, away: Address | None = None):
        self.path = path
        self._shards = Shards(path) if away is None else MirroredShards(path, away)
        self._where: dict[str, tuple[str, int]] = {}
        self._indexed: set[str] = set()

    @property
    def place(self) -> Path:
        """Where it is: its folder, or its address in object storage."""
        return self._shards.place

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write down, once, how the features of this space are computed."""
        self._shards.describe(json.dumps(description, indent=1).encode())

    def about(self) -> dict[str, Any]:
        """What a person should be told of these features; empty when that is damaged."""
        with suppress(OSError, ValueError, KeyError):
            return dict(json.loads(self._shards.description())["about"])
        return {}

    def last_used(self) -> float:
        """When the space was last read or written, in seconds since 1970; in object storage to the day."""
        return self._shards.last_used()

    def size(self) -> int:
        """Bytes that are kept."""
        return self._shards.size()

    def refresh(self, touch: bool = True) -> "Space":
        """Take notice of the shards that other writers have added or merged: of their keys, not of their rows.

        Args:
            touch: whether this counts as using the space.
        """
        present = self._shards.names()
        if self._indexed - present:
            self._where = {key: place for key, place in self._where.items() if place[0] in present}
        self._indexed &= present
        new = sorted(present - self._indexed)
        for name, keys in zip(new, self._shards.each(self._read_keys, new), strict=True):
            self._indexed.add(name)
            self._where.update((key, (name, row)) for row, key in enumerate(keys))
        if touch:
            self._shards.touch()
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
            StorageError: if the disk is full, or it cannot be written.
        """
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
        groups = _grouped(key_at)
        self._shards.bring(groups.keys())
        for name, wanted in groups.items():
            rows = [row for row, _ in wanted]
            bad = self._damaged_rows(name, rows)
            if bad and self._shards.renew(name):
                bad = self._damaged_rows(name, rows)
            if bad:
                damaged += [key_at[name, row] for row in bad]
                with suppress(FileNotFoundError):  # another process has done so
                    self._rewrite({name})
        for key in damaged:
            self._where.pop(key, None)
        if damaged:
            place = self._shards.place
            log.warning("%d kept features in %s were damaged; they are computed again.", len(damaged), place)
        return [key for key in asked if key not in self._where]

    def verify(self) -> Health:
        """Check every row of every shard; damaged ones are dropped, so that the next run computes them again."""
        self._shards.let_go()
        before = self._shards.names()
        self.refresh(touch=False)
        unreadable = sum(self._shards.is_set_aside(name) for name in before)
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
        return self._shards.remove_leftovers()

    def remove(self) -> int:
        """Remove the space; returns the bytes freed."""
        return self._shards.remove_all()

    def _rewrite(self, names: Collection[str]) -> None:
        """Put the good rows of some shards into a new one and remove the old ones."""
        good: dict[str, tuple[str, int]] = {}
        self._shards.bring(names)
        for name in names:
            keys = self._load_keys(name)
            bad = set(self._damaged_rows(name, range(len(keys))))
            good.update((key, (name, row)) for row, key in enumerate(keys) if row not in bad)
        self._where = {key: place for key, place in self._where.items() if place[0] not in names}
        if good:
            self.append(list(good), self._read(good.values()))
        self._shards.remove(names)
        self._indexed -= set(names)

    def _read(self, places: Collection[tuple[str, int]]) -> Arrays:
        parts: Arrays = []
        groups = _grouped(places)
        self._shards.bring(groups.keys())
        for name, wanted in groups.items():
            with safe_open(self._shards.file(name), framework="numpy") as shard:
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
            shard_file = safe_open(self._shards.file(name), framework="numpy")
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
            if self._shards.renew(name):
                return self._read_keys(name)
            place = self._shards.place
            log.warning("%s in %s cannot be read (%s); what it held is computed again.", name, place, error)
            self._shards.set_aside(name)
            return []

    def _load_keys(self, name: str) -> list[str]:
        return [row.tobytes().hex() for row in self._shards.keys(name)]

    def _write_shard(self, keys: np.ndarray, arrays: Arrays) -> str:
        name = f"{uuid.uuid4().hex}{SUFFIX}"
        tensors = {f"tensor_{i:03d}": np.ascontiguousarray(array) for i, array in enumerate(arrays)}
        shard = save({"keys": keys, "checksums": _checksums(keys, arrays), **tensors})
        self._shards.add(name, shard)
        return name

    def _size_of(self, name: str) -> int:
        size = self._shards.size_of(name)
        return _MERGED_SHARD_BYTES if size is None else size


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
