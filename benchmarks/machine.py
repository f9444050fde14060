"""What the benchmarks have in common: what they were run on, processes with their time and memory, taking turns.

Nothing here imports more than the standard library: on Linux a new process begins with the peak of memory of the one
that started it, so whoever measures memory must be small.
"""

import hashlib
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

HERE = Path(__file__).parent

_WORK = bytes(4 << 20)


@dataclass(frozen=True)
class Spent:
    """What a process took.

    Attributes:
        seconds: from start to exit.
        megabytes: its peak of memory (resident), in MiB.
        beat: seconds that a small fixed piece of work took beside it, the median: the machine's pace meanwhile.
        output: what it printed.
    """

    seconds: float
    megabytes: float
    beat: float
    output: str


def described() -> str:
    """The machine and the date, in a few words."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        found = re.search(r"model name\s*:\s*(.+)", text)
        name = found[1] if found else platform.processor()
        flags = set(text.split())
        vectors = next((f for f in ("amx_tile", "avx512_bf16", "avx512f", "avx2") if f in flags), "no AVX2")
    except OSError:
        name, vectors = platform.processor(), "unknown"
    return f"{os.cpu_count()} cores, {name} ({vectors}), {platform.machine()}, {datetime.now(UTC).date()}"


def headstart(*words: object) -> list[str]:
    """The command of the environment that this process runs in."""
    return [str(Path(sys.executable).parent / "headstart"), *map(str, words)]


def script(name: str, *words: object) -> list[str]:
    """Another script of this folder, in the same environment."""
    return [sys.executable, str(HERE / name), *map(str, words)]


def spent(command: list[str], store: Path | str | None = None) -> Spent:
    """Run a process to its end.

    Args:
        command: the process.
        store: its `HEADSTART_STORE`.

    Raises:
        RuntimeError: if it fails, with the last that it said.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if store is not None:
        environment["HEADSTART_STORE"] = str(store)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, _Pace() as pace:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)  # of this process and not of all that have ended so far
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {_end_of(errors)}")
        output.seek(0)
        text = output.read().decode()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Spent(seconds, usage.ru_maxrss / unit, pace.beat, text)


def in_turn(contestants: Mapping[str, Callable[[], T]], turn: int) -> dict[str, T]:
    """Let each run once, another one first in every turn, so that a drift of the clock favours nobody."""
    names = list(contestants)
    first = turn % len(names)
    done = {name: contestants[name]() for name in names[first:] + names[:first]}
    return {name: done[name] for name in names}


def timed(run: Callable[[], object]) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


class _Pace:
    """How fast the machine is while something else runs: a few milliseconds of hashing, twice a second."""

    def __init__(self) -> None:
        self._beats: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Pace":
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def beat(self) -> float:
        return statistics.median(self._beats) if self._beats else float("nan")

    def _run(self) -> None:
        while not self._done.is_set():
            began = time.thread_time()  # waiting for a core does not count
            hashlib.blake2b(_WORK).digest()
            self._beats.append(time.thread_time() - began)
            self._done.wait(0.5)


def _end_of(errors: IO[bytes]) -> str:
    errors.seek(0)
    return " / ".join(errors.read().decode(errors="replace").strip().splitlines()[-3:])
