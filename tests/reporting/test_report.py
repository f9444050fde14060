"""The page: everything is there, names are shown and never obeyed, nobody is asked for anything, nothing is lost."""

import json
import logging
import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

import headstart
from headstart.cli.main import cli
from headstart.errors import DataError, RunError
from headstart.reporting import report as reporting
from headstart.reporting.report import MOST_BYTES, render, report_training
from tests.reporting.conftest import drawn, fill
from tests.reporting.reading import Page

HOSTILE = (
    "<script>alert(1)<_script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "=HYPERLINK(1).png",
    "a\nb.png",
    "\u202egnp.exe",
    "\x1b[2Jwiped.png",
    "{{ 7 * 7 }}.png",
    "'; drop.png",
)


def dialogs(text: str) -> dict[str, str]:
    return dict(re.findall(r'<dialog id="([^"]+)"(.*?)</dialog>', text, re.DOTALL))


def test_hostile_names_are_shown_on_the_page_and_never_obeyed(make):
    made = make("<b>=cat\u202e", "dog", "</style><script>alert(2)</script>")
    fill(made, train=1, val=1)
    for seed, name in enumerate(HOSTILE):
        made.picture(f"val/dog/{name}", "val", "dog", 700 + seed, drawn(seed, 3, 0, 9.0))
    run = made.write(quarantined=[("<i>bad</i>.png", "damaged <script>"), ("=x\n.png", "empty")])
    text = render(run)
    page = Page(text)
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "img" not in page.tags
    for shown in (
        "<script>alert(1)<_script>.png",
        "a\\nb.png",
        "\\u202egnp.exe",
        "\\x1b[2Jwiped.png",
        "{{ 7 * 7 }}.png",
    ):
        assert shown in page.text
    assert "val/dog/=HYPERLINK(1).png" in page.text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "not shown" not in page.text
    assert "gone" not in page.text


def test_a_name_on_top_of_the_tree_that_looks_like_a_formula_leads_to_its_picture(make):
    made = make("a", "b")
    fill(made, train=1, val=1)
    made.picture("=1+1.png", "val", "a", 5, [0.1, 0.9])
    page = Page(render(made.write()))
    assert "=1+1.png" in page.text
    assert "'=1+1.png" not in page.text
    assert "gone" not in page.text


def test_the_page_asks_nobody_for_anything(make):
    made = make("a", "b")
    fill(made, train=2, val=9, test=3)
    page = Page(render(made.write()))
    for name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith(("#", "data:image/jpeg;base64,"))
    assert "link" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    (policy,) = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-\S{44}'; script-src 'sha256-\S{44}'; base-uri 'none'; "
        r"form-action 'none'",
        policy,
    )
    assert not any(name == "style" for name, _ in page.attributes)
    targets = {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    assert targets <= set(page.ids)


def test_a_picture_is_embedded_once_wherever_it_is_shown(make):
    made = make("a", "b")
    fill(made, train=2, val=9)
    text = render(made.write())
    embedded = re.findall(r'<image href="([^"]+)"', text)
    assert len(set(embedded)) == len(embedded)
    assert len(re.findall(r"<use ", text)) > len(embedded)


def test_every_cell_lists_exactly_its_pictures(make):
    made = make("a", "b", "c")
    fill(made, train=2, val=20)
    found = dialogs(render(made.write()))
    cells: dict[str, list[str]] = {}
    for name, _, label, row in made.said:
        cell = f"cell-{made.classes.index(label)}-{row.index(max(row))}"
        cells.setdefault(cell, []).append(name)
    assert found.keys() == cells.keys()
    for cell, names in cells.items():
        assert sorted(re.findall(r'<span class="file"><bdi>([^<]+)', found[cell])) == sorted(names)


def test_pictures_that_are_gone_are_empty_frames_with_their_names_and_one_line_says_so(make, tmp_path):
    made = make("a", "b")
    fill(made, train=2, val=6)
    run = made.write()
    whole = Page(render(run))
    assert "are not where they were" not in whole.text
    (made.data / "val" / "a" / "000.png").unlink()
    (made.data / "val" / "b" / "000.png").write_text("no picture any more")
    page = Page(render(run))
    assert "2 pictures are not where they were in training." in " ".join(page.text.split())
    assert page.text.count("gone") >= 2
    assert page.text.count("val/a/000.png") == whole.text.count("val/a/000.png")
    shutil.move(made.data, tmp_path / "elsewhere")
    page = Page(render(run))
    assert "image" not in page.tags
    assert f"no such folder: {made.data}. headstart report RUN --data FOLDER draws them" in " ".join(page.text.split())
    assert "image" in Page(render(run, str(tmp_path / "elsewhere"))).tags
    with pytest.raises(DataError, match="no such folder"):
        render(run, str(tmp_path / "nowhere"))


def test_pictures_of_tables_and_zips_are_found_again(make, tmp_path):
    made = make("a", "b")
    fill(made, train=2, val=4)
    run = made.write()
    shutil.make_archive(str(tmp_path / "photos"), "zip", made.data)
    assert "gone" not in Page(render(run, str(tmp_path / "photos.zip"))).text
    table = made.data / "table.csv"
    table.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, _, label, _ in made.said))
    assert "gone" not in Page(render(run, str(table))).text


@pytest.mark.parametrize("classes", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_of_many_classes_the_page_shows_the_worst(make, classes):
    made = make(*(f"class {number:03d}" for number in range(classes)))
    names = iter(range(10**6))
    for label in range(classes):
        for each in range(2):
            row = [1e-4] * classes
            row[(label + (each if label < 60 else 0)) % classes] = 0.9
            made.row(f"{next(names)}.png", "val", f"class {label:03d}", f"{label}-{each}", row)
        made.row(f"{next(names)}.png", "train", f"class {label:03d}", f"{label}-t")
    text = render(made.write())
    assert len(text.encode()) < MOST_BYTES
    page = Page(text)
    assert (
        len(re.findall(r'<th scope="row" title="class \d+"><bdi>class \d+</bdi></th>\n<td( class="hit")?>', text)) == 25
    )
    assert f"The matrix has the 25 classes with most mistakes, of {classes:,}." in page.text
    assert "1 of 2: class 000 taken for class 001" in " ".join(page.text.split())
    assert f"{classes - 100:,} more are in metrics.json." in page.text


@pytest.mark.parametrize(("limit", "count"), [(250_000, 300), pytest.param(5_000_000, 3000, marks=pytest.mark.slow)])
def test_the_page_stays_below_its_limit_whatever_the_names(make, monkeypatch, limit, count):
    assert MOST_BYTES == 5_000_000
    monkeypatch.setattr(reporting, "MOST_BYTES", limit)
    made = make(*("&" * (180 if count > 1000 else 9) + f"{number}" for number in range(30 if count > 1000 else 3)))
    for number in range(count):
        label = number % len(made.classes)
        row = drawn(number, len(made.classes), label, 0.5)
        made.row(f"{number}" + "'" * 190, "val", made.classes[label], str(number), row)
    page = render(made.write())
    assert len(page.encode()) < limit
    assert "more in <code>predictions.csv</code>" in page
    Page(page)


def test_a_page_that_cannot_be_drawn_is_one_warning_and_no_lost_training(make, caplog, monkeypatch):
    made = make("a", "b")
    fill(made, train=1, val=2)
    made.write()
    (made.folder / "predictions.csv").write_text("broken")
    with caplog.at_level(logging.WARNING, "headstart"):
        report_training(made.folder, "my run")
    assert caplog.messages == [
        f"report.html was not drawn: {made.folder / 'predictions.csv'} is damaged or cannot be read. Train it again, "
        "or copy the whole folder once more. Try: headstart report 'my run'"
    ]
    caplog.clear()
    monkeypatch.setattr(reporting, "render", lambda *args: 1 / 0)
    report_training(made.folder, "my run")
    assert caplog.messages == ["report.html was not drawn: division by zero Try: headstart report 'my run'"]
    assert not (made.folder / "report.html").exists()


@pytest.mark.parametrize("name", ["splits.csv", "history.csv", "quarantine.csv", "metrics.json", "predictions.csv"])
def test_a_damaged_file_is_one_clear_error(make, name):
    made = make("a", "b")
    fill(made, train=1, val=2)
    run = made.write()
    (made.folder / name).write_text("path,label\n1,2,3\n")
    with pytest.raises(RunError) as caught:
        render(run)
    assert str(caught.value).startswith(f"{made.folder / name} is damaged or cannot be read.")


def test_the_command_writes_the_page_where_it_is_told_to_and_says_so(make, tmp_path):
    made = make("a", "b")
    fill(made, train=1, val=3)
    made.write()
    done = CliRunner().invoke(cli, ["report", str(made.folder)])
    assert done.output == f"Written to {made.folder / 'report.html'}: open it in a browser.\n"
    out = tmp_path / "new" / "page.html"
    done = CliRunner().invoke(cli, ["report", str(made.folder), "--out", str(out), "--json"])
    assert json.loads(done.stdout) == {"report": str(out), "bytes": out.stat().st_size, "run": str(made.folder)}
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert out.stat().st_mode & 0o777 == (made.folder / "metrics.json").stat().st_mode & 0o777


def test_the_command_needs_no_keras(make):
    made = make("a", "b")
    fill(made, train=1, val=3)
    made.write()
    code = f"import headstart; headstart.report({str(made.folder)!r}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"keras", "tensorflow", "sklearn", "scipy"}
    assert headstart.report.__doc__


def test_what_is_no_run_is_refused_in_one_line(tmp_path):
    done = CliRunner().invoke(cli, ["report", str(tmp_path / "no")])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: no such RUN: {tmp_path / 'no'}.")
    assert done.stderr.count("\n") == 1
