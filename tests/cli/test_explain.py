"""headstart explain: what it writes, what it prints, what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import headstart
from headstart.cli.main import cli
from headstart.explaining.own_pictures import own_pictures
from headstart.run_files import write_csv, write_json
from tests.conftest import write_picture
from tests.explaining.conftest import averaged, build, pixels, write_run


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A RUN of two classes."""
    return write_run(tmp_path_factory.mktemp("made") / "run", build(averaged), "classifier")


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A folder with that RUN and the pictures it was checked on, which is the working folder."""
    shutil.copytree(made.path, tmp_path / "run")
    rows = []
    for number, picture in enumerate(pixels(6)):
        name = f"class {number % 2}/{number}.png"
        write_picture(tmp_path / "data" / name, picture)
        rows.append((name, f"class {number % 2}", "val" if number > 1 else "train"))
    write_csv(tmp_path / "run" / "splits.csv", ("path", "label", "side"), rows)
    recipe = {"data": str(tmp_path / "data"), "backbone": "small"}
    write_json(tmp_path / "run" / "bundle.json", made.about | {"recipe": recipe})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("method", ["grad-cam", "eigen-cam", "occlusion"])
def test_one_picture_becomes_one_png(here, method):
    picture = "data/class 0/2.png"
    result = run("explain", "run", picture, "--method", method)
    assert result.exit_code == 0, result.output
    assert size_of(here / "2.explained.png")[0] == 832
    predicted = headstart.load("run").predict(picture)[0]
    assert f"{picture}: {predicted.label} {predicted.probability:.4f}, " in result.output
    assert "Written to 2.explained.png." in result.output


def test_json_is_one_object_that_says_all_of_it(here):
    result = run(
        "explain", "run", "data", "--method", "occlusion", "--class", "class 1", "--out", "sheet.png", "--json"
    )
    content = json.loads(result.stdout)
    assert {key: content[key] for key in ("run", "method", "layer", "quarantined")} == {
        "run": "run",
        "method": "occlusion",
        "layer": "the last feature map",
        "quarantined": [],
    }
    assert len(content["pictures"]) == 6
    for row in content["pictures"]:
        assert row["label"] == "class 1"
        assert row["out"] == "sheet.png"
        assert 0 <= row["area_of_half"] <= 0.5 + 1 / 16
        assert sum(entry["probability"] for entry in row["top"]) == pytest.approx(1, abs=1e-5)
    assert size_of(here / "sheet.png")[0] > 832


def test_a_folder_gets_one_png_for_each_picture_also_for_two_of_one_name(here):
    write_picture(here / "data" / "class 1" / "0.png", pixels(8)[7])
    result = run("explain", "run", "data", "--method", "occlusion", "--out", "drawn")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (here / "drawn").iterdir())
    assert names == sorted([f"{number}.explained.png" for number in range(6)] + ["0-2.explained.png"])


def test_broken_pictures_are_left_out_and_named(here):
    (here / "data" / "class 0" / "broken.jpg").write_bytes(b"nothing")
    result = run("explain", "run", "data", "--method", "occlusion")
    assert result.exit_code == 0
    assert "left out data/class 0/broken.jpg: not a picture in a known format" in result.output
    alone = run("explain", "run", "data/class 0/broken.jpg", "--method", "occlusion")
    assert alone.exit_code == 2
    assert not (here / "broken.explained.png").exists()


def test_depth_and_filters_are_drawn_from_its_own_pictures_or_others(here):
    depth = run("explain", "run", "data/class 0/0.png", "--depth", "--out", "depth.png", "--json")
    assert [layer["layer"] for layer in json.loads(depth.stdout)["pictures"][0]["layers"]] == [
        "conv_0",
        "conv_1",
        "conv_2",
    ]
    own = json.loads(run("explain", "run", "--filters", "--json").stdout)
    assert (own["pictures"], own["layer"], own["receptive_field"], own["out"]) == (4, "conv_2", 15, "filters.png")
    given = run("explain", "run", "data", "--filters", "--layer", "conv_0", "--out", "given.png")
    assert given.exit_code == 0, given.output
    assert "conv_0 over 6 pictures. Written to given.png." in given.output
    for name in ("depth.png", "filters.png", "given.png"):
        assert size_of(here / name)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run",), "Missing argument 'PICTURES...'."),
        (("run", "nowhere.jpg"), "no such file or folder: nowhere.jpg"),
        (("run", "data", "--class", "clas 1"), "run knows no class 'clas 1'; did you mean class 1 or class 0?"),
        (
            ("run", "data", "--layer", "conv_9", "--method", "eigen-cam"),
            "layer 'conv_9': small has no 'conv_9'; did you",
        ),
        (
            ("run", "data", "--layer", "pooled"),
            "layer 'pooled': pooled gives 12, which is no map; the last map is conv_2's.",
        ),
        (
            ("run", "data", "--layer", "2", "--method", "occlusion"),
            "layer '2': occlusion looks at the last feature map alone",
        ),
        (("run", "data", "--out", "data/x.jpg"), "data/x.jpg is no name for a PNG; let --out end in .png."),
        (
            ("run", "data", "--out", "data/class 0/0.png"),
            "data/class 0/0.png exists and is not from headstart explain.",
        ),
        (("run", "data", "--depth"), "--depth shows one picture, and 6 were given."),
        (("run", "data", "--depth", "--filters"), "--depth does not go with --filters."),
        (
            ("run", "--filters", "--method", "occlusion", "--class", "x"),
            "--filters does not go with --method and --class.",
        ),
        (("data", "data"), "data is not a RUN: it has no bundle.json."),
    ],
)
def test_what_cannot_be_done_is_one_line(here, args, message):
    result = run("explain", *args)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr
    assert not list(here.glob("*.png"))


def test_more_pictures_than_a_sheet_takes_need_a_folder(here):
    for number, picture in enumerate(pixels(61)):
        write_picture(here / "many" / f"{number}.png", picture)
    result = run("explain", "run", "many")
    assert result.exit_code == 2
    assert "61 pictures are more than a sheet takes, 60. Give a folder as --out." in result.stderr


def test_own_pictures_that_are_gone_are_asked_for(here):
    opened = headstart.load("run")
    assert [Path(path).name for path in own_pictures(opened)] == ["2.png", "3.png", "4.png", "5.png"]
    (here / "data").rename(here / "moved")
    result = run("explain", "run", "--filters")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: the pictures of run are not where they were: ")
    assert result.stderr.endswith("Give pictures.\n")


def test_without_keras_occlusion_is_what_is_drawn(here):
    code = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Gone(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('keras', 'tensorflow', 'jax', 'torch', 'sklearn', 'scipy'):\n"
        "            raise ModuleNotFoundError(f'no {name}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "import headstart.loading as loading\n"
        "loading.find_spec = lambda name: None if name in ('keras', 'tensorflow') else real(name)\n"
        "from headstart.cli.main import cli; cli()"
    )

    def without(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "explain", here / "run", here / "data" / "class 0" / "0.png", *args]
        return subprocess.run([*map(str, command)], capture_output=True, text=True)

    done = without("--json", "--out", str(here / "out.png"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "occlusion"
    done = without("--method", "grad-cam")
    assert (done.returncode, done.stderr) == (
        2,
        "Error: Grad-CAM needs headstart[train]. Install it with: pip install 'headstart[train]'\n",
    )


def test_in_python_it_gives_pictures_heat_and_probabilities(here):
    found = headstart.explain("run", "data", method="eigen-cam", layer=1)
    assert [one.layer for one in found] == ["conv_0"] * 6
    one = found[0]
    assert (one.pixels.shape, one.heat.shape, one.overlay.shape) == ((32, 32, 3), (16, 16), (32, 32, 3))
    assert next(iter(one.probabilities)) == one.label
    assert one.probability == max(one.probabilities.values())
