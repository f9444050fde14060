"""Trainings in several processes that are hard to share, that are interrupted, or that cannot be."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headstart.bundle import Run
from headstart.distributed.processes import ADDRESSES, COUNT, NUMBER
from tests.distributed.conftest import done
from tests.distributed.test_launch import HEAD, SMALL, history
from tests.distributed.test_launching import is_at_work

pytestmark = pytest.mark.slow

MOBILENET = ("--backbone", "mobilenet_0.25", "--weights", "none", "--image-size", "32", "--json")
HARD = {
    # Nine pictures do not divide by two, nor do the two of the last batch by three.
    "mixed": (
        *(*MOBILENET, "--strategy", "finetune", "--unfreeze", "last:12", "--batchnorm", "follow", "--batch-size", "9"),
        *("--head", "dense:8,dropout:0.3", "--augment", "views=2", "--augmentations", "flip,mixup:0.4"),
        *("--class-weights", "balanced", "--learning-rate", "0.01", "--epochs", "3"),
    ),
    "everything": (
        # From pretrained weights: at random ones half a unit in the last place changes the curve, in one process too.
        *("--backbone", "nano", "--image-size", "32", "--json", "--strategy", "finetune", "--unfreeze", "all"),
        *("--batchnorm", "trainable", "--head", "dropout:0.2", "--augment", "stream", "--batch-size", "8"),
        *("--epochs", "2", "--optimizer", "sgd", "--learning-rate", "1e-5"),
    ),
    "auto": (
        *(*MOBILENET, "--strategy", "auto", "--unfreeze", "last:6", "--augment", "none", "--batch-size", "10"),
        *("--epochs", "2", "--layer-decay", "0.8", "--batchnorm", "adapt", "--standardise"),
    ),
}
LONG = (*SMALL, "--strategy", "head", "--head", "dense:8,dropout:0.3", "--batch-size", "8", "--patience", "99")


@pytest.fixture
def data(pictures) -> Path:
    return pictures(red=16, green=20, blue=22)


@pytest.mark.parametrize(("name", "processes"), [("mixed", 2), ("mixed", 3), ("everything", 2), ("auto", 2)])
def test_the_loss_curve_is_that_of_one_process(start, data, tmp_path, name, processes):
    alone = json.loads(done(start("train", data, "--out", tmp_path / "one", *HARD[name])))
    together = json.loads(
        done(start("launch", "-p", processes, "train", data, "--out", tmp_path / "many", *HARD[name]))
    )
    one, many = (_fitted(tmp_path / run) for run in ("one", "many"))
    np.testing.assert_allclose(many, one, rtol=1e-4)
    np.testing.assert_allclose(together["loss"], alone["loss"], rtol=1e-3)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_with_several_devices_each_have_the_same_loss_curve_too(start, data, tmp_path, processes):
    done(start("train", data, "--out", tmp_path / "one", *HARD["mixed"]))
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    done(start("launch", "-p", processes, "train", data, "--out", tmp_path / "two", *HARD["mixed"], XLA_FLAGS=flags))
    np.testing.assert_allclose(_fitted(tmp_path / "two"), _fitted(tmp_path / "one"), rtol=1e-4)


def test_the_run_can_be_used_by_others_who_have_tensorflow(start, data, tmp_path):
    done(start("launch", "-p", 2, "train", data, "--out", tmp_path / "run", *HEAD))
    run = Run(tmp_path / "run")
    named = list(run.predict([data / "red" / "000.png", data / "blue" / "001.png"]))
    assert len(named) == 2
    assert run.metrics["extracted"] == 58


def _fitted(run: Path) -> np.ndarray:
    """The figures of the epochs that were fitted."""
    rows = (run / "history.csv").read_text().splitlines()
    names = rows[0].split(",")
    found = [dict(zip(names, row.split(","), strict=True)) for row in rows[1:]]
    figures = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    return np.array([[float(row[name]) for name in figures] for row in found if row.get("epoch")])


def children(process: "subprocess.Popen[str]") -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def wait_for_epoch(process: "subprocess.Popen[str]", run: Path, epoch: int) -> None:
    while process.poll() is None and not ((run / "history.csv").exists() and len(history(run)) >= epoch):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize(("killed", "then"), [(0, 2), (1, 1)])
def test_when_one_is_killed_all_end_in_one_line_and_the_training_can_go_on(start, data, tmp_path, killed, then):
    run, choices = tmp_path / "killed", (*LONG, "--epochs", "40")
    done(start("train", data, "--out", tmp_path / "whole", *choices))
    process = start("launch", "-p", 2, "train", data, "--out", run, *choices)
    wait_for_epoch(process, run, 3)
    both = children(process)
    os.kill(both[killed], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.splitlines()[-1] == (
        f"Error: process {killed} of 2 was ended by SIGKILL, so all were ended. "
        f"Go on with: headstart launch --processes 2 train --resume {run}"
    )
    assert not any(map(is_at_work, both))
    begun = len(history(run))
    assert 3 <= begun < 40
    done(start("launch", "-p", then, "train", "--resume", run, "--json"))
    np.testing.assert_allclose(history(run), history(tmp_path / "whole"), rtol=1e-5)


def test_a_training_that_one_process_began_goes_on_in_two(start, data, tmp_path):
    run, choices = tmp_path / "killed", (*LONG, "--epochs", "40")
    done(start("launch", "-p", 2, "train", data, "--out", tmp_path / "whole", *choices))
    process = start("train", data, "--out", run, *choices)
    wait_for_epoch(process, run, 2)
    process.kill()
    process.communicate()
    done(start("launch", "-p", 2, "train", "--resume", run, "--json"))
    np.testing.assert_allclose(history(run), history(tmp_path / "whole"), rtol=1e-5)


def test_ctrl_c_ends_all_after_the_step_with_the_best_so_far(start, data, tmp_path):
    run = tmp_path / "run"
    process = start("launch", "-p", 2, "train", data, "--out", run, *LONG, "--epochs", "5000")
    wait_for_epoch(process, run, 2)
    both = children(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert json.loads(out)["interrupted"]
    assert not any(map(is_at_work, both))
    assert (run / "training" / "head.safetensors").exists()


def test_what_all_of_them_find_wrong_is_said_once(start, tmp_path):
    (tmp_path / "data" / "only").mkdir(parents=True)
    process = start("launch", "-p", 2, "train", tmp_path / "data", "--out", tmp_path / "run", *HEAD)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.count("Error:") == 1
    assert not (tmp_path / "run").exists()


def test_a_picture_that_one_process_finds_broken_is_refused_by_the_first(start, data, tmp_path):
    broken = sorted(data.rglob("*.png"))[1]  # which is in the share of the second
    broken.write_bytes(b"no picture")
    process = start("launch", "-p", 2, "train", data, "--out", tmp_path / "run", *HEAD, "--strict")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.strip().splitlines()[-1].startswith(f"Error: 1 files cannot be decoded, the first is {broken}: ")


@pytest.fixture
def by_environment(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., list["subprocess.Popen[str]"]]:
    """Start two processes as Slurm would; nobody watches them."""

    def begin(*arguments: object) -> list["subprocess.Popen[str]"]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        return [start(*arguments, **{ADDRESSES: address, COUNT: "2", NUMBER: str(number)}) for number in range(2)]

    return begin


def test_started_by_the_environment_the_first_speaks_and_both_end_well(by_environment, data, tmp_path):
    first, second = by_environment("train", data, "--out", tmp_path / "run", *HEAD)
    assert json.loads(done(first))["n"] == (tmp_path / "run" / "predictions.csv").read_text().count("\n") - 1
    assert done(second) == ""


def test_started_by_the_environment_the_others_end_when_one_is_lost(by_environment, data, tmp_path):
    run = tmp_path / "run"
    first, second = by_environment("train", data, "--out", run, *LONG, "--epochs", "5000")
    wait_for_epoch(first, run, 2)
    second.kill()
    _, error = first.communicate(timeout=120)
    assert first.returncode != 0
    assert (
        "Error: process 0 of 2 has lost another one, which has ended or cannot be reached, so it ends, too. "
        "`headstart train --resume RUN`, with as many processes as you like, goes on from the last epoch."
    ) in error.splitlines()
    second.communicate()


def test_another_store_for_each_process_is_refused(start, data, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    start_one = "import headstart.distributed.shares as s; s._SEEN_WITHIN_SECONDS = 2; "
    code = start_one + "from headstart.cli.main import cli; cli()"
    arguments = ["train", str(data), "--out", str(tmp_path / "run"), *HEAD]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                ADDRESSES: address,
                COUNT: "2",
                NUMBER: str(number),
                "HEADSTART_STORE": str(tmp_path / f"store{number}"),
            },
        )
        for number in range(2)
    ]
    (_, said), (_, silent) = (process.communicate(timeout=200) for process in processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert said.strip().splitlines()[-1].endswith("HEADSTART_STORE has to be one folder that all of them share.")
    assert "Error" not in silent
