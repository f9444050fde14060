"""`headstart launch`, as a person uses it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from headstart.cli.main import cli
from tests.distributed.conftest import done

SMALL = ("--backbone", "nano", "--weights", "none", "--image-size", "32", "--augment", "none", "--json")
HEAD = (*SMALL, "--strategy", "head", "--head", "dense:8,dropout:0.3", "--epochs", "3", "--batch-size", "8")


def history(run: Path) -> np.ndarray:
    """The figures of every epoch."""
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(value) for name, value in row.items() if name != "stage"] for row in rows])


def said(*arguments: object) -> tuple[int, str]:
    """The exit code of a command that is refused, and what it says."""
    found = CliRunner().invoke(cli, list(map(str, arguments)))
    return found.exit_code, found.stderr.strip()


def test_two_processes_train_as_one_does_and_leave_one_run(start, pictures, tmp_path):
    data = pictures(red=13, green=12, blue=12)  # of which the last batch has not as many as the others
    metrics = json.loads(done(start("launch", "--processes", 2, "train", data, "--out", tmp_path / "two", *HEAD)))
    expected = json.loads(done(start("train", data, "--out", tmp_path / "one", *HEAD)))
    np.testing.assert_allclose(history(tmp_path / "two"), history(tmp_path / "one"), rtol=1e-5)
    assert metrics["n"] == expected["n"]
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-5)
    assert (tmp_path / "two" / "model.keras").exists()
    assert not (tmp_path / "two" / "training").exists()


def test_only_train_is_launched():
    assert said("launch", "-p", 2, "predict", "run", "a.png") == (
        2,
        "Error: launch starts `train` in several processes, not 'predict': headstart launch -p 2 train DATA ...",
    )


def test_what_is_wrong_with_the_command_is_said_once_before_anything_is_started(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    code, message = said("launch", "-p", 2, "train", "data", "--out", "run", "--epoch-s", 3)
    assert code == 2
    assert message.startswith("Error: No such option")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert said("launch", "-p", 2, "train", "--resume", "nowhere") == (
        2,
        "Error: there is no unfinished training in nowhere. Give the --out of the one that was interrupted.",
    )


def test_a_backend_that_cannot_do_it_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert said("launch", "-p", 2, "train", "data", "--out", "run") == (
        2,
        "Error: Keras trains in several processes with JAX alone; KERAS_BACKEND is tensorflow. Unset it.",
    )


@pytest.mark.parametrize("count", ["0", "-2", "two"])
def test_impossible_numbers_of_processes_are_refused(count):
    code, message = said("launch", "--processes", count, "train", "data", "--out", "run")
    assert code == 2
    assert message.startswith("Error: Invalid value for '--processes'")
