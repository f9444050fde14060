"""How many pictures a frozen part is best run on at once on this processor: guessed, or measured and remembered."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.features.runtime import BATCH, OpenVINORuntime, Precision
from headstart.features.store import write_atomically
from headstart.loading import load_openvino

_WORTH_MEASURING = 180.0
"""Seconds that the pictures must take for a measurement of a few seconds to be paid back."""

_GLANCE_SECONDS = 0.03
_LOOK_SECONDS = 0.4
_TURNS = 3
_FILE = "batches.json"


def load_tuned(model: Path, precision: Precision, pictures: int, at_once: int = BATCH) -> OpenVINORuntime:
    """Make a frozen part ready to run on many pictures.

    Args:
        model: the `.xml` file, in a folder of its own; what is found out is remembered there.
        precision: of the arithmetic.
        pictures: how many it is going to run on in all.
        at_once: how many it will be given at once.
    """
    known = _recall(model.parent).get(_machine(precision))
    runtime = OpenVINORuntime(model, precision, at_once, pixels=True, batch=known)
    if known is not None or pictures * _seconds_a_picture(runtime, _GLANCE_SECONDS) < _WORTH_MEASURING:
        return runtime
    best = _fastest(model, precision, runtime, at_once)
    _remember(model.parent, _machine(precision), best.batch)
    return best


def _fastest(model: Path, precision: Precision, guessed: OpenVINORuntime, at_once: int) -> OpenVINORuntime:
    """Of a few sizes around the guessed one; they take turns, since processors change their speed all the time."""
    sizes = {max(1, min(BATCH, guessed.batch * factor)) for factor in (1 / 4, 4)} - {guessed.batch}
    others = (OpenVINORuntime(model, precision, at_once, pixels=True, batch=int(size)) for size in sorted(sizes))
    tried = [guessed, *others]
    turns = [[_seconds_a_picture(runtime, _LOOK_SECONDS) for runtime in tried] for _ in range(_TURNS)]
    return tried[int(np.argmin(np.median(turns, axis=0)))]


def _seconds_a_picture(runtime: OpenVINORuntime, seconds: float) -> float:
    count = 2 * runtime.batch * runtime.side_by_side
    pixels = np.random.default_rng(0).integers(0, 256, (count, *runtime.shape), np.uint8)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        runtime(pixels)
        done += count
    return (time.perf_counter() - began) / done


def _machine(precision: Precision) -> str:
    name = load_openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
    return f"{name}, {os.cpu_count()} threads, {precision}"


def _recall(folder: Path) -> dict[str, int]:
    """Sizes by machine; none of a file that is damaged."""
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads((folder / _FILE).read_text()).items()
        return {machine: size for machine, size in found if type(size) is int and 1 <= size <= BATCH}
    return {}


def _remember(folder: Path, machine: str, size: int) -> None:
    with suppress(OSError):  # it costs a few seconds only
        write_atomically(folder / _FILE, json.dumps({**_recall(folder), machine: size}).encode())
