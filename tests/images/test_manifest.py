"""splits.csv of a RUN is a split that can be given again."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.images.manifest import read_manifest


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "splits.csv").write_text(text)
    return tmp_path / "splits.csv"


def test_sides_are_read_by_digest(tmp_path):
    path = table(tmp_path, "path,label,side,digest\na.png,cat,train,01\nb.png,cat,val,02\nc.png,dog,val,02\n")
    assert read_manifest(path) == {"01": "train", "02": "val"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,b\n", "{path} is no split: it has no columns digest and side. Give the splits.csv of a RUN."),
        ("", "{path} is no split: it has no columns digest and side. Give the splits.csv of a RUN."),
        ("side,digest\n", "{path} holds no pictures. Give the splits.csv of a RUN."),
        ("side,digest\nleft,01\n", "{path}, line 2: 'left' is no side of the split."),
        ("side,digest\nval,01\ntrain,01\n", "{path}, line 3: 'train' contradicts an earlier line of that digest."),
        ("side,digest\nval\n", "{path} holds no pictures. Give the splits.csv of a RUN."),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    assert str(caught.value) == message.format(path=path)


def test_a_split_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        read_manifest(tmp_path / "nothing.csv")
