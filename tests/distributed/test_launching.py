"""Processes that are started together end together, however one of them ends. With commands that train nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.distributed.launching import Outcome, launch
from headstart.distributed.processes import LOST

PROGRAM = """
import os, signal, sys, time
number, count = (int(os.environ[f"KERAS_DISTRIBUTION_{name}"]) for name in ("PROCESS_ID", "NUM_PROCESSES"))
def wait(): time.sleep(600)
def leave(code, words=""): sys.stderr.write(words); sys.exit(code)
def die(): os.kill(os.getpid(), signal.SIGKILL)
"""


def command(what: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM + what]


def test_processes_that_end_well_end_well_together(capfd):
    script = "print('I am', number, 'of', count, os.environ['KERAS_DISTRIBUTION_JOB_ADDRESSES'].split(':')[0])"
    assert launch(command(script), 3) == Outcome(0)
    assert capfd.readouterr().out == "I am 0 of 3 127.0.0.1\n"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("die() if number == 1 else wait()", Outcome(1, "process 1 of 2 was ended by SIGKILL")),
        ("die() if number == 0 else wait()", Outcome(1, "process 0 of 2 was ended by SIGKILL")),
        (
            "leave(0) if number == 0 else leave(3, 'no room\\n')",
            Outcome(1, "process 1 of 2 ended with code 3 (no room)"),
        ),
        (
            "wait() if number == 0 else leave(2, 'Error: bad disk')",
            Outcome(1, "process 1 of 2 ended with code 2 (bad disk)"),
        ),
        # The first one has said why.
        ("leave(2) if number == 0 else wait()", Outcome(2)),
        ("leave(2)", Outcome(2)),
        ("leave(130)", Outcome(130)),
        # One that has lost another follows it.
        (
            f"leave({LOST}) if number == 0 else (time.sleep(0.5), die())",
            Outcome(1, "process 1 of 2 was ended by SIGKILL"),
        ),
        (f"leave({LOST}) if number == 1 else (time.sleep(0.5), leave(2))", Outcome(2)),
    ],
)
def test_when_one_ends_badly_all_end_and_it_is_known_which(script, outcome):
    assert launch(command(script), 2) == outcome


def test_a_process_that_will_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("headstart.distributed.launching._TIME_TO_END_SECONDS", 0.3)
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)\n"
    assert launch(command(script + "(time.sleep(0.5), die()) if number == 1 else wait()"), 2) == Outcome(
        1, "process 1 of 2 was ended by SIGKILL"
    )


def started(folder: Path, script: str) -> "tuple[subprocess.Popen[bytes], list[int]]":
    """A launcher in a process of its own, and the numbers of the processes it has started."""
    write = f"open(os.path.join({str(folder)!r}, str(number)), 'w').write(str(os.getpid()))\n"
    launcher = "from headstart.distributed.launching import launch\nimport sys\n"
    code = f"{launcher}sys.exit(launch({command(script.format(write=write))!r}, 2).code)"
    process = subprocess.Popen([sys.executable, "-c", code])
    while len(list(folder.iterdir())) < 2 or not all(file.read_text() for file in folder.iterdir()):
        time.sleep(0.01)
    return process, [int(file.read_text()) for file in folder.iterdir()]


def is_at_work(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with the one that started them")
def test_no_process_outlives_a_launcher_that_is_killed(tmp_path):
    launcher, processes = started(tmp_path, "{write}wait()")
    launcher.kill()
    launcher.wait()
    until = time.monotonic() + 20
    while any(map(is_at_work, processes)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(is_at_work, processes))


def test_ctrl_c_is_passed_on_to_every_process_once_and_waited_for(tmp_path):
    script = (
        "asked = []\nsignal.signal(signal.SIGINT, lambda *_: asked.append(1))\n{write}"
        "while not asked: time.sleep(0.01)\ntime.sleep(0.3)\nleave(130 if len(asked) == 1 else 9)"
    )
    launcher, processes = started(tmp_path, script)
    os.kill(launcher.pid, signal.SIGINT)
    assert launcher.wait(timeout=60) == 130
    assert not any(map(is_at_work, processes))
