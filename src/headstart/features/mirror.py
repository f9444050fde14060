"""A space of the store in object storage, with a folder on this machine for what is read of it.

The bucket is the truth: a shard is in it before anybody is told that it is safe, and a copy here of what is not there
is forgotten. Of a shard that nobody reads, only its keys are fetched.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.errors import StorageError, storage_errors
from headstart.features.keys import PICTURE_DIGEST_BYTES
from headstart.features.shards import ABOUT, STORE_HINT, SUFFIX, Result, Shards, remove_tree, write_atomically
from headstart.objects.addresses import Address
from headstart.objects.requests import AT_ONCE, Found, listing, read, read_spans, remove, remove_folder, write
from headstart.threads import in_order

USED = "used"
"""An object that is written anew when the space is used, once a day at most: reading leaves no trace in a bucket."""

_DAY = 24 * 3600
_WHOLE_BYTES = 1 << 18
"""A shard no larger is fetched as a whole for its keys: one request less."""

_HEADER_BYTES = 1 << 14
_FETCHES = 4  # at once: each is in memory until it is written


class MirroredShards(Shards):
    """Those of a space in a bucket.

    Args:
        path: the folder on this machine.
        address: where they are.
    """

    def __init__(self, path: Path, address: Address):
        super().__init__(path)
        self._address = address
        self._listed: dict[str, Found] = {}
        self._renewed: set[str] = set()

    @property
    def place(self) -> Path:
        """Where people are told that they are."""
        return self._address

    def describe(self, description: bytes) -> None:
        """Write down, once from each machine, how the features of this space are computed."""
        if not (self.path / ABOUT).exists():
            write(self._address / ABOUT, description)
            super().describe(description)

    def description(self) -> bytes:
        """What was written down.

        Raises:
            OSError: if there is nothing.
        """
        with suppress(OSError):
            return super().description()
        return read(self._address / ABOUT)

    def last_used(self) -> float:
        """When the space was last written, or read on another day, in seconds since 1970."""
        if not self._listed:
            self._list()
        return max((found.changed for found in self._listed.values()), default=0) / 1e9

    def touch(self) -> None:
        """Let it count as used now."""
        super().touch()
        if self.last_used() < time.time() - _DAY:
            with suppress(StorageError):  # a store that is only read is none that is pruned
                write(self._address / USED, b"")

    def size(self) -> int:
        """Bytes of all objects."""
        if not self._listed:
            self._list()
        return sum(found.size for found in self._listed.values())

    def size_of(self, name: str) -> int | None:
        """Bytes of a shard; None where it was gone when they were listed."""
        found = self._listed.get(name)
        return super().size_of(name) if found is None else found.size

    def names(self) -> set[str]:
        """The shards that there are now; copies here of others are forgotten."""
        self._list()
        names = {name for name in self._listed if name.endswith(SUFFIX)}
        super().remove(super().names() - names)
        if ABOUT not in self._listed and (self.path / ABOUT).exists():  # somebody has pruned it meanwhile
            write(self._address / ABOUT, super().description())
        return names

    def each(self, function: Callable[[str], Result], names: Iterable[str]) -> Iterator[Result]:
        """What a function gives for each shard, in order; many at once."""
        return in_order(function, names, AT_ONCE, AT_ONCE, "shards")

    def keys(self, name: str) -> np.ndarray:
        """The keys of a shard, of which no more is fetched where it is large; see `Shards`."""
        if not self._is_here(name):
            if (self.size_of(name) or 0) > _WHOLE_BYTES:
                with suppress(ValueError, KeyError, TypeError):  # what is wrong with it, the whole of it says better
                    _, keys = read_spans(self._address / name, _HEADER_BYTES, _span_of_keys)
                    return np.frombuffer(keys, np.uint8).reshape(-1, PICTURE_DIGEST_BYTES)
            self._fetch(name)
        return super().keys(name)

    def file(self, name: str) -> Path:
        """The file of a shard, fetched if it is not here yet.

        Raises:
            FileNotFoundError: if it is gone.
        """
        if not self._is_here(name):
            self._fetch(name)
        return self.path / name

    def bring(self, names: Collection[str]) -> None:
        """Fetch several shards, as far as there still are such, some at once."""
        missing = [name for name in names if not self._is_here(name)]
        for _ in in_order(self._fetch_if_there, missing, _FETCHES, _FETCHES, "fetch"):
            pass

    def renew(self, name: str) -> bool:
        """Fetch a shard again whose copy here is damaged; False if that was done before."""
        if name in self._renewed:
            return False
        self._renewed.add(name)
        self._fetch_if_there(name)
        return True

    def let_go(self) -> None:
        """Forget the copies here."""
        super().remove(super().names())

    def add(self, name: str, shard: bytes) -> None:
        """Write a shard; when this returns it is in the bucket."""
        write(self._address / name, shard)
        self._listed[name] = Found(str(self._address / name), False, len(shard), time.time_ns())
        super().add(name, shard)

    def remove(self, names: Collection[str]) -> None:
        """Remove shards, as far as there still are such."""
        remove(self._address / name for name in names)
        super().remove(names)

    def set_aside(self, name: str) -> None:
        """Remove a shard that cannot be read, and keep the copy here for whoever wants to look at it."""
        super().set_aside(name)
        remove([self._address / name])

    def remove_all(self) -> int:
        """Remove the space there and here; returns the bytes freed."""
        freed = self.size()
        remove_folder(self._address)
        return freed + (remove_tree(self.path) if self.path.is_dir() else 0)

    def _list(self) -> None:
        found = (item for item in listing(self._address, deep=False) if not item.is_folder)
        self._listed = {item.address.rpartition("/")[2]: item for item in found}

    def _is_here(self, name: str) -> bool:
        size = super().size_of(name)
        return size is not None and size == self._listed[name].size if name in self._listed else size is not None

    def _fetch(self, name: str) -> None:
        shard = read(self._address / name)
        with storage_errors(self.path, STORE_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / name, shard)

    def _fetch_if_there(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._fetch(name)


def _span_of_keys(head: bytes) -> tuple[int, int]:
    """Where the keys of a shard are: from its first byte on, and how many bytes.

    Eight bytes say how long the header is, which says where each tensor is behind it:
    https://huggingface.co/docs/safetensors/index#format

    Raises:
        ValueError: if that is no header, or a longer one.
        KeyError: if it names no keys.
    """
    length = int.from_bytes(head[:8], "little")
    tensors = json.loads(head[8 : 8 + length])
    if not {"checksums", "tensor_000"} <= tensors.keys():
        raise KeyError("tensors")
    start, stop = tensors["keys"]["data_offsets"]
    return 8 + length + int(start), int(stop) - int(start)
