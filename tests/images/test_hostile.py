"""What is made to take memory or time is refused before it does; nothing that is no file is opened."""

import json
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.bundle import Run
from headstart.errors import DataError, RunError
from headstart.features.extract import load_pictures
from headstart.images import archives, memory
from headstart.images import decode as decoding
from headstart.images.archives import Archive, ArchiveError
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.folders import walk
from headstart.images.memory import Room, reading
from headstart.images.pictures import Quarantined
from headstart.images.places import entries, read_file, size_of
from headstart.images.sources import list_any, list_labelled
from headstart.run_files import FORMAT, write_csv
from tests.images.horrors import (
    PIXELS,
    chunk,
    encoded,
    every_file,
    overlapping,
    patched,
    plain_tags,
    png,
    remove_deep_folders,
    tiff,
    write_deep_folders,
    zip_of,
)

RECIPE = DecodeRecipe(64, 64)
PEAK = """
import sys
from headstart.images.decode import *
from pathlib import Path
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
recipe = DecodeRecipe(224, 224)
before = peak()
try:
    decode(Path(sys.argv[1]).read_bytes(), recipe)
    said = "read"
except UndecodableError as error:
    said = str(error)
print((peak() - before) // 1024, said)
"""


def peak_of(path: Path) -> tuple[int, str]:
    """The MiB that decoding takes in a process of its own, and what comes of it."""
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
    taken, said = done.stdout.rstrip().split(" ", 1)
    return int(taken), said


def claims() -> list[tuple[str, bytes]]:
    return [
        (name, data) for name, data, _ in every_file() if name.startswith(("claims", "tile", "again", "text", "prof"))
    ]


@pytest.mark.parametrize(("name", "data"), claims(), ids=[name for name, _ in claims()])
def test_claims_are_refused_before_memory_is_taken(tmp_path, name, data):
    (tmp_path / "x").write_bytes(data)
    taken, said = peak_of(tmp_path / "x")
    assert said != "read"
    assert taken < 60 + 3 * (len(data) >> 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "mode", "size"),
    [
        ("PNG", "RGB", (11_000, 10_500)),
        ("PNG", "L", (13_000, 13_000)),
        ("GIF", "P", (13_000, 13_000)),
        ("BMP", "RGB", (7_000, 7_000)),
        ("WEBP", "RGB", (5_200, 5_200)),
        ("AVIF", "RGB", (6_500, 6_500)),
        ("TIFF", "RGB", (7_000, 7_000)),
        ("JPEG", "RGB", (13_000, 13_000)),
        ("JPEG2000", "RGB", (4_600, 4_600)),
    ],
)
def test_the_largest_that_is_read_takes_no_more_than_the_limit(tmp_path, form, mode, size):
    options = {"TIFF": {"compression": "tiff_lzw"}, "AVIF": {"speed": 10}, "WEBP": {"method": 0}}.get(form, {})
    (tmp_path / "x").write_bytes(encoded(Image.new(mode, size, 90), form, **options))
    taken, said = peak_of(tmp_path / "x")
    assert said == "read"
    assert taken < 1.15 * (memory.MAX_MEMORY >> 20)


def test_a_progressive_jpeg_counts_its_coefficients(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_MEMORY", 20 << 20)
    large = Image.new("RGB", (2000, 2000))
    assert decode(encoded(large, "JPEG"), RECIPE).shape == (64, 64, 3)
    with pytest.raises(
        UndecodableError, match="^decoding it would take 2. MiB of memory, more than the limit of 20 MiB$"
    ):
        decode(encoded(large, "JPEG", progressive=True, subsampling=0), RECIPE)


def test_room_is_given_to_one_after_another_and_given_back():
    room = Room(10)
    inside, most = [], []

    def take(size: int) -> None:
        with room.of(size):
            inside.append(size)
            most.append(sum(inside))
            time.sleep(0.01)
            inside.remove(size)

    threads = [threading.Thread(target=take, args=(size,)) for size in (6, 5, 10, 1, 4, 9, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == 7
    assert max(most) <= 10
    with pytest.raises(KeyError), room.of(10):
        raise KeyError
    with room.of(10):
        pass
    with room.of(8), room.of(8):  # whoever has some already gets what is left
        pass
    assert room._left == 10


def test_large_files_come_one_after_another_and_may_still_be_decoded():
    done = []

    def read() -> None:
        with reading(300 << 20), memory.ROOM.of(200 << 20):
            done.append(1)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(done) == 6


def pointing_to_the_same(count: int, size: int) -> bytes:
    return tiff((0x0112, 3, 1, 6), *((50_000 + n % 15_000, 1, size, 0) for n in range(count)), more=bytes(size))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_exif_whose_tags_point_to_the_same_bytes_is_not_followed(form):
    started = time.perf_counter()
    exif = b"Exif\0\0" + pointing_to_the_same(2000, 1 << 20)
    assert decode(encoded(Image.new("RGB", (32, 24)), form, exif=exif), RECIPE).shape == (64, 64, 3)
    assert time.perf_counter() - started < 2


@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # of Pillow 13, which is suspicious itself, on writing
@pytest.mark.parametrize("form", ["AVIF", "JPEG"])
def test_exif_whose_tags_point_to_the_same_bytes_is_refused_where_libraries_read_it_unasked(form):
    size = 40_000 if form == "JPEG" else 1 << 20
    data = encoded(Image.new("RGB", (32, 24)), form, exif=b"Exif\0\0" + pointing_to_the_same(2000, size))
    with pytest.raises(UndecodableError, match=f"^damaged {form}: its tags claim .* bytes of .* there are$"):
        decode(data, RECIPE)


def test_exif_as_text_in_a_png_is_not_followed_either():
    bomb = pointing_to_the_same(2000, 200_000)
    text = f"\nexif\n{len(bomb)}\n{bomb.hex()}"
    data = png(PIXELS, chunk(b"tEXt", b"Raw profile type exif\0" + text.encode()))
    started = time.perf_counter()
    assert decode(data, RECIPE).shape == (64, 64, 3)
    assert time.perf_counter() - started < 2


def test_one_damaged_tag_does_not_make_a_picture_unreadable():
    exif = b"Exif\0\0" + tiff((0x0112, 3, 1, 6), (0x9286, 7, 2**32 - 1, 40), more=bytes(100))
    assert decode(encoded(Image.new("RGB", (32, 24)), "JPEG", exif=exif), RECIPE).shape == (64, 64, 3)


def test_warnings_are_as_they_were_when_many_threads_have_decoded():
    before = list(warnings.filters)
    data = encoded(Image.new("P", (32, 24)), "PNG", transparency=b"\0\1")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: decode(data, RECIPE), range(200)))
    assert warnings.filters == before


def test_a_tiff_may_have_many_tags_if_they_are_there():
    tags = [tag for tag in plain_tags(8, 8) if tag[0] != 273]
    place = 8 + 2 + 12 * (len(tags) + 101) + 4
    body = tiff(*tags, (273, 4, 1, place), *((50_000 + n, 1, 60, place) for n in range(100)), more=bytes(6000))
    assert decode(body, RECIPE).shape == (64, 64, 3)


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ArchiveError, match="^not a file$"):
        read_file(str(tmp_path / "pipe.png"))
    with pytest.raises(DataError, match="no such file or folder"):
        list_any([tmp_path / "pipe.png"])
    (tmp_path / "t.csv").write_text("path,label\npipe.png,a\n/dev/zero,b\n")
    found = [content for _, content in load_pictures([str(tmp_path / "pipe.png"), "/dev/zero"], RECIPE)]
    assert [item.reason for item in found if isinstance(item, Quarantined)] == ["cannot be read: not a file"] * 2


def test_a_null_byte_in_a_path_is_no_such_file():
    ((_, found),) = load_pictures(["a\0b.png"], RECIPE)
    assert found == Quarantined("a\0b.png", "cannot be read: No such file or directory")


def test_links_that_lead_to_each_other_are_named_and_not_followed(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("/dev/zero")
    (tmp_path / "d").symlink_to("nowhere")
    (tmp_path / "up").symlink_to("..")
    assert [item.reason.split(":")[0] for item in walk(tmp_path)] == [
        *["a link that cannot be followed"] * 2,
        "not a file",
        "a link that leads nowhere",
        "a link to a folder, which is not followed",
    ]


@pytest.mark.parametrize("depth", [200, 1500])
def test_deep_folders_are_walked_to_a_depth_and_named(tmp_path, depth):
    named = write_deep_folders(tmp_path / "deep", depth)
    try:
        (found,) = walk(tmp_path)
    finally:
        remove_deep_folders(tmp_path / "deep")
    if depth == 200:
        assert isinstance(found, Quarantined)
    assert found.path == f"{tmp_path}/{named}"
    assert found.reason == "a folder more than 200 folders or 3,800 bytes down, which is not entered"


def test_a_path_that_is_longer_than_the_system_opens_is_named(tmp_path):
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(18):
            os.mkdir("n" * 250)
            os.chdir("n" * 250)
        Path("x.png").write_bytes(b"x")
    finally:
        os.chdir(here)
    (found,) = walk(tmp_path)
    assert isinstance(found, Quarantined)
    assert "3,800 bytes down" in found.reason


def test_a_name_of_many_folders_in_a_zip_takes_no_memory_for_each(tmp_path):
    (tmp_path / "x.zip").write_bytes(zip_of({"a/" * 30_000 + "x.png": b"x", "n" * 5000: b"x", "ok/1.png": b"x"}))
    archive = Archive(str(tmp_path / "x.zip"))
    assert set(archive.problems.values()) == {"a name of more than 2,048 characters or 64 folders"}
    assert archive.is_file("ok/1.png")


def test_members_that_share_bytes_are_refused_and_others_are_not(tmp_path):
    (tmp_path / "x.zip").write_bytes(overlapping())
    reason = "it shares bytes with another member of the archive"
    assert Archive(str(tmp_path / "x.zip")).problems == {f"{n}.png": reason for n in range(4)}
    (tmp_path / "y.zip").write_bytes(zip_of({f"{n}": b"x" * n for n in range(50)}, zipfile.ZIP_STORED))
    assert Archive(str(tmp_path / "y.zip")).problems == {}


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_in_any_way_are_read_and_those_that_lie_are_not_unpacked(tmp_path, monkeypatch, kind):
    content = np.random.default_rng(0).integers(0, 9, 100_000, np.uint8).tobytes()
    whole = zip_of({"a.png": content, "empty.png": b""}, kind)
    (tmp_path / "x.zip").write_bytes(whole)
    assert read_file(f"{tmp_path}/x.zip/a.png") == content
    assert read_file(f"{tmp_path}/x.zip/empty.png") == b""
    assert size_of(f"{tmp_path}/x.zip/a.png") >= len(content)
    (tmp_path / "liar.zip").write_bytes(patched(whole, "a.png", 24, struct.pack("<I", 50)))
    sizes = []
    unpacked = archives._unpacked
    monkeypatch.setattr(archives, "_unpacked", lambda *given: sizes.append(len(found := unpacked(*given))) or found)
    with pytest.raises(ArchiveError, match="size or checksum is not what the archive says"):
        read_file(f"{tmp_path}/liar.zip/a.png")
    if kind != zipfile.ZIP_STORED:
        assert sizes == [51]


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("content", [bytes(5_000_000), os.urandom(3_000_000), b"ab" * 1_500_000, b"x" * (1 << 20)])
def test_large_members_are_unpacked_in_pieces_to_what_they_were(tmp_path, kind, content):
    (tmp_path / "x.zip").write_bytes(zip_of({"a.png": content}, kind))
    assert read_file(f"{tmp_path}/x.zip/a.png") == content


def test_a_member_that_leads_out_is_listed_with_its_reason(tmp_path):
    (tmp_path / "x.zip").write_bytes(zip_of({"../up.png": b"x", "a/1.png": b"x", "b/1.png": b"y"}))
    assert [(entry.name, entry.problem) for entry in entries(tmp_path / "x.zip") if entry.problem] == [
        ("_.._up.png", "its name leads out of the archive")
    ]


def test_a_picture_of_an_odd_name_is_one_line_of_an_error(tmp_path):
    (tmp_path / "t.csv").write_text('path,label,split\n"a\n1.png",x,train\nb.png,y,train\n"c\nd.png",z,val\n')
    with pytest.raises(DataError) as caught:
        list_labelled(tmp_path / "t.csv")
    assert "c\\nd.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_with_carriage_returns_can_be_read_again(tmp_path):
    import csv

    rows = [["a\rb.png", "=1\r"], ["c\nd", 'e"f'], ["plain", "1"]]
    write_csv(tmp_path / "t.csv", ("path", "reason"), rows)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file, strict=True)) == [["path", "reason"], ["a\rb.png", "'=1\r"], *rows[1:]]
    assert (tmp_path / "t.csv").read_bytes().endswith(b"plain,1\n")


ABOUT = {
    "format": FORMAT,
    "classes": ["cat", "dog"],
    "decode": {"height": 4, "width": 4, "fit": "crop"},
    "precision": "f32",
    "output": "softmax",
    "head": "linear",
    "runtime": {},
    "digests": {"model.keras": "0"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": ["cat", "cat"]},
        {"classes": ["cat", 1]},
        {"classes": {"cat": 1, "dog": 2}},
        {"decode": {"height": 0, "width": 4, "fit": "crop"}},
        {"decode": {"height": 10**9, "width": 4, "fit": "crop"}},
        {"decode": {"height": True, "width": 4, "fit": "crop"}},
        {"decode": {"height": 4, "width": 4, "fit": "squeeze"}},
        {"decode": {"height": 4, "width": 4}},
        {"precision": ["f32"]},
        {"output": "linear"},
        {"digests": []},
        {"digests": "model.keras"},
        {"format": float("inf")},
    ],
)
def test_a_run_that_says_nonsense_of_itself_is_damaged(tmp_path, change):
    (tmp_path / "bundle.json").write_text(json.dumps(ABOUT))
    assert Run(tmp_path).classes == ("cat", "dog")
    (tmp_path / "bundle.json").write_text(json.dumps({**ABOUT, **change}))
    with pytest.raises(RunError, match=r"bundle.json is damaged or cannot be read\."):
        Run(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "3", "", '{"a":', "\udcff"])
def test_json_of_any_kind_in_a_run_is_one_line(tmp_path, content):
    data = content.encode("utf-8", "surrogateescape")
    (tmp_path / "bundle.json").write_bytes(data)
    with pytest.raises(RunError, match="bundle.json is damaged"):
        Run(tmp_path)
    (tmp_path / "bundle.json").write_text(json.dumps(ABOUT))
    (tmp_path / "metrics.json").write_bytes(data)
    with pytest.raises(RunError, match="metrics.json is damaged"):
        _ = Run(tmp_path).metrics


def test_a_png_with_a_wrong_checksum_is_refused_and_one_in_a_remark_is_not():
    remark = bytearray(chunk(b"tEXt", b"a\0b"))
    remark[-1] ^= 1
    assert decode(png(PIXELS, bytes(remark)), RECIPE).shape == (64, 64, 3)
    wrong = bytearray(PIXELS)
    wrong[-1] ^= 1
    with pytest.raises(UndecodableError, match="^damaged PNG: the checksum of its IDAT chunk is wrong$"):
        decode(png(bytes(wrong)), RECIPE)
