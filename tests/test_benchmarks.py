"""The benchmarks can be run, and what they compute with is right; what they measure is nobody's law."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.images.decode import DecodeRecipe, decode
from headstart.images.digest import picture_digest
from tests.conftest import make_picture, write_picture

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if "__main__" in path.read_text())
HEAVY = ["keras", "tensorflow", "openvino", "torch", "jax", "sklearn", "scipy"]

# Asks every script for help in one process, and then what has been imported for that.
ASK = """
import contextlib, io, json, runpy, sys
folder, names, heavy = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
sys.path.insert(0, folder)
found = {}
for name in names:
    sys.argv, text = [name, "--help"], io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        runpy.run_path(f"{folder}/{name}", run_name="__main__")
    found[name] = [text.getvalue(), [module for module in heavy if module in sys.modules]]
print(json.dumps(found))
"""


@pytest.fixture
def load(monkeypatch):
    """Import one of the benchmarks' modules, which see each other as neighbours."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_every_script_says_what_it_does_without_importing_what_is_heavy():
    command = [sys.executable, "-c", ASK, str(FOLDER), ",".join(SCRIPTS), ",".join(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, (text, imported) in json.loads(done.stdout).items():
        assert text.startswith(f"usage: {name}"), name
        assert imported == [], name


def test_the_makefile_and_the_document_know_what_is_measured(load):
    document = (ROOT / "docs" / "performance.md").read_text()
    for options in load("all").PARTS.values():
        for given in options:
            assert given[0] in SCRIPTS
            assert given[0] in document
    assert "benchmarks/all.py" in (ROOT / "Makefile").read_text()


def test_options_that_the_whole_gives_its_parts_exist(load):
    command = [sys.executable, "-c", ASK, str(FOLDER), ",".join(SCRIPTS), ",".join(HEAVY)]
    helps = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for options in load("all").PARTS.values():
        for file, *given in options:
            for option in given:
                if option.startswith("--"):
                    assert f"[{option}" in helps[file][0], (file, option)


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians(load):
    report = load("report")
    found = report.ratio([10, 40, 9], [5, 10, 9])
    assert (found.median, found.smallest, found.largest, found.rounds) == (2, 1, 4, 3)
    with pytest.raises(ValueError, match="zip"):
        report.ratio([1, 2], [1])


def test_what_is_compared_is_printed_and_written(load, tmp_path, capsys):
    report = load("report")
    made = report.Report("example", machine="a machine")
    made.compare("speed of this", "that", [3.0, 4.0], [2.0, 2.0])
    made.text.append("An example.")
    made.publish(str(tmp_path / "deep" / "out.json"))
    assert capsys.readouterr().out == "An example.\n\na machine.\n"
    written = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert report.comparisons_table(written["comparisons"]).splitlines() == [
        "| what | reference | ratio | median of | spread |",
        "| --- | --- | --- | --- | --- |",
        "| speed of this | that | 1.75 | 2 | 1.50 to 2.00 |",
    ]


def test_a_line_goes_through_points_on_a_line(load):
    line = load("scaling").fitted_line([0, 1000, 3000], [5.0, 7.0, 11.0])
    assert line.slope == pytest.approx(0.002)
    assert line.intercept == pytest.approx(5)
    assert line.r_squared == pytest.approx(1)
    assert line.residuals == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_line_is_that_of_least_squares(load):
    xs, ys = [1, 2, 3, 4], [2.0, 1.0, 4.0, 3.0]
    line = load("scaling").fitted_line(xs, ys)
    slope, intercept = np.polyfit(xs, ys, 1)
    assert [line.slope, line.intercept] == pytest.approx([slope, intercept])
    assert line.r_squared == pytest.approx(np.corrcoef(xs, ys)[0, 1] ** 2)
    assert line.residuals == pytest.approx(np.array(ys) - slope * np.array(xs) - intercept)


def test_another_comment_makes_another_file_of_the_same_picture(load, tmp_path):
    pictures = load("pictures")
    data = write_picture(tmp_path / "cats" / "a.jpg", make_picture(1)).read_bytes()
    copies = [pictures.with_comment(data, f"number {number}") for number in range(3)]
    assert len({picture_digest(copy) for copy in [data, *copies]}) == 4
    for copy in copies:
        assert np.array_equal(decode(copy, DecodeRecipe(40, 40)), decode(data, DecodeRecipe(40, 40)))


def test_folders_grow_to_as_many_pictures_as_wanted_no_two_alike(load, tmp_path):
    pictures = load("pictures")
    for name in ("cats", "dogs"):
        for number in range(2):
            write_picture(tmp_path / "data" / name / f"{number}.jpg", make_picture(number))
    write_picture(tmp_path / "data" / "cats" / "other.png", make_picture(5))
    sources = pictures.jpegs(tmp_path / "data")
    assert len(sources) == 4
    pictures.grow(tmp_path / "grown", sources, 0, 5)
    pictures.grow(tmp_path / "grown", sources, 5, 12)
    grown = sorted((tmp_path / "grown").rglob("*.jpg"))
    assert len({picture_digest(path.read_bytes()) for path in grown}) == len(grown) == 12
    assert [sum(path.parent.name == name for path in grown) for name in ("cats", "dogs")] == [6, 6]


def test_a_part_of_a_folder_has_its_sides_and_classes(load, tmp_path):
    pictures = load("pictures")
    for side, count in (("train", 20), ("val", 4)):
        for name in ("cats", "dogs"):
            for number in range(count):
                write_picture(tmp_path / "data" / side / name / f"{number:02d}.jpg", make_picture(number))
    some = pictures.some_of(tmp_path / "data", 24, tmp_path / "some")
    counts = {str(folder.relative_to(some)): len(list(folder.iterdir())) for folder in some.glob("*/*")}
    assert counts == {"train/cats": 10, "train/dogs": 10, "val/cats": 2, "val/dogs": 2}


def test_everybody_is_the_first_in_some_turn(load):
    machine, seen = load("machine"), []
    contestants = {name: lambda name=name: seen.append(name) for name in "abc"}
    for turn in range(3):
        assert list(machine.in_turn(contestants, turn)) == ["a", "b", "c"]
    assert "".join(seen) == "abcbcacab"


def test_a_process_is_measured_by_itself(load):
    machine = load("machine")
    found = machine.spent([sys.executable, "-c", "data = bytearray(200 << 20); print('done')"])
    assert found.output == "done\n"
    assert found.megabytes > 200
    assert found.seconds > 0
    assert found.beat > 0
    with pytest.raises(RuntimeError, match=r"ended with 3: what is wrong$"):
        machine.spent([sys.executable, "-c", "import sys; print('what is wrong', file=sys.stderr); sys.exit(3)"])


def test_a_plot_has_round_numbers_on_its_axes_and_units_beside_them(load):
    plot = load("plot")
    assert plot.ticks(30000) == [0, 10000, 20000, 30000]
    assert plot.ticks(0.7) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    series = [plot.Series("a & b", [(1.0, 2.0), (3.0, 4.0)], (1.0, 1.0))]
    text = plot.drawn([plot.Panel("title", "pictures", "time (s)", series)])
    assert re.findall(r">([^<\n]+)</text>", text)[-3:] == ["pictures", "time (s)", "a &amp; b"]
    assert text.count("<circle") == 3
