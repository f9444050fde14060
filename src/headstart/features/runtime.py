"""Running one half of a model on arrays, by the fastest means there is.

OpenVINO is that on a CPU; where Keras has an accelerator, or where OpenVINO does not agree with Keras, Keras runs it.
This module imports neither before a runtime is made, so that a bundle can be used where only OpenVINO is installed.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np

from headstart.loading import load_openvino
from headstart.threads import cores, most_cores

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16"]

BATCH = 32
"""Pictures that go through the frozen part together on a processor, and that are written together: three such batches
are what a kill can cost."""

_LARGE = 10_000_000
"""Parameters from which on a network is large."""

_CACHE_BYTES = 4 << 20
"""What the largest tensor of a batch may take."""

MODEL_FILE = "model.xml"
"""What OpenVINO's form of a frozen part is called where the store keeps it."""

OPENVINO = "openvino"
"""The name of OpenVINO in a `RuntimeIdentity`."""

PIXELS = "pixels"
"""The name, in a `RuntimeIdentity`, of what hands pixels through where no part of a model is frozen."""


class Runtime(Protocol):
    """Anything that turns a batch into the tensors that follow from it."""

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """Run one batch.

        Args:
            batch: one array per input, all with the same number of rows.

        Returns:
            Arrays, one per output, with as many rows: float32, or uint8 where pixels are handed through.
        """
        ...


@dataclass(frozen=True)
class RuntimeIdentity:
    """Which runtime computed something, as far as the result depends on it.

    Attributes:
        name: `openvino`, `keras-` with its backend and `cpu` or `accelerator`, or `pixels`.
        version: the version of that library; `1` for pixels.
        precision: of the arithmetic.
    """

    name: str
    version: str
    precision: Precision


def openvino_identity(precision: Precision) -> RuntimeIdentity:
    """The identity of OpenVINO as installed here."""
    from importlib.metadata import version

    return RuntimeIdentity(OPENVINO, version("openvino"), precision)


def cpu_computes_bf16() -> bool:
    """Whether the processor has bfloat16 arithmetic of its own; elsewhere asking for it gains nothing."""
    return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class PixelsRuntime:
    """Hands pixels through as they are, where everything is trained: a quarter of the bytes of float32."""

    IDENTITY = RuntimeIdentity(PIXELS, "1", "f32")

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """See `Runtime`."""
        return list(batch)


class OpenVINORuntime:
    """A model in OpenVINO's intermediate representation, compiled for the CPU.

    It runs on few rows at once and on several such batches side by side, one on each core: what one layer gives is
    still in the cache when the next one takes it. Batches always have one fixed size, the last one padded: shapes
    known beforehand run faster, and a row's result does not depend on which other rows it happened to share a batch
    with.

    Args:
        model: the `.xml` file; its `.bin` lies beside it. Or a graph of OpenVINO's, which is changed.
        precision: of the arithmetic; inputs and outputs stay what they are.
        at_most: rows that it will be given at once, where they are few; more would be filled up in vain.
        pixels: whether the one input takes uint8 pixels rather than float32.
        batch: rows per run; by default as many as fit into the cache.

    Attributes:
        batch: rows per run.
        side_by_side: how many such batches run at the same time.
        shape: of one row of the first input.
    """

    def __init__(
        self,
        model: Any,
        precision: Precision = "f32",
        at_most: int = BATCH,
        pixels: bool = False,
        batch: int | None = None,
    ):
        openvino = load_openvino()
        core = openvino.Core()
        graph = core.read_model(model) if isinstance(model, Path) else model
        if pixels:
            steps = openvino.preprocess.PrePostProcessor(graph)
            steps.input().tensor().set_element_type(openvino.Type.u8)
            graph = steps.build()
        self.batch = min(batch, at_most) if batch else rows_at_once(graph, at_most)
        _reshape(graph, self.batch)
        hint = "THROUGHPUT" if at_most > self.batch else "LATENCY"
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": hint}
        if limit := most_cores():  # else OpenVINO knows better than we how many are cores, and how many halves of one
            settings |= {"INFERENCE_NUM_THREADS": limit, "ENABLE_CPU_PINNING": False}  # or all would take the first one
        self.shape = tuple(graph.inputs[0].shape)[1:]
        self._queue = openvino.AsyncInferQueue(core.compile_model(graph, "CPU", settings))
        # What the queue calls must not know the queue, or nobody ever frees the two of them.
        self._queue.set_callback(partial(_take, range(len(graph.outputs))))
        self.side_by_side = len(self._queue)
        self._one_at_a_time = Lock()

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """See `Runtime`."""
        starts = range(0, len(batch[0]), self.batch)
        results: list[list[np.ndarray]] = [[] for _ in starts]
        pieces = [[_pad(array[start : start + self.batch], self.batch) for array in batch] for start in starts]
        with self._one_at_a_time:
            try:
                for piece, result in zip(pieces, results, strict=True):
                    self._queue.start_async(dict(enumerate(piece)), userdata=result, share_inputs=True)
            finally:
                self._queue.wait_all()  # what runs still reads the pieces
        rows = len(batch[0])
        return [np.concatenate(outputs)[:rows] for outputs in zip(*results, strict=True)]


def _take(outputs: Sequence[int], request: Any, result: list[np.ndarray]) -> None:
    """Copy what a request gives before it is used for the next batch."""
    result += [np.array(request.get_output_tensor(number).data) for number in outputs]


def _reshape(graph: Any, rows: int) -> None:
    graph.reshape({port: [rows, *list(port.partial_shape)[1:]] for port in graph.inputs})


def rows_at_once(graph: Any, at_most: int) -> int:
    """How many rows a graph of OpenVINO's is run on at once where nobody has measured it; it is left with one row.

    Args:
        graph: changed.
        at_most: rows that it will be given; every core gets a batch of them.
    """
    _reshape(graph, 1)
    return min(rows_in_cache(graph), max(1, at_most // cores()))


def rows_in_cache(graph: Any) -> int:
    """How many rows a graph of OpenVINO's is best run on at once, as far as their size tells; at most `BATCH`.

    Args:
        graph: reshaped to one row.
    """
    computed = (operation for operation in graph.get_ordered_ops() if operation.get_type_name() != "Constant")
    shapes = [port.get_partial_shape() for operation in computed for port in operation.outputs()]
    largest = max(prod(shape.to_shape()) for shape in shapes if shape.is_static)
    fitting: int = max(1, min(BATCH, _CACHE_BYTES // (4 * largest)))
    return 1 << (fitting.bit_length() - 1)  # a power of two, so that batches of a usual size need no padding


class KerasRuntime:
    """A Keras model that runs in Keras, on whatever its backend computes on.

    Args:
        model: the model; its inputs are cast to what it expects.
        batch: rows per run; halved for good where memory runs out.
        few: whether there are few pictures, which do not earn back the seconds that compiling takes. TensorFlow can do
            without, but keeps the memory of every operation: a gigabyte for eight pictures of InceptionV3, so that
            large networks are compiled all the same. JAX would compile every operation by itself. OpenVINO compiles
            when somebody looks at the result, and in f32, which it does not promise otherwise.
    """

    def __init__(self, model: Any, batch: int = 32, few: bool = False):
        import keras

        self._model = model
        self._batch = batch
        self._one_at_a_time = Lock()
        backend = keras.config.backend()
        can_do_without = backend == "tensorflow" and few and model.count_params() < _LARGE
        self._traced = backend != OPENVINO and not can_do_without

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """See `Runtime`."""
        while True:
            try:
                with self._one_at_a_time:
                    return in_fixed_batches(self._run, self._batch, batch)
            except Exception as error:
                if not is_out_of_memory(error) or self._batch == 1:
                    raise
            self._batch //= 2
            log.warning("memory has run out, so the frozen part runs on %d pictures at once.", self._batch)

    def _run(self, *batch: np.ndarray) -> list[np.ndarray]:
        # Pixels become float32 where they are computed with: a quarter of the bytes on the way to an accelerator.
        rows = [array if array.dtype == np.uint8 else np.asarray(array, np.float32) for array in batch]
        given = rows if len(rows) > 1 else rows[0]
        with exact_f32():
            outputs = self._model.predict_on_batch(given) if self._traced else self._model(given, training=False)
        return [
            np.asarray(array, np.float32) for array in (outputs if isinstance(outputs, list | tuple) else [outputs])
        ]


@contextmanager
def exact_f32() -> Iterator[None]:
    """Let Keras' float32 be float32 while the block runs.

    GPUs are given 10 bits of its mantissa to multiply (TF32) unless somebody objects. A solved head can make several
    hundredths of a probability of that, also between two sizes of a batch.
    """
    import keras

    backend = keras.config.backend()
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif backend == "torch":
        from torch import backends

        with _switched_off(backends.cudnn, "allow_tf32"), _switched_off(backends.cuda.matmul, "allow_tf32"):
            yield
    elif backend == OPENVINO:
        yield
    else:
        from tensorflow.config import experimental

        before = experimental.tensor_float_32_execution_enabled()
        experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            experimental.enable_tensor_float_32_execution(before)


@contextmanager
def _switched_off(place: Any, name: str) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, False)
    try:
        yield
    finally:
        setattr(place, name, before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a backend says that memory has run out: each has an exception of its own, what they share is words."""
    kind, text = type(error).__name__, str(error)
    if "No space left on device" in text:
        return False
    return (
        isinstance(error, MemoryError)
        or kind in ("ResourceExhaustedError", "OutOfMemoryError")
        or "RESOURCE_EXHAUSTED" in text
        or "OOM when allocating" in text
    )


def in_fixed_batches(
    run: Callable[..., list[np.ndarray]], size: int, inputs: tuple[np.ndarray, ...]
) -> list[np.ndarray]:
    """Run any number of rows in batches of exactly `size`, the last one filled up with copies of its last row."""
    rows = len(inputs[0])
    results: list[list[np.ndarray]] = []
    for start in range(0, rows, size):
        piece = [array[start : start + size] for array in inputs]
        count = len(piece[0])
        padded = [_pad(array, size) for array in piece]
        results.append([np.array(output[:count]) for output in run(*padded)])
    return [np.concatenate(outputs) for outputs in zip(*results, strict=True)]


def _pad(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(array)
    if missing == 0:
        return np.ascontiguousarray(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
