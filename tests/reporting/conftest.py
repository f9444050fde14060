"""RUNs that nobody trained: pictures, and tables that say what a model might have said of them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.bundle import Run
from headstart.images.digest import picture_digest
from headstart.run_files import columns, write_csv
from tests.auditing.conftest import patchwork
from tests.conftest import make_picture, write_picture

HISTORY = (
    ("stage", "tried", "cross_validated_loss", "epoch", "accuracy", "loss", "val_accuracy", "val_loss"),
    [
        *(("head", tried, loss, "", "", "", "", "") for tried, loss in ((0.1, 0.9), (1.0, 0.5), (10.0, 0.7))),
        *(("finetune", "", "", n, 0.6 + 0.1 * n, 1 / n, 0.5 + 0.05 * n, 1.2 / n) for n in (1, 2, 3)),
    ],
)
STAGES = {
    "head": {
        "val": {"accuracy": 0.5, "loss": 0.9, "n": 8},
        "seconds": 1.0,
        "cross_validated": {"linear": {"accuracy": 0.6, "loss": 0.8}},
    },
    "finetune": {"val": {"accuracy": 0.625, "loss": 0.7, "n": 8}, "seconds": 9.0},
}
GAIN = {"accuracy": 0.125, "low": -0.1, "high": 0.3, "gained": 2, "lost": 1}


class Made:
    """A RUN that was made up.

    Attributes:
        folder: the RUN.
        data: its pictures, in `train` and `val` folders.
        said: for each validation and test picture its name, side, true class and probabilities, as in the table.
    """

    def __init__(self, at: Path, classes: Sequence[str]):
        self.folder, self.data, self.classes = at / "run", at / "photos", list(classes)
        self.said: list[tuple[str, str, str, list[float]]] = []
        self._split: list[tuple[str, str, str, str]] = []
        self.folder.mkdir(parents=True)

    def picture(self, name: str, side: str, label: str, seed: int, row: Sequence[float] | None = None) -> None:
        """A picture, and what the model says of it."""
        path = write_picture(self.data / "some.png", patchwork(seed))
        target = self.data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        self.row(name, side, label, picture_digest(target.read_bytes()), row)

    def row(self, name: str, side: str, label: str, digest: str, row: Sequence[float] | None = None) -> None:
        """The rows of a picture in the tables."""
        self._split.append((name, label, side, digest))
        if row is not None:
            self.said.append((name, side, label, list(row)))

    def write(self, quarantined: Sequence[tuple[str, str]] = (), **metrics: object) -> Run:
        """Write the tables down, and open it."""
        write_csv(
            self.folder / "predictions.csv",
            columns(self.classes),
            ((n, s, t, self.classes[int(np.argmax(p))], max(p), *p) for n, s, t, p in self.said),
        )
        write_csv(
            self.folder / "splits.csv",
            ("path", "label", "side", "digest", "group"),
            ((name, label, side, digest, "") for name, label, side, digest in self._split),
        )
        write_csv(self.folder / "history.csv", *HISTORY)
        write_csv(self.folder / "quarantine.csv", ("path", "reason"), quarantined)
        known = {
            "kept": "finetune",
            "stages": STAGES,
            "gain": GAIN,
            "run": str(self.folder),
            "chosen_on_these_pictures": True,
        }
        (self.folder / "metrics.json").write_text(json.dumps(known | metrics))
        about = {
            "format": 1,
            "classes": self.classes,
            "decode": {"height": 32, "width": 32, "fit": "crop"},
            "precision": "f32",
            "output": "softmax",
            "head": "linear",
            "runtime": {"name": "openvino", "version": "1", "precision": "f32"},
            "recipe": headstart.Recipe(str(self.data), out=str(self.folder), backbone="nano").to_dict(),
            "created": "2026-11-26T12:00:00+00:00",
            "versions": {"headstart": headstart.__version__},
            "digests": {"model.keras": "0" * 40},
        }
        (self.folder / "bundle.json").write_text(json.dumps(about))
        return Run(self.folder)


def drawn(seed: int, classes: int, label: int, sharp: float = 2.0) -> list[float]:
    """Probabilities that lean to the true class, but not always."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, classes) + sharp * (np.arange(classes) == label)
    powers = np.exp(logits - logits.max())
    return [float(value) for value in powers / powers.sum()]


def fill(made: Made, train: int, val: int, test: int = 0) -> None:
    """So many pictures of each class on each side."""
    for number, name in enumerate(made.classes):
        for side, count in (("train", train), ("val", val), ("test", test)):
            for each in range(count):
                seed = 10_000 * number + 1000 * ("train", "val", "test").index(side) + each
                row = None if side == "train" else drawn(seed, len(made.classes), number)
                made.picture(f"{side}/{name}/{each:03d}.png", side, name, seed, row)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Begin a RUN with some classes."""
    return lambda *classes, at="made": Made(tmp_path / at, classes)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A RUN that was trained, with mistakes in it: half of the pictures of two classes are the same noise."""
    home = tmp_path_factory.mktemp("trained")
    for hue, name in enumerate(("blue", "green", "red")):
        for number in range(24):
            noisy = number % 2 and name != "red"
            pixels = (
                patchwork(100 * hue + number, (48, 48)) if noisy else make_picture(1000 * hue + number, (48, 48), hue)
            )
            write_picture(home / "photos" / name / f"{number:03d}.png", pixels)
    # In a process of its own, where Keras computes on OpenVINO, which is there in a moment.
    command = [
        sys.executable,
        "-c",
        "from headstart.cli.main import cli; cli()",
        "train",
        str(home / "photos"),
        "--out",
        str(home / "run"),
    ]
    choices = ["--backbone", "nano", "--strategy", "head", "--val", "0.4", "--test", "0.2", "--json"]
    environment = os.environ | {"HEADSTART_STORE": str(home / "store")}
    subprocess.run([*command, *choices], env=environment, check=True, capture_output=True)
    return Run(home / "run")
