"""Folders of as many pictures as a benchmark wants, made from those of a given folder."""

import argparse
import random
import shutil
from collections import defaultdict
from pathlib import Path

from report import parser

_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"


def options(text: str | None) -> argparse.ArgumentParser:
    """The options of benchmarks that want many pictures."""
    made = parser(text)
    made.add_argument("data")
    made.add_argument("--backbone", default="nano")
    made.add_argument("--weights", default="imagenet")
    made.add_argument("--folder", help="For pictures and stores.  [default: a temporary one]")
    return made


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture as another file: a comment, behind what says which kind of JPEG it is, changes its digest."""
    place = len(_START)
    while jpeg[place] == 0xFF and 0xE0 <= jpeg[place + 1] <= 0xEF:  # application segments, as JFIF's and EXIF's
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    content = text.encode()
    return jpeg[:place] + _COMMENT + (len(content) + 2).to_bytes(2, "big") + content + jpeg[place:]


def jpegs(data: Path | str) -> list[Path]:
    """The JPEG files of a folder, mixed, in the same order every time; the folder of each is its class."""
    found = [path for path in sorted(Path(data).rglob("*")) if path.is_file() and _is_jpeg(path)]
    if not found:
        raise SystemExit(f"There is no JPEG file in {data}.")
    random.Random(0).shuffle(found)
    return found


def grow(folder: Path, sources: list[Path], first: int, count: int) -> None:
    """Write pictures number `first` to `count` into folders of classes: the sources over and over, no two files alike.

    Args:
        folder: where to; it may hold those before `first` already.
        sources: JPEG files in folders of classes.
        first: the first one to write.
        count: one behind the last one.
    """
    for number in range(first, count):
        source = sources[number % len(sources)]
        place = folder / source.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:07d}.jpg").write_bytes(with_comment(source.read_bytes(), f"number {number}"))


def some_of(data: Path | str, count: int, folder: Path) -> Path:
    """Copy so many pictures of a folder with sides and classes, spread evenly; all where there are no more."""
    files = [path for path in sorted(Path(data).rglob("*")) if path.is_file()]
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        groups[path.parent].append(path)
    for group in groups.values():
        wanted = min(len(group), max(2, round(count * len(group) / len(files))))
        for number in range(wanted):
            source = group[number * len(group) // wanted]
            target = folder / source.relative_to(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"
