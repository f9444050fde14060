"""A RUN that nobody trained and no Keras made, and servers of it: in this process, and as a process."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from headstart.evaluation.unlike import learn_familiarity, write_familiarity
from headstart.loading import load_openvino
from headstart.run_files import FAMILIARITY, FROZEN, METRICS, MODEL, PREDICTIONS, TRAINABLE, columns, write_about
from headstart.serving import models
from headstart.serving.app import make_app
from headstart.serving.guard import Access
from headstart.serving.limits import Limits
from headstart.serving.model import open_model
from tests.conftest import make_picture

SIDE = 32
CLASSES = ("red", "green", "blue")


def write_run(
    folder: Path, sharpness: float = 20.0, sides: tuple[int, int] = (SIDE, SIDE), classes: tuple[str, ...] = CLASSES
) -> Path:
    """A RUN that says which colour is brightest, the surer the sharper."""
    from openvino import opset13 as ops

    openvino = load_openvino()
    (folder / "runtime").mkdir(parents=True)
    shown = ops.parameter([-1, *sides, 3], np.float32, name="pixels")
    scaled = ops.multiply(shown, np.float32(1 / 255))
    openvino.save_model(openvino.Model([scaled], [shown], "frozen"), folder / FROZEN, compress_to_fp16=False)
    maps = ops.parameter([-1, *sides, 3], np.float32, name="maps")
    mean = ops.reduce_mean(maps, np.array([1, 2]), keep_dims=False)
    logits = ops.matmul(mean, np.eye(3, dtype=np.float32) * np.float32(sharpness), False, False)
    head = openvino.Model([ops.softmax(logits, 1)], [maps], "trainable")
    openvino.save_model(head, folder / TRAINABLE, compress_to_fp16=False)
    (folder / MODEL).write_bytes(b"no Keras here")
    means = [make_picture(seed, hue=seed).mean((0, 1)) / 255 for seed in range(60)]
    familiarity = learn_familiarity(np.stack(means[:30]), np.stack(means[30:]))
    assert familiarity is not None
    write_familiarity(folder / FAMILIARITY, familiarity)
    _write_tables(folder)
    about = {
        "classes": list(classes),
        "decode": {"height": sides[0], "width": sides[1], "fit": "crop"},
        "precision": "f32",
        "output": "softmax",
        "head": "linear",
        "runtime": {},
        "recipe": {"backbone": "colours"},
    }
    write_about(folder, about)
    return folder


def _write_tables(folder: Path) -> None:
    """Ten validation pictures, of which those below a probability of 0.7 are wrong."""
    (folder / METRICS).write_text(json.dumps({"accuracy": 0.75}))
    with open(folder / PREDICTIONS, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns(CLASSES))
        for number, sure in enumerate((0.99, 0.95, 0.9, 0.85, 0.8, 0.75, 0.65, 0.6)):
            label = "red" if sure > 0.7 else "green"
            table.writerow((f"{number}.png", "val", label, "red", sure, sure, (1 - sure) / 2, (1 - sure) / 2))


def picture(hue: int = 0, kind: str = ".png", size: tuple[int, int] = (40, 40), seed: int = 0) -> bytes:
    """A picture file whose brightest colour is the class of that number."""
    return cv2.imencode(kind, make_picture(seed, size, hue)[:, :, ::-1])[1].tobytes()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN that no test changes."""
    return write_run(tmp_path_factory.mktemp("served") / "colours")


@contextmanager
def client_of(
    *folders: Path, limits: Limits | None = None, access: Access | None = None, watch: bool = False
) -> Iterator[TestClient]:
    """A client of a server in this process."""
    opened = {folder.name: open_model(folder.name, folder) for folder in folders}
    app = make_app(opened, limits or Limits(), access or Access(), watch=watch)
    never = mock.patch.object(models, "_SECONDS_TO_FIRST_ANSWER", 1e6)  # so that tests can count what is computed
    with never, TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def client(run_folder: Path) -> Iterator[TestClient]:
    """A client of a server with the usual limits."""
    with client_of(run_folder) as found:
        yield found


class Process:
    """`headstart serve` as a process."""

    def __init__(self, *words: object, **environment: str):
        command = [str(Path(sys.executable).parent / "headstart"), "serve", *map(str, words), "--port", "0"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline()
        found = re.search(r":(\d+) until", self.said)
        assert found, self._process.communicate()[1]
        self.port = int(found[1])

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        _, errors = self._process.communicate(timeout=60)
        return self._process.returncode, errors

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start servers, which end with the test."""
    started: list[Process] = []

    def run(*words: object, **environment: str) -> Process:
        started.append(Process(*words, **environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
