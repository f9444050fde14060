"""The notebooks as recipes: each says what it is, and what it says is so."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.cli.train import train as command
from headstart.models.backbones import backbones
from headstart.recipe import Recipe, parse_share

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("notebook_*.py"))
BEGIN_WITH = {
    "notebook_002_scenario_1": "notebook_002_experiment_1",
    "notebook_002_scenario_2": "notebook_002_experiment_2",
}
"""The examples that go on from the run of another one."""


@pytest.fixture(autouse=True)
def imports(monkeypatch):
    """Examples import what lies beside them, as they do when they are run."""
    monkeypatch.syspath_prepend(str(FOLDER))


def content(example: Path) -> dict:
    return runpy.run_path(str(example))


def commands(text: str, program: str) -> list[list[str]]:
    """The indented commands in a docstring, a backslash joining lines, as words."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.startswith(f"    {program} ")]


def recipe_of(words: list[str]) -> Recipe:
    """What a command line of `headstart train` comes to."""
    given = command.make_context("train", words).params
    for name in ("resume", "ensemble", "folds", "engine", "address", "workers", "as_json"):
        del given[name]
    given["val"] = parse_share(given["val"])
    return Recipe(**given)


def named(examples: list[Path]):
    return pytest.mark.parametrize("example", examples, ids=lambda path: path.stem)


def test_all_four_notebooks_are_there():
    assert len(EXAMPLES) == 10
    assert {path.stem.split("_")[1] for path in EXAMPLES} == {"000", "001", "002", "004"}
    assert {path.name for path in FOLDER.glob("*.py")} - {path.name for path in EXAMPLES} == {"choices.py"}


@named(EXAMPLES)
def test_the_recipe_can_be_carried_out(example):
    Recipe("DATA", "RUN", **content(example)["RECIPE"]).check(backbones())


@named(EXAMPLES)
def test_the_command_that_is_stated_is_the_recipe(example):
    found = content(example)
    ((_, _, *words),) = commands(found["__doc__"], "headstart train")
    assert recipe_of(words) == Recipe("DATA", "RUN", **found["RECIPE"])


def test_what_is_given_on_the_command_line_goes_before_the_recipe(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["example", "photos", "run", "--image-size", "64", "--from", "earlier"])
    found = content(FOLDER / "choices.py")["choices"]("", {"image_size": 224, "epochs": 3})
    assert found == {"data": "photos", "out": "run", "image_size": 64, "epochs": 3, "from_run": "earlier"}


@pytest.fixture(scope="module")
def place(shared, imagenet_home, tmp_path_factory) -> dict[str, str]:
    """What the words in capitals stand for in the measured commands, and the environment they run in."""
    import keras

    folder = tmp_path_factory.mktemp("examples")
    partial = shared / "keras" / "partial" / "mobilenet_1_0_224_tf_no_top_to_conv_pw_12.h5"
    without_top = imagenet_home / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    if not partial.exists() or not without_top.exists():
        pytest.skip(f"no real weights in {shared / 'keras'}")
    flowers = ["dandelion", "roses", "sunflowers", "tulips"]
    old = [f"class {number}" for number in range(985)] + ["daisy"] + [f"class {number}" for number in range(986, 1000)]
    (folder / "labels.txt").write_text("\n".join([*old, *flowers]))
    whole = keras.applications.MobileNet(alpha=0.25, weights=None)
    whole.load_weights(without_top, by_name=True, skip_mismatch=True)
    whole.save_weights(folder / "with_top.weights.h5")
    return {
        "folder": str(folder),
        "KERAS_HOME": str(imagenet_home),
        "FLOWERS": str(shared / "data" / "flowers"),
        "CATS_DOGS": str(shared / "data" / "cats_dogs"),
        "PARTIAL": str(partial),
        "WITHOUT_TOP": str(without_top),
        "WITH_TOP": str(folder / "with_top.weights.h5"),
        "LABELS": str(folder / "labels.txt"),
    }


def run_as_measured(name: str, place: dict[str, str]) -> float:
    """Run an example as its docstring says it was measured, once; gives the accuracy."""
    said = Path(place["folder"]) / f"{name}.txt"
    if not said.exists():
        ((_, script, *words),) = commands(content(FOLDER / f"{name}.py")["__doc__"], "python")
        runs = {"RUN": name} | {f"EXPERIMENT_{n}": f"notebook_002_experiment_{n}" for n in "12"}
        arguments = [(runs | place).get(word, word) for word in words]
        environment = {**os.environ, "HEADSTART_STORE": f"{place['folder']}/store", "KERAS_HOME": place["KERAS_HOME"]}
        line = [sys.executable, str(FOLDER.parent / script), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, cwd=place["folder"], env=environment, timeout=900)
        assert done.returncode == 0, done.stderr
        said.write_text(done.stdout)
    return float(said.read_text().split()[-1])


@pytest.mark.slow
@named(EXAMPLES)
def test_the_accuracy_is_in_the_range_that_is_stated(example, place):
    if example.stem in BEGIN_WITH:
        run_as_measured(BEGIN_WITH[example.stem], place)
    said = " ".join(content(example)["__doc__"].split())
    low, high = map(float, re.search(r"expected is (0\.\d+) to (0\.\d+)\.", said).groups())
    assert low <= run_as_measured(example.stem, place) <= high


@pytest.mark.slow
@named([path for path in EXAMPLES if path.stem not in (*BEGIN_WITH, "notebook_004_extended_labels")])
def test_it_runs_with_random_weights_on_small_pictures(example, pictures, tmp_path, monkeypatch):
    import headstart

    monkeypatch.chdir(tmp_path)
    small = {"weights": "none", "image_size": 96, "epochs": 1, "progress": False}
    run = headstart.train(pictures(blue=12, red=12), out=tmp_path / "run", **content(example)["RECIPE"] | small)
    assert run.metrics["classes"] == ["blue", "red"]
