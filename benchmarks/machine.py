"""What the benchmarks have in common: what they were run on, and timing a loop."""

import os
import platform
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


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


def per_second(start: Callable[[], None], finish: Callable[[], None], units: int, seconds: float) -> float:
    """How many units a second a loop gets done, after a few unmeasured rounds.

    Args:
        start: begins one round of `units`.
        finish: waits until all rounds that were begun are done.
        units: done in each round.
        seconds: to measure for.
    """
    for _ in range(3):
        start()
    finish()
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        start()
        rounds += 1
    finish()
    return rounds * units / (time.perf_counter() - began)
