"""How many pictures a frozen part is best run on at once on this processor: guessed, or measured and remembered."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.features.runtime import BATCH, OpenVINORuntime, Precision, rows_at_once
from headstart.features.store import write_atomically
from headstart.loading import load_openvino
from headstart.threads import cores

_WORTH_MEASURING = 180.0
"""Seconds that the pictures must take for a measurement of a few seconds to be paid back."""

_GLANCE_SECONDS = 0.03
_LOOK_SECONDS = 0.6
_FILE = "batches.json"


def load_tuned(model: Path, precision: Precision, pictures: int, at_once: int = BATCH) -> OpenVINORuntime:
    """Make a frozen part ready to run on many pictures.

    Args:
        model: the `.xml` file, in a folder of its own; what is found out is remembered there.
        precision: of the arithmetic.
        pictures: how many it is going to run on in all.
        at_once: how many it will be given at once.
    """

    def load(batch: int | None) -> OpenVINORuntime:
        return OpenVINORuntime(model, precision, at_once, pixels=True, batch=batch)

    known = _recall(model.parent).get(_machine(precision))
    runtime = load(known)
    if known is not None or pictures * _seconds_a_picture(runtime, _GLANCE_SECONDS) < _WORTH_MEASURING:
        return runtime
    guessed = runtime.batch
    del runtime  # each takes hundreds of megabytes for a large network: one at a time
    best = _fastest(load, guessed)
    _remember(model.parent, _machine(precision), best)
    return load(best)


def tuned_rows(model: Path, precision: Precision, at_once: int = BATCH) -> int:
    """How many pictures `load_tuned` runs a frozen part on at once where nothing is measured anew."""
    known = _recall(model.parent).get(_machine(precision))
    return known or rows_at_once(load_openvino().Core().read_model(model), at_once)


def _fastest(load: Callable[[int], OpenVINORuntime], guessed: int) -> int:
    """Of a few sizes around the guessed one; there and back, since processors change their speed all the time."""
    sizes = sorted({guessed, *(max(1, min(BATCH, int(guessed * factor))) for factor in (1 / 4, 4))})
    there = [_seconds_a_picture(load(size), _LOOK_SECONDS) for size in sizes]
    back = [_seconds_a_picture(load(size), _LOOK_SECONDS) for size in reversed(sizes)]
    return sizes[int(np.argmin(np.add(there, back[::-1])))]


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
    return f"{name}, {cores()} threads, {precision}"


def _recall(folder: Path) -> dict[str, int]:
    """Sizes by machine; none of a file that is damaged."""
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads((folder / _FILE).read_text()).items()
        return {machine: size for machine, size in found if type(size) is int and 1 <= size <= BATCH}
    return {}


def _remember(folder: Path, machine: str, size: int) -> None:
    with suppress(OSError):  # it costs a few seconds only
        write_atomically(folder / _FILE, json.dumps({**_recall(folder), machine: size}).encode())
