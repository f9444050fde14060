"""Nothing that was computed is lost: Ctrl-C, kill -9, full disks and read-only folders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import headstart
from headstart.cli.main import cli
from headstart.features.extract import BATCH
from headstart.features.store import Store
from tests.conftest import make_picture, write_picture

OPTIONS = (  # solved from weights in the package, so that no TensorFlow is imported
    *("--backbone", "nano", "--image-size", "64", "--precision", "f32", "--json"),
    *("--strategy", "head", "--head", "linear"),
)
TUNING = (
    *("--backbone", "mobilenet_0.25", "--weights", "none"),
    *("--strategy", "finetune", "--augment", "none"),
)
PICTURES = 600
EPOCHS = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "data"
    for hue, name in enumerate(("blue", "green")):
        for number in range(PICTURES // 2):
            write_picture(folder / name / f"{number}.png", make_picture(hue * 1000 + number, (80, 80), hue))
    return folder


def start(data: Path, out: Path, *options: object) -> "subprocess.Popen[str]":
    command = [str(Path(sys.executable).parent / "headstart"), "train", str(data), "--out", str(out), *OPTIONS]
    command += map(str, options)
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What runs in the background of a shell inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def kept() -> int:
    return sum(len(space.refresh(touch=False)) for space in Store().spaces())


def wait_until_kept(process: "subprocess.Popen[str]", rows: int) -> None:
    while process.poll() is None and kept() < rows:
        time.sleep(0.005)


def finish(data: Path, out: Path) -> dict:
    process = start(data, out)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return json.loads(stdout)


def check_kills(data: Path, tmp_path: Path, kills: int) -> None:
    """Kill at random moments of extraction, then let it finish: every row that was kept is used again."""
    random = np.random.default_rng(0)
    for attempt in range(kills):
        before = kept()
        process = start(data, tmp_path / f"run{attempt}")
        wait_until_kept(process, min(PICTURES, before + 1 + int(random.integers(0, 2 * PICTURES // kills))))
        time.sleep(float(random.uniform(0, 0.05)))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert kept() >= before  # a kill takes back nothing
        assert all(space.verify().damaged == 0 for space in Store().spaces())
    before = kept()
    assert before > 0
    found = finish(data, tmp_path / "last")
    assert (found["extracted"], found["reused"]) == (PICTURES - before, before)
    assert kept() == PICTURES
    assert all(space.verify().damaged == 0 for space in Store().spaces())
    assert not list(tmp_path.glob("run*/bundle.json"))  # nor is there half a RUN


def test_three_kills_during_extraction_lose_nothing_that_was_kept(data, tmp_path):
    check_kills(data, tmp_path, kills=3)


@pytest.mark.slow
def test_twenty_kills_during_extraction_lose_nothing_that_was_kept(data, tmp_path):
    check_kills(data, tmp_path, kills=20)


def test_ctrl_c_is_one_line_and_the_next_run_goes_on(data, tmp_path):
    process = start(data, tmp_path / "run")
    wait_until_kept(process, 2 * BATCH)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.strip() == (
        "Error: interrupted. The store keeps what was computed; the same command goes on from there."
    )
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["training"]
    assert finish(data, tmp_path / "run")["reused"] >= 2 * BATCH


def test_ctrl_c_between_epochs_leaves_a_run_that_can_be_used_and_goes_on(data, tmp_path):
    out = tmp_path / "run"
    last = ("--tap", "conv_pw_5_relu", "--unfreeze", "last:3", "--batch-size", 8)
    process = start(data, out, *TUNING, *last, "--epochs", EPOCHS, "--patience", EPOCHS)
    while process.poll() is None and not (out / "training" / "finetune.safetensors").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (130, "")
    found = json.loads(stdout)
    assert (found["interrupted"], found["epochs_run"] < EPOCHS) == (True, True)
    assert len(headstart.load(out).predict(data / "blue")) == PICTURES // 2
    history = (out / "history.csv").read_text().splitlines()
    assert len(history) == 1 + found["epochs_run"]

    done = CliRunner().invoke(cli, ["train", "--resume", str(out), "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    resumed = json.loads(done.stdout)
    assert (resumed["interrupted"], resumed["epochs_run"], resumed["extracted"]) == (False, EPOCHS, 0)
    assert (out / "history.csv").read_text().splitlines()[: len(history)] == history
    assert len(headstart.load(out).predict(data / "blue")) == PICTURES // 2
    assert not (out / "training").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte; skipped where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def refusal(data: Path, out: Path, *options: object, **environment: str) -> str:
    command = [str(Path(sys.executable).parent / "headstart"), "train", str(data), "--out", str(out), *OPTIONS]
    command += map(str, options)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_store_on_a_full_disk_is_one_line(data, tmp_path, small_disk):
    message = refusal(data, tmp_path / "run", HEADSTART_STORE=str(small_disk / "store"))
    assert "the disk is full. Free some space there, or set HEADSTART_STORE" in message


def test_a_run_on_a_full_disk_is_one_line_and_the_store_keeps_the_rest(data, tmp_path, small_disk):
    message = refusal(data, small_disk / "run")
    assert (
        f"cannot write to {small_disk}/run: the disk is full. Free some space there, or give another --out" in message
    )
    assert list(small_disk.iterdir()) == []
    assert finish(data, tmp_path / "run")["extracted"] == 0


def test_a_disk_that_fills_up_while_epochs_run_is_one_line(data, tmp_path, small_disk):
    (small_disk / "filled").write_bytes(bytes(600_000))
    message = refusal(data, small_disk / "run", *TUNING, "--epochs", 2)
    assert message == (
        f"Error: cannot write to {small_disk}/run/checkpoints/finetune: the disk is full. Free some space there; "
        "`headstart train --resume` goes on from the last epoch that was kept.\n"
    )


def test_a_read_only_store_is_one_line(data, tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    message = refusal(data, tmp_path / "run", HEADSTART_STORE=str(small_disk / "store"))
    assert "it is on a read-only file system" in message
    assert "set HEADSTART_STORE to a folder that can be written" in message
