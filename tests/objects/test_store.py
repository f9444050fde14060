"""A store in object storage keeps what a store in a folder keeps, for every machine that reads it."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import StorageError
from headstart.features import mirror
from headstart.features import space as spaces
from headstart.features.keys import picture_digest
from headstart.features.store import Space, Store, space_at

IDENTITY = {"backbone": "test"}
ROW = 1000


def keys(*numbers: int) -> list[str]:
    return [picture_digest(str(number).encode()) for number in numbers]


def rows(*numbers: int, width: int = ROW) -> list[np.ndarray]:
    return [np.stack([np.random.default_rng(number).random(width, np.float32) for number in numbers])]


def space(refreshed: bool = True) -> Space:
    found = Store().space(IDENTITY, {"backbone": "test"})
    return found.refresh() if refreshed else found


def assert_has(found: Space, *numbers: int) -> None:
    np.testing.assert_array_equal(found.read(keys(*numbers))[0], rows(*numbers)[0])


@pytest.fixture(autouse=True)
def in_bucket(remote_store: str) -> str:
    return remote_store


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Go on as on another machine, whose cache folder is empty."""

    def move(name: str = "other") -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    return move


def shards(bucket) -> list[str]:
    return [key for key in bucket.keys("store/features") if key.endswith(".safetensors")]


def local_shards() -> list[Path]:
    return sorted((Store().root / "features").rglob("*.safetensors"))


def test_what_one_machine_keeps_another_finds(bucket, elsewhere):
    Store().prepare()
    space().append(keys(1, 2), rows(1, 2))
    assert str(Store().place) == f"{bucket.url}/store"
    (name,) = shards(bucket)
    assert name.startswith(f"store/features/{space().path.name}/")
    elsewhere()
    found = space()
    assert len(found) == 2
    assert_has(found, 2, 1)
    assert found.about() == {"backbone": "test"}


def test_the_store_is_the_same_in_a_folder_and_in_a_bucket(bucket, tmp_path, monkeypatch):
    here = Store(tmp_path / "folder").space(IDENTITY, {"backbone": "test"}).refresh()
    here.append(keys(1, 2, 3), rows(1, 2, 3))
    bucket.put_folder(tmp_path / "folder", "store")  # whoever copies a store has it there
    assert_has(space(), 3, 1, 2)
    by_text = Store(f"{bucket.url}/store").space(IDENTITY, {})
    assert by_text.path.name == here.path.name


def test_only_the_keys_of_large_shards_are_fetched_before_rows_are_read(server, bucket, elsewhere):
    numbers = range(200)
    space().append(keys(*numbers), rows(*numbers))
    elsewhere()
    found = space(refreshed=False)
    server.counts.clear()
    found.refresh()
    assert dict(server.counts) == {"GET list": 1, "HEAD object": 1, "GET object": 2}
    assert len(found) == 200
    assert keys(7)[0] in found
    assert local_shards() == []
    server.counts.clear()
    assert_has(found, 7, 150)
    assert_has(found, 8)
    assert dict(server.counts) == {"HEAD object": 1, "GET object": 1}
    assert len(local_shards()) == 1


def test_a_small_shard_is_written_with_one_request(server, bucket):
    found = space()
    server.counts.clear()
    found.append(keys(1), rows(1))
    assert dict(server.counts) == {"PUT object": 1}


def test_two_writers_find_what_the_other_has_kept(bucket, elsewhere):
    one = space()
    elsewhere()
    other = space()
    for number in range(4):
        (one, other)[number % 2].append(keys(number), rows(number))
    one.refresh()
    other.refresh()
    assert_has(one, 0, 1, 2, 3)
    assert_has(other, 3, 2, 1, 0)


def test_a_merge_elsewhere_costs_a_reader_nothing_but_work(bucket, elsewhere):
    reader = space()
    elsewhere()
    writer = space()
    for number in range(5):
        writer.append(keys(number), rows(number))
    reader.refresh()
    writer.merge_small_shards()
    assert len(shards(bucket)) == 1
    assert_has(reader, 0, 4, 2)
    assert reader.discard_damaged(keys(0, 1)) == []


def test_what_is_gone_from_the_bucket_is_forgotten_here(bucket):
    found = space()
    found.append(keys(1), rows(1))
    found.append(keys(2), rows(2))
    bucket.delete(next(name for name in shards(bucket) if name.endswith(found._where[keys(1)[0]][0])))
    found.refresh()
    assert keys(1)[0] not in found
    assert len(local_shards()) == 1
    assert_has(found, 2)
    assert found.discard_damaged(keys(1, 2)) == keys(1)


def test_a_damaged_copy_here_is_fetched_again_and_nothing_is_lost(bucket, caplog):
    space().append(keys(1, 2), rows(1, 2))
    (shard,) = local_shards()
    content = bytearray(shard.read_bytes())
    content[-50] ^= 1
    shard.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = space()
        assert found.discard_damaged() == []
    assert not caplog.records
    assert_has(found, 1, 2)
    for size in (0, 4, 300):  # of which the listing says another size
        shard.write_bytes(shard.read_bytes()[:size])
        assert_has(space(), 1, 2)


def test_a_header_that_is_damaged_here_is_fetched_again(bucket, caplog):
    space().append(keys(1, 2), rows(1, 2))
    (shard,) = local_shards()
    shard.write_bytes(b"\xff" * 20 + shard.read_bytes()[20:])
    with caplog.at_level(logging.WARNING):
        assert_has(space(), 1, 2)
    assert not caplog.records


@pytest.mark.parametrize("whole", [True, False])
def test_damage_in_the_bucket_is_reported_once_and_costs_its_own_row(bucket, elsewhere, caplog, monkeypatch, whole):
    if not whole:
        monkeypatch.setattr(mirror, "_WHOLE_BYTES", 0)
    space().append(keys(*range(8)), rows(*range(8)))
    (name,) = shards(bucket)
    content = bytearray(bucket.get(name))
    content[len(content) // 2] ^= 1
    bucket.put(name, bytes(content))
    elsewhere()
    found = space()
    with caplog.at_level(logging.WARNING):
        (lost,) = found.discard_damaged()
    assert [record.message for record in caplog.records] == [
        f"1 kept features in {bucket.url}/store/features/{found.path.name} were damaged; they are computed again."
    ]
    kept = [number for number in range(8) if keys(number)[0] != lost]
    elsewhere("third")
    assert_has(space(), *kept)
    assert len(space()) == 7


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_truncated_object_is_removed_with_one_warning(bucket, elsewhere, caplog, size):
    space().append(keys(1, 2), rows(1, 2))
    (name,) = shards(bucket)
    bucket.put(name, bucket.get(name)[:size])
    elsewhere()
    with caplog.at_level(logging.WARNING):
        assert len(space()) == 0
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text
    assert shards(bucket) == []


def test_verify_compares_what_is_in_the_bucket_and_not_the_copy_here(bucket):
    space().append(keys(1, 2, 3), rows(1, 2, 3))
    assert space().verify() == spaces.Health(rows=3, damaged=0)
    (name,) = shards(bucket)
    content = bytearray(bucket.get(name))
    content[-1] ^= 255
    bucket.put(name, bytes(content))
    assert space().verify() == spaces.Health(rows=2, damaged=1)
    assert space().verify() == spaces.Health(rows=2, damaged=0)


def test_prune_removes_what_was_not_used_for_a_time_there_and_here(server, bucket):
    server.past = 40 * 24 * 3600
    old = Store().space({"old": 1}, {})  # not refreshed: that would be using it
    old.append(keys(1), rows(1))
    server.past = 0
    space().append(keys(2), rows(2))
    freed = Store().prune(30 * 24 * 3600)
    assert freed > 2 * 4 * ROW
    assert [found.path.name for found in Store().spaces()] == [space().path.name]
    assert not old.path.exists()
    assert_has(space(), 2)
    Store().prune()
    assert Store().spaces() == []
    assert bucket.keys("store/features") == []
    assert local_shards() == []


def test_reading_counts_as_using_once_a_day(server, bucket):
    server.past = 40 * 24 * 3600
    space(refreshed=False).append(keys(1), rows(1))
    server.past = 0
    server.counts.clear()
    space()
    assert server.counts["PUT object"] == 1
    space()
    assert server.counts["PUT object"] == 1
    assert time.time() - Store().spaces()[0].last_used() < 60


def test_a_space_that_was_pruned_elsewhere_is_written_anew(bucket, elsewhere):
    found = space()
    found.append(keys(1), rows(1))
    for name in bucket.keys("store/features"):
        bucket.delete(name)
    found.refresh()
    assert len(found) == 0
    found.append(keys(2), rows(2))
    elsewhere()
    assert_has(space(), 2)
    assert Store().spaces()[0].about() == {"backbone": "test"}


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_computed(server, bucket, monkeypatch):
    server.fault = lambda method, path: 403 if method == "PUT" else None
    with pytest.raises(StorageError) as caught:
        Store().prepare()
    mark = f"{bucket.url}/store/headstart-store.txt"
    assert str(caught.value) == (
        f"{mark} cannot be written: access denied. Check what AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws "
        "may do."
    )
    server.fault = lambda method, path: None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="the storage does not answer"):
        Store().prepare()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("HEADSTART_STORE", "s3://nowhere/store")
    with pytest.raises(StorageError) as caught:
        Store().prepare()
    assert str(caught.value) == "there is no bucket s3://nowhere. Check its name and AWS_ENDPOINT_URL."


def test_an_upload_that_fails_halfway_leaves_nothing_and_the_next_one_succeeds(server, bucket, elsewhere):
    numbers, width = range(64), 1 << 16  # 16 MB, which go up in pieces
    found = space()
    server.fault = lambda method, path: 500 if "partNumber=2" in path else None
    with pytest.raises(StorageError, match=r"cannot be written: the storage says INTERNAL_FAILURE"):
        found.append(keys(*numbers), rows(*numbers, width=width))
    assert shards(bucket) == []
    assert local_shards() == []
    assert len(found) == 0
    server.fault = lambda method, path: None
    found.append(keys(*numbers), rows(*numbers, width=width))
    elsewhere()
    assert len(space()) == 64


UPLOAD = """
import sys, numpy as np
from headstart.features.keys import picture_digest
from headstart.features.store import Store
space = Store().space({"backbone": "test"}, {"backbone": "test"}).refresh()
count, width = int(sys.argv[1]), int(sys.argv[2])
keys = [picture_digest(str(number).encode()) for number in range(count)]
print("now", flush=True)
space.append(keys, [np.ones((count, width), np.float32)])
print("done", flush=True)
"""


@pytest.mark.parametrize("size", [pytest.param("one request", marks=pytest.mark.slow), "pieces"])
def test_a_writer_that_is_killed_while_it_uploads_leaves_nothing_half_written(server, bucket, elsewhere, size):
    width = (1 << 14) if size == "one request" else (1 << 16)
    server.seconds_per_piece = 0.05
    command = [sys.executable, "-c", UPLOAD, "64", str(width)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "now\n"
        server.uploaded = 0
        while server.uploaded < 1 << 20:  # a part of it is there
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout.readline() == ""
    server.seconds_per_piece = 0
    time.sleep(0.3)
    assert shards(bucket) == []
    elsewhere()
    assert len(space()) == 0
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "now\ndone\n", done.stderr
    assert len(space()) == 64
    assert space().discard_damaged() == []


def test_a_mirror_that_is_lost_is_fetched_again(bucket):
    space().append(keys(1, 2), rows(1, 2))
    shutil.rmtree(Store().root)
    assert_has(space(), 1, 2)


def test_a_space_is_opened_elsewhere_by_its_place(bucket, elsewhere, tmp_path):
    space().append(keys(1), rows(1))
    place = str(space().place)
    assert place == f"{bucket.url}/store/features/{space().path.name}"
    elsewhere()
    assert_has(space_at(place).refresh(), 1)
    here = str(tmp_path / "features" / "x")
    assert str(space_at(here).place) == here
