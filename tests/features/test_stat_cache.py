"""Files that have not changed are recognised without being read; changed ones are not."""

import os
import time

import pytest

from headstart.features.stat_cache import StatCache
from headstart.images.places import stat_of

DIGEST = "ab" * 20


@pytest.fixture
def old_file(tmp_path, monkeypatch):
    """A file that was last touched long before now, as the cache sees it."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    return str(path)


@pytest.fixture
def cache(tmp_path):
    return StatCache(tmp_path / "pictures.sqlite")


def test_an_unchanged_file_is_recognised_also_by_another_process(cache, old_file):
    cache.remember({old_file: (stat_of(old_file), DIGEST)})
    assert StatCache(cache._path).lookup([old_file]) == {old_file: DIGEST}


def test_a_changed_file_is_not(cache, old_file):
    cache.remember({old_file: (stat_of(old_file), DIGEST)})
    times = (os.stat(old_file).st_atime_ns, os.stat(old_file).st_mtime_ns)
    with open(old_file, "wb") as file:
        file.write(b"two")  # as long as before
    os.utime(old_file, ns=times)  # and even its modification time set back
    assert cache.lookup([old_file]) == {}


def test_a_file_touched_a_moment_ago_is_not_remembered(cache, tmp_path):
    path = tmp_path / "new.jpg"
    path.write_bytes(b"new")
    cache.remember({str(path): (stat_of(str(path)), DIGEST)})
    assert cache.lookup([str(path)]) == {}


def test_a_removed_file_is_not_found(cache, old_file):
    cache.remember({old_file: (stat_of(old_file), DIGEST)})
    os.unlink(old_file)
    assert cache.lookup([old_file]) == {}


@pytest.mark.parametrize("content", [b"", b"garbage that is no database" * 100])
def test_a_damaged_or_missing_cache_costs_time_only(cache, old_file, content):
    cache._path.write_bytes(content)
    cache.remember({old_file: (stat_of(old_file), DIGEST)})
    assert cache.lookup([old_file]) in ({}, {old_file: DIGEST})
    assert StatCache(cache._path.parent / "no" / "such").lookup([old_file]) == {}
