"""Features on disk, found by content.

    STORE/features/SPACE/about.json             how the features of this space were computed
    STORE/features/SPACE/NAME.safetensors       one shard: keys, one tensor per frontier tensor, one checksum per row

A shard is written whole under a temporary name, synced and renamed; after that it never changes. So a reader sees
a shard or does not, a writer that is killed loses only the batches that were under way, any number of writers need no
lock, and a folder on a network or in object storage serves as well as a local one. Small shards are merged into
larger ones, which are again new shards. `docs/design/store.md` says what else was considered.

Where the store is in object storage, STORE here is a folder that mirrors what is read of it; see `mirror`.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import StorageError, storage_errors
from headstart.features.keys import space_digest
from headstart.features.shards import STORE_HINT, remove_tree, write_atomically
from headstart.features.space import Arrays, Health, Space
from headstart.features.stat_cache import StatCache
from headstart.objects.addresses import Address, as_path
from headstart.objects.requests import listing, write

_MARK = "headstart-store.txt"
_MARKED = b"Features that headstart keeps. Everything in here can be computed again; `headstart cache` looks after it."

__all__ = ["STORE_HINT", "Arrays", "Health", "Space", "Store", "default_root", "space_at", "write_atomically"]


def default_root() -> Path:
    """Where the store is: `HEADSTART_STORE`, else `headstart` in the user's cache folder (XDG base directories)."""
    chosen = os.environ.get("HEADSTART_STORE")
    return as_path(chosen) if chosen else _cache_home()


def _cache_home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "headstart"
    except RuntimeError:
        raise StorageError("there is no home folder to keep features in. Set HEADSTART_STORE to a folder.") from None


class Store:
    """Everything that is kept between runs: features, converted frozen parts, digests of files.

    Args:
        root: the folder, or where it is in object storage; None for `default_root`.

    Attributes:
        place: where features are: the folder or the address.
        root: the folder on this machine: the same, or what mirrors the address.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None):
        self.place = as_path(root or default_root())
        self.root = _mirror_of(self.place) if isinstance(self.place, Address) else self.place

    @property
    def stat_cache(self) -> StatCache:
        """Digests of files that have not changed."""
        return StatCache(self.root / "pictures.sqlite")

    def prepare(self) -> None:
        """Make sure that the store can be written before anything is computed.

        Raises:
            StorageError: if it cannot.
            MissingExtraError: if what reads object storage is not installed.
        """
        with storage_errors(self.root, STORE_HINT):
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"x")
            probe.unlink()
        if isinstance(self.place, Address):
            write(self.place / _MARK, _MARKED)

    def converted(self, fingerprint: str) -> Path:
        """The folder of what is kept about one frozen part: its form for the runtime, and what was found out."""
        return self.root / "converted" / fingerprint

    def space(self, identity: Mapping[str, Any], about: Mapping[str, Any]) -> Space:
        """The features computed in one particular way.

        Args:
            identity: everything they depend on but the picture.
            about: what a person should be told of them.
        """
        space = self.open(space_digest(identity))
        space.describe({"about": dict(about), "identity": dict(identity)})
        return space

    def spaces(self) -> list[Space]:
        """All spaces in the store."""
        return [self.open(name) for name in self._names()]

    def prune(self, unused_seconds: float = 0) -> int:
        """Remove what has not been used for a time, and what killed writers left; returns the bytes freed."""
        freed = 0
        horizon = time.time() - unused_seconds
        for space in self.spaces():
            freed += space.remove_leftovers()
            if space.last_used() <= horizon:
                freed += space.remove()
        for folder in _folders_in(self.root / "converted"):
            if folder.stat().st_mtime <= horizon:
                freed += remove_tree(folder)
        if isinstance(self.place, Address):
            left = set(self._names())
            freed += sum(remove_tree(copy) for copy in _folders_in(self.root / "features") if copy.name not in left)
        if unused_seconds == 0 and (file := self.root / "pictures.sqlite").exists():
            freed += file.stat().st_size
            file.unlink()
        return freed

    def open(self, name: str) -> Space:
        """A space by its name, the digest of its identity; it need not be there."""
        away = self.place / "features" / name
        return Space(self.root / "features" / name, away if isinstance(away, Address) else None)

    def _names(self) -> list[str]:
        if isinstance(self.place, Address):
            found = listing(self.place / "features", deep=False)
            return sorted(item.address.rpartition("/")[2] for item in found if item.is_folder)
        return sorted(folder.name for folder in _folders_in(self.root / "features"))


def space_at(place: str) -> Space:
    """The space at a `Space.place`, for another process, perhaps on another machine."""
    path = as_path(place)
    return Store(path.parent.parent).open(path.name)


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _mirror_of(address: Address) -> Path:
    """The folder for what is read of a store in object storage, which is another one for each."""
    called = hashlib.blake2b(str(address).encode(), digest_size=10).hexdigest()
    return _cache_home() / "objects" / called
