"""A training that is killed at any moment and resumed ends with the weights of one that was left alone."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from headstart.cli.main import cli

STRATEGIES = {
    "head": ("--strategy", "head", "--head", "dense:16,dropout:0.3", "--epochs", "30", "--patience", "30"),
    "finetune": ("--strategy", "finetune", "--unfreeze", "block:conv_pw_4", "--augment", "views=2", "--epochs", "8"),
    "scratch": ("--strategy", "scratch", "--augment", "stream", "--epochs", "4", "--head", "dropout:0.2"),
    "auto": ("--strategy", "auto", "--unfreeze", "last:20", "--augmentations", "flip,mixup", "--epochs", "8"),
}
SMALL = (
    *("--backbone", "mobilenet_0.25", "--weights", "none", "--image-size", "32", "--tap", "conv_pw_5_relu"),
    *("--batch-size", "8", "--json"),
)
KILLS = 10
EPOCHS = {"head": 30, "finetune": 8, "scratch": 4, "auto": 8}


@pytest.fixture
def data(pictures) -> Path:
    return pictures(red=40, green=40, blue=40)


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).parent / "headstart"), *map(str, arguments)]


def weights(run: Path) -> list[np.ndarray]:
    return keras.saving.load_model(run / "model.keras").get_weights()


def train(*arguments: object) -> None:
    """Train in this process, which has imported TensorFlow already; what is killed has a process of its own."""
    done = CliRunner().invoke(cli, ["train", *map(str, arguments)])
    assert done.exit_code == 0, done.output


def rows(run: Path) -> int:
    """How many epochs are written down."""
    file = run / "history.csv"
    return file.read_text().count("\n") - 1 if file.exists() else 0


def killed_at(epoch: int, delay: float, run: Path, *arguments: object) -> bool:
    """Kill the process some time after an epoch; whether it was still at work then."""
    process = subprocess.Popen(command("train", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and rows(run) < epoch:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    return process.wait() == -signal.SIGKILL


def kill_and_resume(data: Path, tmp_path: Path, strategy: str, epochs: list[int]) -> None:
    """Kill after each of some epochs, or during the first one and what comes before it, and resume."""
    choices = (data, *SMALL, *STRATEGIES[strategy])
    train(*choices, "--out", tmp_path / "whole")
    expected = weights(tmp_path / "whole")
    chance = random.Random(strategy)
    resumed = 0
    for number, epoch in enumerate(epochs):
        run = tmp_path / f"killed-{number}"
        delay = chance.uniform(0, 0.3) if epoch else chance.uniform(0, 8)
        if not killed_at(epoch, delay, run, *choices, "--out", run):
            continue
        # Before the first picture has been looked at there is nothing to resume; the command itself always goes on.
        begun = (run / "training" / "recipe.json").exists()
        resumed += any((run / "training").glob("*.safetensors"))
        train(*(("--resume", run) if begun else (*choices, "--out", run)))
        found = weights(run)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)), (number, epoch)
        assert not (run / "training").exists()
    assert resumed, "no kill left a state to go on from"


def test_a_killed_fine_tuning_resumes_to_the_same_weights(data, tmp_path):
    kill_and_resume(data, tmp_path, "finetune", [3])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ten_random_kills_resume_to_the_same_weights(data, tmp_path, strategy):
    chance = random.Random(strategy)
    kill_and_resume(data, tmp_path, strategy, [chance.randrange(EPOCHS[strategy]) for _ in range(KILLS)])
