"""The recipe of nano, run as a person runs it, on a handful of made-up pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from headstart.models.nano import WEIGHTS
from tests.conftest import make_picture, write_picture

TOOLS = Path(__file__).parents[1] / "tools" / "pretrain"
CLASSES = ("n01", "n02", "n03")


def step(name: str, *arguments: object) -> str:
    command = [sys.executable, str(TOOLS / f"{name}.py"), *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """What the first two steps leave, for 16 pictures of each class."""
    folder = tmp_path_factory.mktemp("pretrain")
    tiny = folder / "tiny"
    annotations = []
    for hue, name in enumerate(CLASSES):
        for number in range(16):
            pixels = make_picture(hue * 100 + number, (64, 64), hue)
            write_picture(tiny / "train" / name / "images" / f"{name}_{number}.JPEG", pixels)
        write_picture(tiny / "val" / "images" / f"val_{hue}.JPEG", make_picture(900 + hue, (64, 64), hue))
        annotations.append(f"val_{hue}.JPEG\t{name}\t0\t0\t63\t63\n")
    (tiny / "wnids.txt").write_text("\n".join(CLASSES))
    (tiny / "val" / "val_annotations.txt").write_text("".join(annotations))
    assert "train: 48 pictures of 3 classes" in step("pictures", tiny, "--out", folder / "work")
    step("teacher", folder / "work", "--weights", "none", "--views", "2")
    return folder / "work"


@pytest.mark.slow
def test_the_teacher_gives_standardised_features_and_cells_for_each_view(work):
    for view in (0, 1):
        pooled, maps = np.load(work / f"pooled_{view}.npy"), np.load(work / f"maps_{view}.npy")
        assert pooled.shape == (48, 1024)
        assert maps.shape == (48, 4, 4, 128)
        assert pooled.dtype == maps.dtype == np.float16
    assert np.abs(np.load(work / "pooled_0.npy").mean(0)).max() < 0.05
    assert not np.array_equal(np.load(work / "maps_0.npy"), np.load(work / "maps_1.npy"))


@pytest.mark.slow
def test_training_goes_on_from_its_last_epoch_and_leaves_weights_for_the_package(work):
    step("train", work, "--out", "nano", "--epochs", "2", "--batch", "16")
    step("train", work, "--out", "nano", "--epochs", "3", "--batch", "16")
    lines = (work / "nano" / "history.jsonl").read_text().splitlines()
    assert [f'"epoch": {number}' in line for number, line in enumerate(lines, start=1)] == [True] * 3
    written, packaged = load_file(work / "nano" / "nano.safetensors"), load_file(WEIGHTS)
    assert {name: array.shape for name, array in written.items()} == {n: a.shape for n, a in packaged.items()}
