"""The store: what is written is there, whole or not at all, whatever happens."""

import errno
import logging
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import StorageError
from headstart.features import space as spaces
from headstart.features import store as module
from headstart.features.keys import picture_digest
from headstart.features.store import Space, Store, default_root

IDENTITY = {"frozen": "f", "decode": {"height": 8}, "precision": "f32"}


def keys(*numbers: int) -> list[str]:
    return [picture_digest(str(number).encode()) for number in numbers]


def rows(*numbers: int) -> list[np.ndarray]:
    """Two frontier tensors whose values follow from the picture's number."""
    vectors = np.array([[number, number + 0.5] for number in numbers], np.float32)
    maps = np.array([np.full((2, 2, 3), -number) for number in numbers], np.float32)
    return [vectors, maps]


def space(identity: dict | None = None) -> Space:
    return Store().space(identity or IDENTITY, {"backbone": "test"}).refresh()


def assert_has(found: Space, *numbers: int) -> None:
    for one, expected in zip(found.read(keys(*numbers)), rows(*numbers), strict=True):
        np.testing.assert_array_equal(one, expected)


def only_shard(of: Space) -> Path:
    (shard,) = of.path.glob("*.safetensors")
    return shard


def test_rows_come_back_in_any_order_also_in_a_new_process_and_more_than_once():
    space().append(keys(*range(10)), rows(*range(10)))
    space().append(keys(10, 11), rows(10, 11))
    assert_has(space(), 11, 3, 4, 5, 0, 10, 3)
    assert len(space()) == 12
    assert keys(5)[0] in space()
    assert keys(99)[0] not in space()


def test_another_way_of_computing_is_another_space():
    space().append(keys(1), rows(1))
    assert len(space({**IDENTITY, "precision": "bf16"})) == 0
    assert len(Store().spaces()) == 2


def test_uint8_rows_are_kept_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    space().append(keys(1, 2, 3), [pixels])
    (found,) = space().read(keys(2))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], pixels[1])


def test_uint8_rows_stay_so_when_shards_are_merged_and_damage_is_cut_out():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    writer = space()
    for number in range(6):
        writer.append(keys(number), [pixels[number : number + 1]])
    writer.merge_small_shards()
    shard = only_shard(writer)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    damaged = space()
    (lost,) = damaged.discard_damaged()
    kept = [number for number in range(6) if keys(number)[0] != lost]
    (found,) = damaged.read(keys(*kept))
    assert (found.dtype, len(kept)) == (np.uint8, 5)
    np.testing.assert_array_equal(found, pixels[kept])


def test_merging_makes_one_shard_and_loses_nothing():
    writer = space()
    for number in range(20):
        writer.append(keys(number), rows(number))
    assert len(list(writer.path.glob("*.safetensors"))) == 20
    writer.merge_small_shards()
    only_shard(writer)
    assert_has(writer, *range(20))
    assert_has(space(), *range(20))


def test_a_reader_from_before_a_merge_finds_its_rows():
    reader, writer = space(), space()
    for number in range(5):
        writer.append(keys(number), rows(number))
    reader.refresh()
    writer.merge_small_shards()
    assert_has(reader, 0, 4, 2)


def test_large_shards_are_not_merged(monkeypatch):
    monkeypatch.setattr(spaces, "_SMALL_SHARD_BYTES", 10)
    writer = space()
    writer.append(keys(1), rows(1))
    writer.append(keys(2), rows(2))
    writer.merge_small_shards()
    assert len(list(writer.path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("place", [0.5, 0.9, 0.999])
def test_a_flipped_bit_is_found_reported_once_and_only_its_row_dropped(place, caplog):
    space().append(keys(*range(8)), rows(*range(8)))
    shard = only_shard(space())
    content = bytearray(shard.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    content[header + int((len(content) - header) * place)] ^= 1
    shard.write_bytes(content)
    damaged = space()
    with caplog.at_level(logging.WARNING):
        lost = damaged.discard_damaged()
    assert len(lost) == 1
    assert [record.message for record in caplog.records] == [
        f"1 kept features in {damaged.path} were damaged; they are computed again."
    ]
    kept = [number for number in range(8) if keys(number)[0] in damaged]
    assert len(kept) == 7
    assert_has(damaged, *kept)
    fresh = space()
    assert fresh.discard_damaged() == []
    assert_has(fresh, *kept)


@pytest.mark.parametrize("size", [0, 5, 100, 400])
def test_a_truncated_shard_is_set_aside_with_one_warning(size, caplog):
    space().append(keys(1, 2), rows(1, 2))
    space().append(keys(3), rows(3))
    shard = sorted(space().path.glob("*.safetensors"), key=lambda path: path.stat().st_size)[-1]
    shard.write_bytes(shard.read_bytes()[:size])
    with caplog.at_level(logging.WARNING):
        damaged = space()
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.records[0].message
    assert_has(damaged, 3)
    assert len(damaged) == 1
    assert len(space()) == 1


def test_merging_does_not_give_damaged_rows_a_new_checksum():
    writer = space()
    writer.append(keys(1), rows(1))
    shard = only_shard(writer)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    writer.append(keys(2), rows(2))
    writer.merge_small_shards()
    assert len(space()) == 1
    assert_has(space(), 2)


def test_verify_counts_whole_and_damaged_rows():
    space().append(keys(1, 2, 3), rows(1, 2, 3))
    assert space().verify() == module.Health(rows=3, damaged=0)
    shard = only_shard(space())
    content = bytearray(shard.read_bytes())
    content[-1] ^= 255
    shard.write_bytes(content)
    assert space().verify() == module.Health(rows=2, damaged=1)
    assert space().verify() == module.Health(rows=2, damaged=0)
    unread = Space(space().path)
    (shard,) = unread.path.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:50])
    assert unread.verify() == module.Health(rows=0, damaged=1)
    assert space().verify() == module.Health(rows=0, damaged=0)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_written(monkeypatch):
    writer = space()
    writer.append(keys(1), rows(1))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        writer.append(keys(2), rows(2))
    monkeypatch.undo()
    assert str(caught.value) == (
        f"cannot write to {writer.path}: the disk is full. "
        "Free some space there, or set HEADSTART_STORE to a folder that can be written."
    )
    assert {path.suffix for path in writer.path.iterdir()} == {".json", ".safetensors"}
    monkeypatch.setenv("HEADSTART_STORE", str(writer.path.parents[1]))
    assert len(space()) == 1


def test_a_store_that_cannot_be_made_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="part of the path is a file. Free some space there, or set HEADSTART_STORE"):
        Store(tmp_path / "file" / "store").prepare()
    with pytest.raises(StorageError, match="something else is there"):
        Store(tmp_path / "file").prepare()


def test_a_merge_or_prune_by_another_process_costs_nothing_but_work():
    reader, writer = space(), space()
    for number in range(4):
        writer.append(keys(number), rows(number))
    reader.refresh()
    writer.merge_small_shards()
    assert reader.discard_damaged(keys(0, 1, 2, 3)) == []
    reader.refresh()
    Store().prune()
    assert reader.discard_damaged(keys(0, 1)) == keys(0, 1)  # gone, so they are computed again
    reader.append(keys(0, 1), rows(0, 1))
    assert_has(reader, 0, 1)


def test_a_shard_whose_tensors_are_misnamed_is_set_aside(caplog):
    space().append(keys(1, 2), rows(1, 2))
    shard = only_shard(space())
    shard.write_bytes(shard.read_bytes().replace(b'"checksums"', b'"checksumz"'))
    with caplog.at_level(logging.WARNING):
        assert len(space()) == 0
    assert "cannot be read" in caplog.text


def test_the_place_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "chosen"))
    assert default_root() == tmp_path / "chosen"
    monkeypatch.delenv("HEADSTART_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "headstart"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".cache" / "headstart"


def write_for_ever(start: int, root: str) -> None:
    os.environ["HEADSTART_STORE"] = root
    writer = Store().space(IDENTITY, {}).refresh()
    number = start
    while True:
        writer.append(keys(number), rows(number))
        number += 2
        if number % 40 < 2:
            writer.merge_small_shards()


def test_two_writers_at_once_that_are_killed_leave_a_store_that_verifies(store):
    context = multiprocessing.get_context("fork")
    for attempt in range(4):
        writers = [context.Process(target=write_for_ever, args=(start, str(store))) for start in (0, 1)]
        for writer in writers:
            writer.start()
        time.sleep(0.4 + 0.13 * attempt)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        found = space()
        health = found.verify()
        assert health.damaged == 0
        assert health.rows > 10
        present = [number for number in range(5000) if keys(number)[0] in found]
        assert_has(found, *present)


def test_threads_may_read_while_another_writes():
    writer = space()
    writer.append(keys(0), rows(0))
    failures: list[Exception] = []

    def read() -> None:
        try:
            reader = space()
            for _ in range(50):
                assert_has(reader, 0)
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 60):
        writer.append(keys(number), rows(number))
        if number % 20 == 0:
            writer.merge_small_shards()
    for reader in readers:
        reader.join()
    assert not failures


def test_prune_removes_what_is_old_and_what_killed_writers_left():
    kept, old = space(), space({**IDENTITY, "precision": "bf16"})
    for one in (kept, old):
        one.append(keys(1), rows(1))
    os.utime(old.path, (0, 0))
    leftover = kept.path / ".x.safetensors.1.tmp"
    leftover.write_bytes(b"12345")
    os.utime(leftover, (0, 0))
    os.utime(kept.path)
    freed = Store().prune(unused_seconds=3600)
    assert freed > 5
    assert not old.path.exists()
    assert not leftover.exists()
    assert_has(space(), 1)
    Store().prune()
    assert Store().spaces() == []
