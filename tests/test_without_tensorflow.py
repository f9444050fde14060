"""What trains nothing by gradients runs without TensorFlow, in a third of the time, and says the same."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart as hs
from headstart.features.extract import load_pictures
from headstart.loading import load_openvino
from headstart.models.backbones import backbones
from tests.models.test_backbones import side

COMMAND = (
    "import sys, json\n"
    "from headstart.cli.main import cli\n"
    "try: cli()\n"
    "except SystemExit as end: code = end.code\n"
    "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    "sys.exit(code)"
)
NANO = ("--backbone", "nano", "--image-size", "48", "--strategy", "head", "--json")
EARLY = ("--tap", "stem_2_relu")  # where it only matters on what a network runs, two convolutions are enough


def command(*arguments: object, **environment: str) -> tuple[str, set[str]]:
    """What a command prints in a new process, and the packages that it imports."""
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=variables | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, hs.Run, dict[str, Any], set[str]]:
    """The same training from Python, on TensorFlow, and from the command line."""
    from tests.conftest import make_picture, write_picture

    at = tmp_path_factory.mktemp("both")
    for hue, name in enumerate(("blue", "green", "red")):
        for number in range(16):
            write_picture(at / "data" / name / f"{number}.png", make_picture(hue * 1000 + number, hue=hue))
    os.environ["HEADSTART_STORE"] = str(at / "store")
    choices = {"backbone": "nano", "image_size": 48, "strategy": "head", "progress": False}
    run = hs.train(at / "data", out=at / "tensorflow", **choices)
    printed, modules = command(
        "train", at / "data", "--out", at / "openvino", *NANO, HEADSTART_STORE=str(at / "another store")
    )
    return at, run, json.loads(printed), modules


def test_a_head_is_solved_without_importing_tensorflow(both):
    *_, modules = both
    assert {"keras", "openvino"} <= modules
    assert not modules & {"tensorflow", "jax", "torch"}


def test_the_figures_are_those_of_a_training_on_tensorflow(both):
    _, run, metrics, _ = both
    assert metrics["extracted"] == 48
    assert metrics["accuracy"] == run.metrics["accuracy"]
    assert metrics["loss"] == pytest.approx(run.metrics["loss"], rel=1e-3)
    assert metrics["head"] == run.metrics["head"]


def test_the_saved_model_says_on_tensorflow_what_was_reported(both):
    at, _, metrics, _ = both
    run = hs.load(at / "openvino")
    with open(at / "openvino" / "predictions.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    paths = [str(at / "data" / path) for path in rows]
    pixels = np.stack([content for _, content in load_pictures(paths, run.decode_recipe)])
    said = np.asarray(run.model.predict(pixels, verbose=0))
    reported = np.array([[float(row[name]) for name in run.classes] for row in rows.values()])
    assert said == pytest.approx(reported, abs=2e-3)
    assert run.evaluate(at / "data").figures.n == 48
    assert len(rows) == metrics["n"]


def test_the_features_of_one_serve_the_other(both, tmp_path):
    at, *_ = both
    printed, modules = command(
        "train", at / "data", "--out", tmp_path / "run", *NANO, HEADSTART_STORE=str(at / "store")
    )
    assert (json.loads(printed)["extracted"], json.loads(printed)["reused"]) == (0, 48)
    assert "tensorflow" not in modules


@pytest.mark.parametrize(
    "options",
    [
        ("--head", "dense:8", "--epochs", "1", "--augment", "none"),
        pytest.param(("--weights", "none"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_needs_gradients_or_chance_runs_on_tensorflow(both, tmp_path, options):
    at, *_ = both
    _, modules = command("train", at / "data", "--out", tmp_path / "run", *NANO, *EARLY, *options)
    assert "tensorflow" in modules


def test_a_backend_that_somebody_chose_is_left_alone(both, tmp_path):
    at, *_ = both
    _, modules = command("train", at / "data", "--out", tmp_path / "run", *NANO, *EARLY, KERAS_BACKEND="tensorflow")
    assert "tensorflow" in modules


def test_layers_are_listed_without_tensorflow():
    printed, modules = command("layers", "nano", "--unfreeze", "last:3")
    assert "nano" in printed
    assert "tensorflow" not in modules


def test_training_by_gradients_on_openvino_is_refused_in_one_line(both, tmp_path):
    at, *_ = both
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COMMAND,
            "train",
            str(at / "data"),
            "--out",
            str(tmp_path / "run"),
            "--backbone",
            "nano",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "openvino"},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "Error: Keras cannot train on OpenVINO, only solve a head; unset KERAS_BACKEND."
    )


FEATURES = """
import sys
from headstart.loading import load_keras
load_keras("a test", trains=sys.argv[1] == "tensorflow")
import keras, numpy as np
from pathlib import Path
from headstart.features.convert import export_openvino
from headstart.features.runtime import KerasRuntime, OpenVINORuntime
from headstart.models.backbones import find_backbone
backbone, side, folder = find_backbone(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
assert keras.config.backend() == sys.argv[1]
keras.utils.set_random_seed(0)
network = backbone.build(side)
pixels = keras.Input((side, side, 3))
model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(network(backbone.preprocess(pixels))))
random = np.random.default_rng(1)
for weight in model.weights:  # a normalisation that was never trained would do nothing
    if weight.path.endswith(("/moving_variance", "/gamma")):
        weight.assign(random.uniform(0.8, 1.2, weight.shape))
weights = folder + "/x.weights.h5"
model.save_weights(weights) if sys.argv[1] == "tensorflow" else model.load_weights(weights)
pictures = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
np.save(folder + f"/{sys.argv[1]}.npy", KerasRuntime(model, 2, few=True)(pictures)[0])
if sys.argv[1] == "openvino":
    file = Path(folder, "model.xml")
    export_openvino(model, file)
    np.save(folder + "/converted.npy", OpenVINORuntime(file, pixels=True)(pictures)[0])
"""

FAST = ("nano",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in sorted(backbones())]
)
def test_keras_on_openvino_and_what_becomes_of_it_compute_what_tensorflow_does(name, tmp_path):
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    for backend in ("tensorflow", "openvino"):
        arguments = [backend, name, str(side(name)), str(tmp_path)]
        subprocess.run([sys.executable, "-c", FEATURES, *arguments], check=True, env=variables, capture_output=True)
    expected, *found = (np.load(tmp_path / f"{way}.npy") for way in ("tensorflow", "openvino", "converted"))
    for one in found:
        assert np.abs(one - expected).max() / np.abs(expected).max() < 1e-3
    graph = load_openvino().Core().read_model(tmp_path / "model.xml")
    if not name.startswith(("convnext", "nasnet")):  # which normalise, or crop, with channels last
        turned = [node for node in graph.get_ops() if node.get_type_name() == "Transpose" and is_map(node)]
        assert len(turned) <= 1


def is_map(node: Any) -> bool:
    """Whether an operation gives maps, channels first, of more than one place."""
    return max(node.get_output_partial_shape(0).get_max_shape()[-2:]) > 1


def test_bad_data_is_refused_before_keras_is_imported(tmp_path):
    arguments = ["train", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "none" in done.stderr.splitlines()[0]
    assert "keras" not in json.loads(done.stderr.splitlines()[-1])


def test_a_bad_recipe_is_refused_in_one_line_also_before_keras_is_imported(tmp_path):
    (tmp_path / "data").mkdir()
    arguments = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--label-pattern", "no label in it"]
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "label" in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_what_keras_was_imported_without_can_be_imported_afterwards():
    code = (
        "import sys\n"
        "from headstart.loading import load_keras\n"
        "load_keras('a test', trains=False)\n"
        "print('pandas' in sys.modules, 'sklearn' in sys.modules)\n"
        "import scipy.signal, sklearn\n"
        "print(scipy.signal.get_window('boxcar', 2), sklearn.__name__)"
    )
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
    assert done.stdout.splitlines() == ["False False", "[1. 1.] sklearn"], done.stderr
