"""Several processes of one command on this machine: started together, watched, and ended together."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from headstart.distributed.processes import ADDRESSES, COUNT, LAUNCHED, LOST, NUMBER

_LOOKED_EVERY_SECONDS = 0.05
_TIME_TO_END_SECONDS = 5.0
"""What the others are given to end by themselves when one has ended, and then to end when they are told."""

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


@dataclass(frozen=True)
class Outcome:
    """How a team of processes has ended.

    Attributes:
        code: the exit code that stands for all of them.
        fault: what went wrong, in a clause that the first process could not say itself; empty where it has said it.
    """

    code: int
    fault: str = ""


@dataclass
class _Team:
    """Processes that were started.

    Attributes:
        processes: in the order of their numbers.
        said: what each of them has written to its standard error; None for the first, who speaks to the person.
        ended: numbers of those that have ended, in the order in which that was noticed.
    """

    processes: list["subprocess.Popen[bytes]"]
    said: list[IO[bytes] | None]
    ended: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Take notice of those that have ended."""
        for number, process in enumerate(self.processes):
            if number not in self.ended and process.poll() is not None:
                self.ended.append(number)

    def tell(self, number: int) -> None:
        """Send a signal to all that are at work."""
        for process in self.processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait until all have ended; whether they have."""
        until = time.monotonic() + seconds
        while len(self.ended) < len(self.processes) and time.monotonic() < until:
            time.sleep(_LOOKED_EVERY_SECONDS)
            self.look()
        return len(self.ended) == len(self.processes)

    def failed(self) -> int | None:
        """The first that ended badly; one that only followed another counts where there is no other."""
        bad = [number for number in self.ended if self.processes[number].returncode]
        own = [number for number in bad if self.processes[number].returncode != LOST]
        return next(iter(own or bad), None)

    def last_words(self, number: int) -> str:
        """The last line that a process has written to its standard error; empty for the first."""
        file = self.said[number]
        if file is None:
            return ""
        file.seek(0)
        lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else ""


def launch(command: Sequence[str], count: int) -> Outcome:
    """Run a command in several processes that train together; what the first one prints is printed.

    When one of them ends badly the others are ended, too. SIGINT, SIGTERM and SIGHUP are passed on. On Linux no process
    outlives this one, however it ends.

    Args:
        command: the program and its arguments.
        count: how many processes.
    """
    with _free_port() as port, tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        team = _start(command, count, port, folder)
        try:
            with _passed_on(team):
                return _watch(team)
        finally:
            team.tell(signal.SIGKILL)
            for process in team.processes:
                process.wait()
            for file in filter(None, team.said):
                file.close()


def _start(command: Sequence[str], count: int, port: int, folder: str) -> _Team:
    shared = os.environ | {ADDRESSES: f"127.0.0.1:{port}", COUNT: str(count), LAUNCHED: "1"}
    team, parent = _Team([], []), os.getpid()
    for number in range(count):
        said = None if number == 0 else open(os.path.join(folder, str(number)), "w+b")  # noqa: SIM115 read at the end
        team.said.append(said)
        team.processes.append(
            subprocess.Popen(
                command,
                env=shared | {NUMBER: str(number)},
                stdin=None if number == 0 else subprocess.DEVNULL,
                stdout=None if number == 0 else subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # Ctrl-C in a terminal comes to this process alone, which passes it on
                preexec_fn=lambda: _end_with(parent),
            )
        )
    return team


def _watch(team: _Team) -> Outcome:
    while team.failed() is None and len(team.ended) < len(team.processes):
        time.sleep(_LOOKED_EVERY_SECONDS)
        team.look()
    if team.failed() is None:
        return Outcome(0)
    ended = team.wait(_TIME_TO_END_SECONDS)
    failed = team.failed()  # which those that are ended from here on have no part in
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not ended:
            team.tell(number)
            ended = team.wait(_TIME_TO_END_SECONDS)
    first = team.processes[0].returncode
    if first > 0 and first != LOST and (failed == 0 or first in _SAID):
        return Outcome(first)
    return Outcome(1, _fault(team, failed or 0))


_SAID = (2, 130)
"""Exit codes with which the first process ends when it has said why, also where the reason lies with another one."""


def _fault(team: _Team, number: int) -> str:
    code, words = team.processes[number].returncode, team.last_words(number)
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    said = f" ({words})" if words and code > 0 else ""
    return f"process {number} of {len(team.processes)} {how}{said}"


def _end_with(parent: int) -> None:
    """Let Linux end this process when the one that starts it ends: `prctl(2)`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


@contextmanager
def _free_port() -> Iterator[int]:
    """A port on this machine that nobody listens on; it is let go before the block begins, so that one can."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    yield port


@contextmanager
def _passed_on(team: _Team) -> Iterator[None]:
    """Pass signals on to the team while the block runs."""

    def tell(number: int, frame: FrameType | None) -> None:
        team.tell(number)

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
