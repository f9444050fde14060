"""What tests share: a store of their own, pictures made on the spot, and the real data where it is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as headstart does, also where a test imports Keras first

import cv2
import numpy as np
import pytest

from tests.browser import chromium

SHARED = Path(os.environ.get("HEADSTART_SHARED", Path(__file__).parents[1].parent / "shared"))

LONGEST = (
    *("training/test_strategies.py", "cluster/test_losses.py", "cluster/test_ray.py", "test_train.py"),
    *("distributed/test_launch_training.py", "objects/test_cluster.py"),
    *("training/test_laws_of_training.py", "cli/test_commands.py", "test_kill.py", "test_without_tensorflow.py"),
    *("boards/test_board.py", "feature_files/test_export.py", "exporting/test_export.py", "test_every_source.py"),
    *("models/test_cut_laws.py", "test_trust.py", "test_resume.py", "training/test_fit.py", "models/test_nano.py"),
    *("training/test_standardising.py", "cli/test_compare.py", "test_folds.py", "test_real_data.py"),
)
"""Files of tests by the time that they take, from the longest on; the others are quick."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, begin with the longest files: no process is left with one of them when the others are done."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.fixture(autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store for every test."""
    root = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("HEADSTART_STORE", str(root))
    return root


def make_picture(seed: int, size: tuple[int, int] = (40, 40), hue: int = 0) -> np.ndarray:
    """A smooth picture, uint8 RGB; `hue` is the channel that is bright, so classes can be told apart."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 80, (5, 5, 3), np.uint8)
    coarse[:, :, hue % 3] += 150
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Write RGB pixels in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[:, :, ::-1])
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of class folders: `pictures(red=10, green=10)`, or below another folder with `at="data/val"`."""

    def make(at: str = "data", first: int = 0, **counts: int) -> Path:
        folder = tmp_path / at
        for hue, (name, count) in enumerate(counts.items()):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(first, first + count):
                write_picture(folder / name / f"{number:03d}.png", make_picture(1000 * hue + number, hue=hue))
        return folder

    return make


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a module."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and weights; tests that need it are skipped where it is missing."""
    if not (SHARED / "data" / "flowers").is_dir():
        pytest.skip(f"no real pictures in {SHARED} (set HEADSTART_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def imagenet_home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KERAS_HOME with the real weights; a copy, because Keras writes its settings beside them."""
    home = tmp_path_factory.mktemp("keras")
    shutil.copytree(shared / "keras" / "models", home / "models", copy_function=shutil.copyfile)
    os.chmod(home / "models", 0o755)
    return home


@pytest.fixture
def with_real_weights(imagenet_home: Path) -> Callable[..., str]:
    """Run a headstart command where the real weights are; gives what it prints.

    In a process of its own: Keras looks for KERAS_HOME once, when it is imported.
    """

    def run(*arguments: object) -> str:
        command = [str(Path(sys.executable).parent / "headstart"), *map(str, arguments)]
        environment = {**os.environ, "KERAS_HOME": str(imagenet_home)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def real_head(shared: Path, with_real_weights: Callable[..., str], tmp_path: Path) -> Callable[[str], Path]:
    """Train a head of MobileNet 0.25 on `flowers` or `cats_dogs`; gives the RUN."""

    def train(name: str) -> Path:
        data, run = shared / "data" / name, tmp_path / f"{name}-run"
        with_real_weights("train", data, "--backbone", "mobilenet_0.25", "--strategy", "head", "--out", run)
        return run

    return train
