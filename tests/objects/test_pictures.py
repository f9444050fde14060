"""Pictures in object storage are found, read and recognised as those in folders are."""

import os

import numpy as np
import pytest

from headstart.errors import DataError, StorageError
from headstart.features.extract import extract, hash_pictures
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.places import entries, is_file, is_folder, read_file, stat_of
from headstart.images.sources import list_any, list_for_evaluation, list_labelled
from headstart.objects.requests import AT_ONCE
from tests.conftest import make_picture

RECIPE = DecodeRecipe(8, 8)


def means(*batch: np.ndarray) -> list[np.ndarray]:
    return [batch[0].mean((1, 2), dtype=np.float32)]


def features(paths, space: str = "test"):
    store = Store()
    store.prepare()
    return extract(paths, RECIPE, lambda: means, store.space({"of": space}, {}), store.stat_cache)


def paths_of(listing) -> list[str]:
    return [picture.path for picture in listing.pictures]


def test_a_bucket_gives_the_same_digests_and_the_same_features_as_a_folder(bucket, pictures):
    folder = pictures(red=20, green=20)
    here, there = list_labelled(folder), list_labelled(bucket.put_folder(folder, "a/flowers"))
    assert [p._replace(path="") for p in here.pictures] == [p._replace(path="") for p in there.pictures]
    assert there.pictures[0].path == f"{bucket.url}/a/flowers/green/000.png"
    assert str(there.root) == f"{bucket.url}/a/flowers"
    cold = features(paths_of(there))
    assert (cold.extracted, cold.quarantined) == (40, [])
    warm = features(paths_of(here))  # one and the same store
    assert (warm.extracted, warm.reused) == (0, 40)
    assert list(cold.digests.values()) == list(warm.digests.values())
    again = features(paths_of(here), "another")
    np.testing.assert_array_equal(cold.read(paths_of(there))[0], again.read(paths_of(here))[0])


def test_a_folder_of_sides_is_divided_as_on_disk(bucket, pictures):
    pictures(at="data/train", red=3, green=3)
    pictures(at="data/val", first=50, red=2, green=2)
    folder = pictures(at="data/test", first=90, red=1, green=1).parent
    address = bucket.put_folder(folder)
    assert address == bucket.url  # a whole bucket
    here, there = list_labelled(folder), list_labelled(address)
    assert [(p.name, p.label, p.side) for p in there.pictures] == [(p.name, p.label, p.side) for p in here.pictures]
    assert [p.name for p in list_for_evaluation(address).pictures] == [
        p.name for p in list_for_evaluation(folder).pictures
    ]
    apart = list_labelled(f"{address}/train", val=f"{address}/val")
    assert len(apart.on("val")) == 4


def test_a_listing_is_one_request_for_a_thousand_pictures_and_reading_two_for_each(server, bucket, pictures):
    address = bucket.put_folder(pictures(red=30, green=30), "flowers")
    server.counts.clear()
    listing = list_labelled(address)
    assert dict(server.counts) == {"GET list": 1}
    server.counts.clear()
    features(paths_of(listing))
    assert dict(server.counts) == {"HEAD object": 60, "GET object": 60}
    server.counts.clear()
    assert features(paths_of(list_labelled(address))).reused == 60
    assert dict(server.counts) == {"GET list": 1}


def test_a_long_listing_comes_in_pages(bucket):
    for number in range(1003):
        bucket.put(f"many/{'ab'[number % 2]}/{number:04d}.jpg", b"x")
    found = list_labelled(f"{bucket.url}/many")
    assert len(found.pictures) == 1003
    assert found.classes == ("a", "b")


def test_many_pictures_are_read_at_once(server, bucket, pictures, monkeypatch):
    address = bucket.put_folder(pictures(red=40, green=40))
    paths = paths_of(list_labelled(address))
    under_way, most = set(), []

    def watch(method: str, path: str) -> None:
        under_way.add(path)
        most.append(len(under_way))
        import time

        time.sleep(0.05)
        under_way.discard(path)

    server.fault = watch
    hash_pictures(paths, Store().stat_cache)
    assert AT_ONCE / 2 < max(most) <= AT_ONCE


def test_pictures_that_are_added_changed_or_removed_are_noticed_by_the_next_listing(bucket, pictures):
    address = bucket.put_folder(pictures(red=3, green=3), "f")
    before = features(paths_of(list_labelled(address))).digests
    bucket.put("f/red/000.png", bucket.get("f/green/001.png"))
    bucket.delete("f/red/001.png")
    bucket.put("f/red/new.png", bucket.get("f/green/002.png"))
    after = features(paths_of(list_labelled(address))).digests
    assert after[f"{address}/red/000.png"] == before[f"{address}/green/001.png"]
    assert f"{address}/red/001.png" not in after
    assert after[f"{address}/red/new.png"] == before[f"{address}/green/002.png"]


def test_what_was_written_a_moment_before_is_not_remembered_by_its_time(server, bucket, pictures):
    server.past = 0
    address = bucket.put_folder(pictures(red=2, green=2), "f")
    features(paths_of(list_labelled(address)))
    server.counts.clear()
    features(paths_of(list_labelled(address)))
    assert server.counts["GET object"] == 4  # it could have changed within the same second


def test_an_object_that_goes_between_listing_and_reading_is_one_left_out(bucket, pictures):
    address = bucket.put_folder(pictures(red=4, green=4), "f")
    listing = list_labelled(address)
    bucket.delete("f/red/002.png")
    found = features(paths_of(listing))
    assert [(bad.path, bad.reason) for bad in found.quarantined] == [
        (f"{address}/red/002.png", "cannot be read: no such object")
    ]
    assert found.extracted == 7


def test_an_object_that_must_not_be_read_is_one_left_out(server, bucket, pictures):
    address = bucket.put_folder(pictures(red=4, green=4), "f")
    listing = list_labelled(address)
    server.fault = lambda method, path: 403 if path.endswith("green/001.png") else None
    found = features(paths_of(listing))
    assert [(bad.path, bad.reason) for bad in found.quarantined] == [
        (f"{address}/green/001.png", "cannot be read: access denied")
    ]


@pytest.mark.parametrize("trouble", [503, 0])
def test_storage_that_stops_answering_is_one_error_and_no_pictures_are_left_out(server, bucket, pictures, trouble):
    address = bucket.put_folder(pictures(red=4, green=4), "f")
    listing = list_labelled(address)
    server.fault = lambda method, path: trouble if method == "GET" and path.endswith("003.png") else None
    with pytest.raises(StorageError) as caught:
        features(paths_of(listing))
    assert str(caught.value) in {
        f"{address}/{name}/003.png cannot be read: the storage does not answer. Check the network and "
        "AWS_ENDPOINT_URL; the same command goes on from what was done."
        for name in ("red", "green")
    }


def test_what_cannot_be_used_at_all_is_said_in_one_line(bucket, pictures, monkeypatch):
    address = bucket.put_folder(pictures(red=2, green=2), "flowers")
    wanted = "Give a folder, or a zip, that holds one folder of pictures for each class; or a file of arrays."
    said = {
        "s3://no-such-bucket/x": "there is no bucket s3://no-such-bucket. Check its name and AWS_ENDPOINT_URL.",
        f"{bucket.url}/flower": (
            f"no such folder: {bucket.url}/flower. {wanted} In {bucket.url}: did you mean flowers?"
        ),
        f"{address}/red/000.png": f"{address}/red/000.png is a file, neither a folder nor an archive. {wanted}",
        f"{address}/red": (
            f"no classes in {address}/red: it holds 2 files and no folders. Put the pictures of each class into a "
            "folder of its own."
        ),
        "https://some/pictures": (
            "https://some/pictures cannot be read: of addresses, s3:// and gs:// can, https:// cannot. Copy it here."
        ),
    }
    for given, expected in said.items():
        with pytest.raises((DataError, StorageError)) as caught:
            list_labelled(given)
        assert str(caught.value) == expected


def test_a_zip_in_object_storage_is_refused_with_what_to_do(bucket):
    bucket.put("pets.zip", b"PK")
    with pytest.raises(DataError) as caught:
        list_labelled(f"{bucket.url}/pets.zip")
    assert str(caught.value) == (
        f"{bucket.url}/pets.zip is not read in object storage. Copy it to this machine, or unpack it there."
    )


def test_keys_that_are_not_accepted_and_storage_that_is_not_there_are_one_line_each(server, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "bad")
    with pytest.raises(StorageError) as caught:
        list_labelled(f"{bucket.url}/f")
    assert str(caught.value) == (
        f"{bucket.url}/f cannot be listed: the keys are not accepted. Check AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or ~/.aws."
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "good-key")
    server.fault = lambda method, path: 403
    with pytest.raises(StorageError) as caught:
        list_labelled(f"{bucket.url}/f")
    assert str(caught.value) == (
        f"{bucket.url}/f cannot be listed: access denied. Check what AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "~/.aws may do."
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError) as caught:
        list_labelled(f"{bucket.url}/f")
    assert str(caught.value) == (
        f"{bucket.url}/f cannot be listed: the storage does not answer. Check the network and AWS_ENDPOINT_URL; the "
        "same command goes on from what was done."
    )
    with pytest.raises(StorageError) as caught:
        list_labelled("s3://")
    assert str(caught.value) == "s3:// names no bucket. Give s3://BUCKET/FOLDER."


def test_names_that_are_no_paths_are_left_out_and_listed(bucket):
    good = write_bytes(make_picture(1))
    for key in (
        "f/a/0.png",
        "f/a/1.png",
        "f/b/2.png",
        "f/a//3.png",
        "f/a/../4.png",
        "f/b/5 ü#?&%.png",
        "f/a/.hidden",
        "f/a/1.png/x.png",
    ):
        bucket.put(key, good)
    bucket.put("f/b/", b"")  # as consoles mark folders
    found = list_labelled(f"{bucket.url}/f")
    assert [picture.name for picture in found.pictures] == ["a/0.png", "a/1.png/x.png", "b/2.png", "b/5 ü#?&%.png"]
    assert read_file(found.pictures[-1].path) == good
    reasons = {os.path.basename(bad.path): bad.reason for bad in found.skipped}
    no_path = "its name has a part that is empty, . or .., so it is no path"
    assert reasons == {"_3.png": no_path, "_4.png": no_path, "1.png_": "a folder has the same name"}


def write_bytes(pixels) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", pixels)[1])


def test_tables_lead_to_pictures_beside_them_and_from_here_to_there(bucket, tmp_path):
    for number in range(4):
        bucket.put(f"t/pictures/{number}.png", write_bytes(make_picture(number, hue=number)))
    rows = "".join(f"pictures/{number}.png,{'ab'[number % 2]}\n" for number in range(4))
    bucket.put("t/labels.csv", f"path,label\n{rows}".encode())
    found = list_labelled(f"{bucket.url}/t/labels.csv")
    assert [picture.name for picture in found.pictures] == [f"pictures/{number}.png" for number in range(4)]
    there = features(paths_of(found))
    assert there.extracted == 4
    here = tmp_path / "labels.csv"
    here.write_text("path,label\n" + rows.replace("pictures/", f"{bucket.url}/t/pictures/"))
    assert paths_of(list_labelled(here)) == paths_of(found)
    with pytest.raises(DataError, match="no such table: s3://"):
        list_labelled(f"{bucket.url}/t/none.csv")


def test_single_pictures_and_folders_at_any_depth_are_taken_without_labels(server, bucket):
    for key in ("f/1.png", "f/deep/er/2.png"):
        bucket.put(key, b"x")
    assert [picture.path for picture in list_any([f"{bucket.url}/f"])] == [
        f"{bucket.url}/f/1.png",
        f"{bucket.url}/f/deep/er/2.png",
    ]
    server.counts.clear()
    assert [picture.path for picture in list_any([f"{bucket.url}/f/1.png"])] == [f"{bucket.url}/f/1.png"]
    assert dict(server.counts) == {"GET list": 1, "HEAD object": 1}
    with pytest.raises(DataError) as caught:
        list_any([f"{bucket.url}/f/3.png"])
    assert str(caught.value) == f"no such file or folder: {bucket.url}/f/3.png"


def test_what_nobody_listed_is_asked_for(bucket):
    bucket.put("f/a/1.png", b"12345")
    address = f"{bucket.url}/f"
    assert (is_folder(address), is_file(address)) == (True, False)
    assert (is_folder(f"{address}/a/1.png"), is_file(f"{address}/a/1.png")) == (False, True)
    assert [(entry.name, entry.is_folder) for entry in entries(address)] == [("a", True)]
    assert stat_of(f"{address}/a/1.png")[0] == 5
    with pytest.raises(FileNotFoundError):
        stat_of(f"{address}/a/2.png")


def test_pyarrow_is_imported_for_addresses_alone(pictures, tmp_path):
    import subprocess
    import sys

    folder = pictures(red=2, green=2)
    script = (
        "import sys; from headstart.images.sources import list_labelled; from headstart.features.store import Store; "
        f"list_labelled({str(folder)!r}); Store({str(tmp_path / 's')!r}).prepare(); "
        "assert not [name for name in sys.modules if name.startswith('pyarrow')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
