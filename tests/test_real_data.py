"""Real pictures and real ImageNet weights, where they are: what issue after issue is measured by."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.images.decode import DecodeRecipe, decode
from tests.conftest import make_picture, write_picture

LINEAR = ("--backbone", "mobilenet_0.25", "--strategy", "head", "--head", "linear")


@pytest.fixture(scope="module")
def workplace(imagenet_home, tmp_path_factory) -> Path:
    """A folder for runs and their store."""
    return tmp_path_factory.mktemp("real")


def headstart(workplace: Path, imagenet_home: Path, *arguments: object) -> dict:
    command = [str(Path(sys.executable).parent / "headstart"), *map(str, arguments), "--json"]
    environment = {**os.environ, "HEADSTART_STORE": str(workplace / "store"), "KERAS_HOME": str(imagenet_home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def flowers(shared, imagenet_home, workplace) -> tuple[Path, dict]:
    """A linear head on flowers."""
    data, run = shared / "data" / "flowers", workplace / "flowers"
    return run, headstart(
        workplace,
        imagenet_home,
        "train",
        data,
        "--backbone",
        "mobilenet_0.25",
        "--strategy",
        "head",
        "--head",
        "linear",
        "--out",
        run,
    )


def test_flowers_reach_what_a_tuned_linear_probe_gives(flowers):
    _, metrics = flowers
    assert metrics["accuracy"] >= 0.865
    assert metrics["n"] == 550
    assert metrics["pictures"] == 3119
    assert metrics["quarantined"] == 0


def test_cats_and_dogs_reach_what_is_asked(shared, imagenet_home, workplace):
    data, run = shared / "data" / "cats_dogs", workplace / "cats_dogs"
    metrics = headstart(workplace, imagenet_home, "train", data, *LINEAR, "--out", run)
    assert metrics["accuracy"] >= 0.93
    assert metrics["n"] == 300


def test_a_new_process_evaluates_to_the_same_accuracy(flowers, shared, imagenet_home, workplace):
    run, metrics = flowers
    found = headstart(workplace, imagenet_home, "evaluate", run, shared / "data" / "flowers" / "val")
    assert abs(found["accuracy"] - metrics["accuracy"]) <= 1 / 550


def test_keras_alone_gives_the_probabilities_of_predictions_csv(flowers, shared):
    import keras

    run, metrics = flowers
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    recipe = DecodeRecipe(224, 224)
    pixels = np.stack([decode((shared / "data" / "flowers" / row["path"]).read_bytes(), recipe) for row in rows])
    found = keras.saving.load_model(run / "model.keras", safe_mode=True).predict(pixels, verbose=0)
    reported = np.array([[float(row[name]) for name in metrics["classes"]] for row in rows])
    assert np.abs(found - reported).max() <= 2e-3


def test_the_same_again_extracts_nothing_and_ten_more_pictures_ten(flowers, shared, imagenet_home, workplace):
    _, metrics = flowers
    data = workplace / "data"
    shutil.copytree(shared / "data" / "flowers", data, copy_function=shutil.copyfile)
    options = (*LINEAR, "--out")
    again = headstart(workplace, imagenet_home, "train", data, *options, workplace / "again")
    assert (again["extracted"], again["accuracy"]) == (0, metrics["accuracy"])
    os.chmod(data / "train" / "daisy", 0o755)
    for number in range(10):
        write_picture(data / "train" / "daisy" / f"new{number}.png", make_picture(number))
    more = headstart(workplace, imagenet_home, "train", data, *options, workplace / "more")
    assert more["extracted"] == 10


@pytest.mark.parametrize(("name", "least"), [("cats_dogs", 0.97), ("flowers", 0.92)])
@pytest.mark.slow
def test_a_network_without_its_last_block_is_tapped_where_its_weights_end(
    shared, imagenet_home, workplace, name, least
):
    weights = shared / "keras" / "partial" / "mobilenet_1_0_224_tf_no_top_to_conv_pw_12.h5"
    choices = ("--backbone", "mobilenet", "--weights", weights, "--tap", "conv_pw_12_relu", "--strategy", "head")
    out = workplace / f"tapped-{name}"
    metrics = headstart(workplace, imagenet_home, "train", shared / "data" / name, *choices, "--out", out)
    assert metrics["accuracy"] >= least


@pytest.mark.slow
def test_over_five_seeds_fine_tuning_never_leaves_flowers_worse_than_the_head(shared, imagenet_home, workplace):
    heads, kept = [], []
    for seed in range(5):
        choices = ("--backbone", "mobilenet_0.25", "--strategy", "auto", "--test", "0.2", "--seed", seed)
        out = workplace / f"auto-{seed}"
        metrics = headstart(workplace, imagenet_home, "train", shared / "data" / "flowers", *choices, "--out", out)
        head = metrics["stages"]["head"]
        assert metrics["accuracy"] >= max(0.885, head["val"]["accuracy"])
        heads.append(head["test"]["accuracy"])
        kept.append(metrics["test"]["accuracy"])
    assert np.mean(kept) >= np.mean(heads)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("cats_dogs", 0.82), ("flowers", 0.75)])
def test_the_backbone_in_the_box_is_worth_having(shared, imagenet_home, workplace, name, least):
    out = workplace / f"nano_{name}"
    nano = ("--backbone", "nano", "--strategy", "head", "--head", "linear")
    metrics = headstart(workplace, imagenet_home, "train", shared / "data" / name, *nano, "--out", out)
    assert metrics["accuracy"] >= least
