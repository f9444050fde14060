"""What training takes in memory, estimated before it starts."""

from pathlib import Path

import keras
import numpy as np

from headstart.models.graph import trace

_PER_TRAINED_VALUE = 4 * 5  # the weight, its gradient, two moments of the optimizer, the best weights so far
_PER_FIXED_VALUE = 4 * 2  # the weight, and the best weights so far
_PER_ACTIVATION = 4 * 2  # kept for the backward pass, and its gradient
_OVERHEAD = 900 << 20  # TensorFlow, OpenVINO and the libraries around them


def training_bytes(trainable: keras.Model, batch_size: int) -> int:
    """The memory that training a trainable half takes, in bytes: weights, optimizer, activations, libraries.

    Weights are float32; an optimizer with two moments is assumed. Activations are those of every layer, which is what
    the backward pass keeps; some are shared, so this is rather more than less.

    Args:
        trainable: functional, from frontier tensors to probabilities.
        batch_size: pictures per step.
    """
    graph = trace(trainable)
    trained = sum(int(np.prod(weight.shape)) for weight in trainable.trainable_weights)
    fixed = sum(int(np.prod(weight.shape)) for weight in trainable.non_trainable_weights)
    outputs = [tensor for call in graph.calls for tensor in keras.tree.flatten(call.operation.output)]
    values = sum(int(np.prod([side or 1 for side in tensor.shape[1:]])) for tensor in [*trainable.inputs, *outputs])
    return _PER_TRAINED_VALUE * trained + _PER_FIXED_VALUE * fixed + _PER_ACTIVATION * values * batch_size + _OVERHEAD


def available_memory() -> int | None:
    """Bytes that can be had without swapping: of the machine, and of the group of processes; None where unknown."""
    limits = [_meminfo(), _group_limit()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _meminfo() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _group_limit() -> int | None:
    """What a container leaves (Linux control groups, version 2)."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return None if limit == "max" else int(limit) - used
    except (OSError, ValueError):
        return None
