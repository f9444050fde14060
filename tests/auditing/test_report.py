"""The page and the tables: everything is there, names are shown and never obeyed, nobody is asked for anything."""

import csv
import os
from html.parser import HTMLParser

import pytest

import headstart
from headstart.auditing.findings import Audit, Check, Finding, Pictured
from headstart.auditing.report import TABLES, render
from headstart.errors import RunError
from tests.auditing.conftest import copy, patchwork
from tests.conftest import write_picture

HOSTILE = (
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "=HYPERLINK(1).png",
    "a\nb.png",
    "\u202egnp.exe",
    "\x1b[2Jwiped.png",
)


class Page(HTMLParser):
    """Tags that are open, and what was seen."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def hostile(sides):
    """Each name twice, in train and in val, one that is no text, and classes with odd names, too."""
    names = [*HOSTILE, os.fsdecode(b"\xff\xfe.png")]
    for number, name in enumerate(names):
        path = sides / "train" / "cat" / name.replace("/", "_")
        pixels = write_picture(sides.parent / f"{number}.png", patchwork(3000 + number))
        copy(pixels, path, sides / "val" / "cat" / path.name)
    for side in ("train", "val"):
        (sides / side / "dog").rename(sides / side / "<b>=dog\u202e")
    return sides


def test_hostile_names_are_shown_on_the_page_and_never_obeyed(hostile, tmp_path):
    headstart.audit(hostile, features=False, out=tmp_path / "out", progress=False)
    text = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.tags.count("img") == 2 * (len(HOSTILE) + 1)
    assert "<script>alert(1)<_script>.png" in page.text
    assert "a\\nb.png" in page.text
    assert "\\u202egnp.exe" in page.text
    assert "\\x1b[2Jwiped.png" in page.text
    assert "\\udcff" in page.text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_the_page_asks_nobody_for_anything(hostile, tmp_path):
    headstart.audit(hostile, features=False, out=tmp_path / "out", progress=False)
    page = Page((tmp_path / "out" / "audit.html").read_text(encoding="utf-8"))
    for name, value in page.attributes:
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
        elif name == "href":
            assert value.startswith("#")
    assert "link" not in page.tags
    policy = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_cells_of_the_tables_are_no_formulas(hostile, tmp_path):
    headstart.audit(hostile, features=False, out=tmp_path / "out", progress=False, group_by="{group}.png")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.html", *TABLES}
    for name in TABLES:
        with open(tmp_path / "out" / name, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    with open(tmp_path / "out" / "duplicates.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (len(HOSTILE) + 1)
    assert any(row["path"].endswith("a\nb.png") for row in rows)
    assert {row["why"] for row in rows} == {"across sides"}


def test_an_older_audit_is_replaced_and_anything_else_is_not(sides, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        headstart.audit(sides, features=False, out=out, progress=False)
    (out / "mine.txt").write_text("precious")
    with pytest.raises(RunError) as caught:
        headstart.audit(sides, features=False, out=out, progress=False)
    assert str(caught.value) == f"{out} exists and is not empty. Give another --out, or remove it first."
    assert (out / "audit.html").exists()
    with pytest.raises(RunError, match="is inside"):
        headstart.audit(sides, features=False, out=sides / "out", progress=False)


def test_the_page_stays_below_five_megabytes_whatever_was_found(tmp_path):
    noise = [str(write_picture(tmp_path / f"{number}.png", patchwork(number, (120, 120)))) for number in range(40)]
    long = "n" * 3000
    findings = tuple(
        Finding("exact", tuple(Pictured(noise[(i + j) % 40], long, long, "train") for j in range(50)), long)
        for i in range(3000)
    )
    checks = tuple(Check(name, name, "", "", findings, 3000) for name in ("exact", "near", "labels"))
    audit = Audit("data", 1, {f"class{i}": {"train": 1} for i in range(5000)}, checks, None, "", 1.0)
    page = render(audit, shown=3000)
    assert len(page.encode()) < 5_000_000
    assert "and 44 more" in page
    Page(page)


def test_what_is_not_shown_is_counted(sides, tmp_path):
    for number in range(5):
        copy(sides / "train" / "cat" / f"0{number}.png", sides / "val" / "cat" / f"leak{number}.png")
    headstart.audit(sides, features=False, out=tmp_path / "out", progress=False, max_shown=2)
    text = (tmp_path / "out" / "audit.html").read_text()
    assert text.count("<figure>") == 4
    assert "3 more are in the CSV files." in text
