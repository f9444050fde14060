"""Remembers the digest of files that have not changed, so that they need not be read again to be recognised.

A file is taken for unchanged when its size, modification time, change time and inode are all as they were. One
that was touched within the last moments before it was read is not remembered: it could change again within the
same tick of the clock (git calls such entries racy).
"""

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from headstart.images.digest import PICTURE_DIGEST_BYTES
from headstart.images.places import Stat, stats_of
from headstart.objects.addresses import absolute

# What SQLite says of a damaged file, and what its rows are not.
_DAMAGE = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)
_DIGEST = re.compile(f"[0-9a-f]{{{2 * PICTURE_DIGEST_BYTES}}}")
_RACY_NANOSECONDS = 2_000_000_000
_ASKED = 500  # files in one query; SQLite takes at least 999


class Digests(Protocol):
    """Whoever knows digests of files, or wants to."""

    def lookup(self, paths: Iterable[str]) -> Mapping[str, str]:
        """The digests of those files that are known and have not changed since."""
        ...

    def remember(self, entries: Mapping[str, tuple[Stat, str]]) -> None:
        """Take notice of the digests of files, each with the stat taken before the file was read."""
        ...


class StatCache:
    """Digests by path, in one SQLite file. Losing it costs time only, so no failure of it is an error."""

    def __init__(self, path: Path):
        self._path = path

    def lookup(self, paths: Iterable[str]) -> dict[str, str]:
        """The digests of those files that are remembered and have not changed since."""
        paths = list(paths)
        known = self._load([_name(path) for path in paths])
        entries = {path: known[name] for path in paths if (name := _name(path)) in known}
        stats = stats_of(entries)
        return {path: digest for path, (stat, digest) in entries.items() if stats.get(path) == stat}

    def remember(self, entries: Mapping[str, tuple[Stat, str]]) -> None:
        """Remember the digests of files, each with the stat taken before the file was read."""
        horizon = time.time_ns() - _RACY_NANOSECONDS
        rows = [
            (_name(path), *map(str, stat), digest)
            for path, (stat, digest) in entries.items()
            if max(stat[1], stat[2]) < horizon
        ]
        with contextlib.suppress(*_DAMAGE), contextlib.closing(self._connect()) as connection, connection:
            connection.executemany("insert or replace into pictures values (?, ?, ?, ?, ?, ?)", rows)

    def _load(self, names: Sequence[bytes]) -> dict[bytes, tuple[Stat, str]]:
        """What is remembered of some files; the store may know many times as many."""
        rows: list[tuple[Any, ...]] = []
        try:
            with contextlib.closing(self._connect()) as connection:
                for start in range(0, len(names), _ASKED):
                    some = names[start : start + _ASKED]
                    query = f"select * from pictures where path in ({', '.join('?' * len(some))})"
                    rows += connection.execute(query, some).fetchall()
            return {
                name: ((int(size), int(mtime), int(ctime), int(inode)), digest)
                for name, size, mtime, ctime, inode, digest in rows
                if _DIGEST.fullmatch(digest)
            }
        except _DAMAGE:
            return {}

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10)
        try:
            connection.execute(
                "create table if not exists pictures (path blob primary key, size text, mtime text, ctime text, "
                "inode text, digest text) without rowid"
            )
        except BaseException:
            connection.close()
            raise
        return connection


def _name(path: str) -> bytes:
    """The absolute path in bytes: a name on disk need not be text."""
    return os.fsencode(absolute(path))
