"""The files of one space of the store: shards, which are written whole and never change, and what is said of them."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from headstart.atomic import whole_file
from headstart.errors import storage_errors

SUFFIX = ".safetensors"
ABOUT = "about.json"
STORE_HINT = "Free some space there, or set HEADSTART_STORE to a folder that can be written."
_STALE_SECONDS = 24 * 3600

Result = TypeVar("Result")


class Shards:
    """Those of a space in a folder.

    Args:
        path: the folder, which need not be there.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def place(self) -> Path:
        """Where people are told that they are."""
        return self.path

    def describe(self, description: bytes) -> None:
        """Write down, once, how the features of this space are computed."""
        with storage_errors(self.path, STORE_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / ABOUT).exists():
                write_atomically(self.path / ABOUT, description)

    def description(self) -> bytes:
        """What was written down.

        Raises:
            OSError: if it cannot be read.
        """
        return (self.path / ABOUT).read_bytes()

    def last_used(self) -> float:
        """When the space was last read or written, in seconds since 1970."""
        return self.path.stat().st_mtime

    def touch(self) -> None:
        """Let it count as used now."""
        with suppress(OSError):
            os.utime(self.path)

    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    def size_of(self, name: str) -> int | None:
        """Bytes of a shard; None where it is gone."""
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return None

    def names(self) -> set[str]:
        """The shards that there are now."""
        return {file.name for file in self.path.glob(f"*{SUFFIX}")}

    def each(self, function: Callable[[str], Result], names: Iterable[str]) -> Iterator[Result]:
        """What a function gives for each shard, in order."""
        return map(function, names)

    def keys(self, name: str) -> np.ndarray:
        """The keys of a shard: uint8 `(rows, PICTURE_DIGEST_BYTES)`.

        Raises:
            FileNotFoundError: if it is gone.
            SafetensorError: if it is damaged.
        """
        with safe_open(self.path / name, framework="numpy") as shard:
            names = set(shard.keys())
            if not {"keys", "checksums", "tensor_000"} <= names:
                raise SafetensorError(f"its tensors are called {', '.join(sorted(names))}")
            return np.asarray(shard.get_tensor("keys"))

    def file(self, name: str) -> Path:
        """The file of a shard, on this machine.

        Raises:
            FileNotFoundError: if it is gone.
        """
        return self.path / name

    def bring(self, names: Collection[str]) -> None:
        """Have the files of several shards on this machine, as far as there still are such."""

    def renew(self, name: str) -> bool:
        """Whether there is another copy of a shard, and it is the one that is read from now on."""
        return False

    def let_go(self) -> None:
        """Forget copies, so that what there is otherwise is read."""

    def add(self, name: str, shard: bytes) -> None:
        """Write a shard; when this returns it is safe.

        Raises:
            StorageError: if it cannot be written.
        """
        with storage_errors(self.path, STORE_HINT):
            self.path.mkdir(parents=True, exist_ok=True)  # somebody may have pruned it meanwhile
            write_atomically(self.path / name, shard)

    def remove(self, names: Collection[str]) -> None:
        """Remove shards, as far as there still are such."""
        for name in names:
            with suppress(OSError):
                (self.path / name).unlink()

    def set_aside(self, name: str) -> None:
        """Let a shard that cannot be read count as gone, and keep it for whoever wants to look at it."""
        with suppress(OSError):
            os.replace(self.path / name, self._aside(name))

    def is_set_aside(self, name: str) -> bool:
        """Whether that has been done."""
        return self._aside(name).exists()

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

    def remove_all(self) -> int:
        """Remove the space; returns the bytes freed."""
        return remove_tree(self.path)

    def _aside(self, name: str) -> Path:
        return self.path / f"{name}.damaged"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def remove_tree(path: Path) -> int:
    """Remove a folder; returns the bytes freed."""
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    with storage_errors(path, "Give yourself the right to remove it."):
        shutil.rmtree(path)
    return size
