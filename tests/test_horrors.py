"""A chamber of horrors trains as well as the good pictures in it alone, and every horror is named."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from tests.conftest import make_picture, write_picture
from tests.images.horrors import (
    every_file,
    remove_deep_folders,
    with_good,
    write_deep_folders,
    write_specials,
    zip_of,
    zips,
)

PEAK_BYTES = 1_500_000_000
# A process is charged with what its parent had taken when it began, so a small one stands in between.
MEASURED = (
    "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024); sys.exit(done.returncode)"
)
FILES = every_file()


def test_there_are_at_least_sixty_horrors():
    assert len(FILES) >= 60
    assert len({name for name, _, _ in FILES}) == len(FILES)


@pytest.mark.parametrize(
    ("content", "reason"), [file[1:] for file in FILES], ids=[ascii(file[0])[:40] for file in FILES]
)
def test_each_is_refused_with_its_reason_in_one_line(content, reason):
    with pytest.raises(UndecodableError) as caught:
        decode(content, DecodeRecipe(64, 64))
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


def write_good(root: Path, classes: list[str]) -> None:
    """Class folders to learn from, and a zip for each class to check on."""
    (root / "check").mkdir(parents=True)
    for hue, name in enumerate(classes):
        for number in range(4):
            write_picture(root / "learn" / name / f"{number}.png", make_picture(100 * hue + number, hue=hue))
        (root / "check" / f"{name}.zip").write_bytes(zip_of(good_members(root, hue)))


def good_members(root: Path, hue: int) -> dict[str, bytes]:
    files = [write_picture(root / "made.png", make_picture(100 * hue + 50 + n, hue=hue)).read_bytes() for n in range(2)]
    (root / "made.png").unlink()
    return {f"good{number}.png": content for number, content in enumerate(files)}


def write_horrors(root: Path, classes: list[str]) -> dict[str, str]:
    """Spread every horror over the classes; the reason expected for each path."""
    reasons = {}
    folders = [root / "learn" / name for name in classes]
    for number, (name, content, reason) in enumerate(FILES):
        path = folders[number % len(folders)] / name
        path.write_bytes(content)
        reasons[str(path)] = reason
    special = write_specials(folders[0])
    reasons |= {str(folders[0] / name): reason for name, reason in special.items()}
    reasons[str(folders[1] / write_deep_folders(folders[1] / "deep", 1500))] = "a folder more than 200 folders"
    (root / "learn" / "lost.zip").write_bytes(zip_of({"a/1.png": b"x"})[:-30])
    reasons[str(root / "learn" / "lost.zip")] = "it is in no class folder"
    for name, (content, bad) in zips().items():
        archive = root / "check" / f"{name}.zip"
        archive.write_bytes(with_good(content, good_members(root, classes.index(name))))
        reasons |= {f"{archive}/{member}": reason for member, reason in bad.items()}
    return reasons


def train(root: Path, run: Path) -> tuple[dict[str, Any], str, int]:
    """Train through the real command: metrics, what it said on stderr, and the peak of its memory in bytes."""
    command = [str(Path(sys.executable).with_name("headstart")), "train", str(root / "learn"), "--out", str(run)]
    choices = ["--val", str(root / "check"), "--strategy", "head", "--backbone", "nano", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command, *choices],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        cwd=root,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    content, peak = done.stdout.rstrip().rsplit("\n", 1)
    return json.loads(content), done.stderr, int(peak)


def quarantined(run: Path) -> list[tuple[str, str]]:
    with open(run / "quarantine.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["path", "reason"]
    assert all(len(row) == 2 for row in rows)
    return [(row[0], row[1]) for row in rows]


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    names = ("accuracy", "loss", "n", "per_class", "confusion", "classes", "penalty", "cross_validated", "extracted")
    return {name: metrics[name] for name in names}


@pytest.mark.slow
def test_a_chamber_of_horrors_trains_to_the_figures_of_the_good_pictures_alone(tmp_path, monkeypatch):
    classes = sorted(zips())
    good, chamber = tmp_path / "good", tmp_path / "chamber"
    write_good(good, classes)
    write_good(chamber, classes)
    expected = write_horrors(chamber, classes)
    try:
        alone, _, _ = train(good, tmp_path / "alone")
        monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "another store"))
        among, said, peak = train(chamber, tmp_path / "among")
    finally:
        remove_deep_folders(chamber / "learn" / classes[1] / "deep")
    assert figures(among) == figures(alone)
    found = quarantined(tmp_path / "among")
    assert Counter(path for path, _ in found) == Counter(expected.keys())
    assert {path: reason for path, reason in found if expected[path] not in reason} == {}
    assert among["quarantined"] == len(expected)
    for cell in (cell for row in found for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert all(line.isprintable() for line in said.split("\n")), said
    assert not list(tmp_path.rglob("obeyed"))
    assert not os.path.exists("/tmp/obeyed")
    print(f"peak memory {peak / 1e9:.2f} GB")
    assert peak < PEAK_BYTES, f"{peak / 1e9:.2f} GB"
