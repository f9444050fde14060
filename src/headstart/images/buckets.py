"""Pictures in object storage: folders there are listed once, as a whole, and answer from then on what is asked of them.

A request for each of a hundred thousand pictures takes longer than reading them; a listing names a thousand with one,
with their sizes and times. Whoever gives an address has it listed anew, see `look_anew`.
"""

import errno
import os
import threading
import time
from dataclasses import dataclass, field
from functools import cache

from headstart.objects.addresses import Address
from headstart.objects.requests import Found, listing, look

Stat = tuple[int, int, int, int]
"""Size in bytes, modification and change time in nanoseconds, inode; the last two are 0 here."""

_TREES = 64
_LONE = 1 << 16
_RACY_NANOSECONDS = 2_000_000_000
_NEVER = 1 << 62
"""The change time of what could change again within the tick of the storage's clock, so that it is not remembered."""


@dataclass
class Tree:
    """Everything below an address.

    Attributes:
        children: what is in each folder, by its address.
        files: what tells whether an object has changed, by its address.
    """

    children: dict[str, list[Found]] = field(default_factory=dict)
    files: dict[str, Stat] = field(default_factory=dict)


class Trees:
    """What was listed, by the address that was given, and what was asked of single objects; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trees: dict[str, Tree] = {}
        self._lone: dict[str, Stat | None] = {}

    def look_anew(self, address: str) -> None:
        """Find out what is at an address, whatever was known of it."""
        found = listing(Address(address))
        with self._lock:
            self._trees.pop(address, None)
            for known in [known for known in self._lone if known == address or known.startswith(f"{address}/")]:
                del self._lone[known]
            if found:
                self._trees[address] = _grown(address, found)
                while len(self._trees) > _TREES:
                    del self._trees[next(iter(self._trees))]
        if not found:
            self._ask(address)

    def stat(self, address: str) -> Stat | None:
        """What tells whether an object has changed; None where there is none."""
        if address not in self._lone:
            tree = self._above(address)
            return self._ask(address) if tree is None else tree.files.get(address)
        return self._lone.get(address)

    def is_known(self, address: str) -> bool:
        """Whether `stat` answers without a request."""
        return address in self._lone or self._above(address) is not None

    def children(self, address: str) -> list[Found] | None:
        """What is directly in a folder; None where there is none."""
        if address in self._lone or not Address(address).bucket:
            return None
        tree = self._above(address)
        return (listing(Address(address), deep=False) or None) if tree is None else tree.children.get(address)

    def _ask(self, address: str) -> Stat | None:
        found = look(Address(address))
        if found is not None and found.is_folder:
            return None
        stat = None if found is None else _stat(found, time.time_ns())
        with self._lock:
            if len(self._lone) >= _LONE:
                self._lone.clear()
            self._lone[address] = stat
        return stat

    def _above(self, address: str) -> Tree | None:
        """The nearest tree that an address is in."""
        with self._lock:
            while address not in self._trees and address:
                address = address.rpartition("/")[0]
            return self._trees.get(address)


def _grown(root: str, found: list[Found]) -> Tree:
    now = time.time_ns()
    tree = Tree({root: []})
    for item in found:
        _enter(tree, item.address if item.is_folder else item.address.rpartition("/")[0])
    for item in found:
        if item.is_folder:
            continue
        if item.address in tree.children:
            item = item._replace(address=f"{item.address}_", problem="a folder has the same name")
        tree.children[item.address.rpartition("/")[0]].append(item)
        if not item.problem:
            tree.files[item.address] = _stat(item, now)
    return tree


def _enter(tree: Tree, folder: str) -> None:
    """Make a folder known, and those above it, which not every listing names."""
    below: list[Found] = []
    while folder not in tree.children:
        tree.children[folder] = below
        below, folder = [Found(folder, True)], folder.rpartition("/")[0]
    tree.children[folder] += below


def _stat(found: Found, now: int) -> Stat:
    changed = found.changed - found.changed % 1_000_000_000  # which is all that some servers say of a single object
    return (found.size, changed, _NEVER if found.changed > now - _RACY_NANOSECONDS else 0, 0)


@cache
def _trees() -> Trees:
    """Those of this process."""
    return Trees()


def look_anew(path: str | os.PathLike[str]) -> None:
    """Find out what is at an address that somebody gave, whatever was known of it.

    Raises:
        StorageError: if the storage cannot be used.
    """
    _trees().look_anew(_name(path))


def children(folder: str | os.PathLike[str]) -> list[Found] | None:
    """What is directly in a folder; None where there is none.

    Raises:
        StorageError: if the storage cannot be used.
    """
    return _trees().children(_name(folder))


def stat_of(path: str | os.PathLike[str]) -> Stat:
    """What tells whether an object has changed.

    Raises:
        FileNotFoundError: if there is none.
        PermissionError: if it must not be seen.
        StorageError: if the storage cannot be used.
    """
    found = _trees().stat(_name(path))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such object", os.fspath(path))
    return found


def is_known(path: str | os.PathLike[str]) -> bool:
    """Whether `stat_of` answers without a request."""
    return _trees().is_known(_name(path))


def _name(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    _, proper, rest = text.partition("://")
    return text if proper and not rest.endswith("/") and "//" not in rest else str(Address(text))
