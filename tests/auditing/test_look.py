"""Each file is looked at once, and remembered by its content, broken ones too."""

import numpy as np
import pytest

from headstart.auditing.look import look
from headstart.features import extract, stat_cache
from headstart.features.store import Store
from tests.auditing.conftest import copy, patchwork
from tests.conftest import write_picture


@pytest.fixture
def files(tmp_path):
    good = write_picture(tmp_path / "good.jpg", patchwork(1, (48, 96)))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.jpg").write_bytes(good.read_bytes()[:-30])
    copy(good, tmp_path / "copy.jpg")
    names = ("good.jpg", "empty.jpg", "text.jpg", "half.jpg", "copy.jpg", "missing.jpg")
    return [str(tmp_path / name) for name in names]


def test_a_look_says_what_a_file_is(files):
    found = look(files, Store())
    assert found.decodable.tolist() == [True, False, False, False, True, False]
    first = found.records[0]
    assert (first["format"], first["height"], first["width"]) == (b"JPEG", 48, 96)
    assert found.digests[0] == found.digests[4] != found.digests[3]
    assert [found.problem(row).split(" (")[0] for row in range(6)] == [
        "",
        "the file is empty",
        "not a picture in a known format",
        "damaged JPEG: the file is truncated: it has no end mark",
        "",
        "cannot be read: No such file or directory",
    ]


def test_a_second_look_reads_no_file_that_is_there(files, monkeypatch):
    monkeypatch.setattr(stat_cache, "_RACY_NANOSECONDS", 0)
    first = look(files, Store())
    read = []
    original = extract.read_file
    monkeypatch.setattr(extract, "read_file", lambda path: read.append(path) or original(path))
    second = look(files, Store())
    assert read == []
    assert second.digests == first.digests
    assert np.array_equal(second.records, first.records)


def test_looks_are_kept_by_content_and_listed_as_what_they_are(files, tmp_path):
    look(files, Store())
    (space,) = Store().spaces()
    assert len(space.refresh()) == 4
    assert space.about()["backbone"] == "what audit has seen"
    other = tmp_path / "renamed.png"
    copy(tmp_path / "good.jpg", other)
    look([str(other)], Store())
    assert len(space.refresh()) == 4
