"""From a Keras model to the runtime that runs it: converted once, compared with Keras before it is trusted."""

import errno
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from headstart.errors import require_free_space, storage_errors
from headstart.features.accelerator import batch_for, in_bfloat16, on_accelerator
from headstart.features.graphs import straighten
from headstart.features.keys import file_digest
from headstart.features.packed import Packed, pack_keras, pack_openvino, pack_pixels
from headstart.features.runtime import (
    BATCH,
    MODEL_FILE,
    OPENVINO,
    PIXELS,
    KerasRuntime,
    OpenVINORuntime,
    PixelsRuntime,
    Precision,
    Runtime,
    RuntimeIdentity,
    cpu_computes_bf16,
    openvino_identity,
)
from headstart.features.store import STORE_HINT, Store, write_atomically
from headstart.features.tuning import load_tuned
from headstart.loading import has_openvino, load_openvino
from headstart.threads import cores

log = logging.getLogger(__name__)

PARITY_TOLERANCE = 1e-3
"""The largest difference from Keras that is put down to rounding, relative to the largest feature."""

BF16_TOLERANCE = 0.005
"""The largest relative error (norm of the difference over norm) at which `auto` takes bf16: small enough that
`model.keras`, which computes in f32, still gives the probabilities that were reported."""

PROBE_PICTURES = 8

_CORES_FOR_A_BATCH = 8
"""More cores are given more pictures at once, so that each has some."""

Asked = Literal["auto", "f32", "bf16"]
"""The precision that a recipe asks for."""

Samples = Callable[[], np.ndarray]
"""Gives a few of the user's own pictures, uint8 `(n, height, width, 3)`; called only when they are needed."""


@dataclass(frozen=True)
class Findings:
    """What was found out about one frozen part on the version of OpenVINO that is installed.

    Attributes:
        parity: the largest difference between OpenVINO in f32 and Keras, relative to the largest feature.
        digests: of the files of the converted model, by name.
        bf16_error: norm of the difference between bf16 and f32 over the norm; None where bf16 was not tried.
    """

    parity: float
    digests: dict[str, str]
    bf16_error: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether the converted model may stand for the one in Keras."""
        return self.parity <= PARITY_TOLERANCE


@dataclass(frozen=True)
class FrozenRuntime:
    """How a frozen part is to be run.

    Attributes:
        identity: what its results depend on.
        converted: OpenVINO's form of it, where that agrees with Keras; a RUN needs it even if Keras computes features.
            None too where nothing is frozen.
        model: the frozen part in Keras, as Keras is to run it.
        batch: pictures that it is best given at once.
    """

    identity: RuntimeIdentity
    converted: Path | None
    model: keras.Model
    batch: int = BATCH

    @property
    def rounds(self) -> bool:
        """Whether it gives other features than the model that is saved, which Keras runs in f32 everywhere."""
        return self.identity.precision != "f32" and self.identity.name != OPENVINO

    def pack(self) -> Packed:
        """The same for another process."""
        if self.identity.name == PIXELS:
            return pack_pixels()
        if self.converted is None or self.identity.name != OPENVINO:
            return pack_keras(self.model, self.identity.precision, self.batch, on_accelerator())
        return pack_openvino(self.converted, self.identity.precision, self.batch)

    def load(self, at_most: int | None = None, pictures: int = 0) -> Runtime:
        """Make it ready to run on uint8 pictures.

        Args:
            at_most: pictures that it will be given at once, where that is known; more would be filled up in vain.
            pictures: how many it is going to run on in all, where that is known.
        """
        if self.identity.name == PIXELS:
            return PixelsRuntime()
        if self.converted is None or self.identity.name != OPENVINO:
            return KerasRuntime(self.model, min(self.batch, at_most or self.batch))
        return load_tuned(self.converted, self.identity.precision, pictures, min(self.batch, at_most or self.batch))


def choose_runtime(
    frozen: keras.Model,
    fingerprint: str,
    store: Store,
    samples: Samples,
    precision: Asked = "auto",
) -> FrozenRuntime:
    """Decide which runtime and precision a frozen part runs in, from what is known of it or from a probe.

    Where nothing is frozen, pixels are handed through. On an accelerator it is Keras, and `auto` means bf16. On a CPU
    it is OpenVINO, if on the user's own pictures it agrees with Keras within `PARITY_TOLERANCE`; else Keras, with a
    warning. There `auto` means f32 unless bf16 changes the features by no more than `BF16_TOLERANCE`. What is found is
    remembered in the store, so that the next run decides the same.

    Args:
        frozen: the frozen part; takes pixels 0-255.
        fingerprint: the digest of its graph and weights.
        store: where the converted form is kept.
        samples: pictures to probe with.
        precision: what the user asked for.
    """
    if not _computes(frozen):
        if precision == "bf16":
            log.warning("Nothing is frozen here that could run in bf16.")
        return FrozenRuntime(PixelsRuntime.IDENTITY, None, frozen)
    folder, findings = _find_out(frozen, fingerprint, store, samples)
    converted = folder / MODEL_FILE if findings is not None and findings.agrees else None
    if on_accelerator():
        return _for_accelerator(frozen, converted, precision)
    if findings is None or converted is None:
        if precision == "bf16":
            log.warning("Keras runs the frozen part, and in f32: on a processor bf16 is OpenVINO's.")
        return FrozenRuntime(_keras_identity("cpu", "f32"), converted, frozen)
    if precision == "auto" and findings.bf16_error is None and cpu_computes_bf16():
        findings = replace(findings, bf16_error=_bf16_error(converted, samples()))
        _remember(folder, findings)
    batch = BATCH * max(1, cores() // _CORES_FOR_A_BATCH)
    return FrozenRuntime(openvino_identity(_choose_precision(precision, findings)), converted, frozen, batch)


def why_not_converted() -> str | None:
    """Why no network becomes OpenVINO's here, in a clause; None where networks do."""
    if not has_openvino():
        return "OpenVINO is not installed (pip install openvino)"
    if keras.config.backend() == "jax":
        return "OpenVINO cannot read what Keras traces with JAX (KERAS_BACKEND=tensorflow)"
    return None


def export_openvino(model: keras.Model, path: Path) -> None:
    """Write a Keras model in OpenVINO's form: `path` (`.xml`) and the `.bin` beside it."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".raw-") as folder:
        raw = Path(folder) / path.name
        openvino = load_openvino()
        model.export(str(raw), format="openvino", verbose=False)
        graph = openvino.Core().read_model(raw)
        if keras.config.backend() == OPENVINO:
            straighten(graph)
        results = _outputs_of_the_model(graph, len(model.outputs))
        openvino.save_model(openvino.Model(results, graph.get_parameters()), path, compress_to_fp16=False)


def _outputs_of_the_model(graph: Any, count: int) -> list[Any]:
    """The results that stand for the model's outputs, in their order.

    TensorFlow calls those Identity, Identity_1 and so on. Activations with a gradient of their own (swish) leave
    others behind, which OpenVINO 2026.4 takes for outputs too. Other backends have no names for them, and no others.
    """
    if keras.config.backend() != "tensorflow" and len(graph.outputs) == count:
        return [port.get_node() for port in graph.outputs]
    found = {}
    for port in graph.outputs:
        for name in port.get_names():
            if match := re.fullmatch(r"Identity(?:_(\d+))?:0", name):
                found[int(match[1] or 0)] = port.get_node()
    if sorted(found) != list(range(count)):
        raise ValueError(f"the converted model has outputs {sorted(found)} instead of {count}")
    return [found[number] for number in range(count)]


def relative_difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference in any tensor, relative to the largest value of that tensor; NaN counts as infinite."""
    pairs = zip(found, expected, strict=True)
    worst = max(float(np.max(np.abs(f - e)) / max(float(np.max(np.abs(e))), 1e-12)) for f, e in pairs)
    return worst if np.isfinite(worst) else float("inf")


def _computes(frozen: keras.Model) -> bool:
    return any(not isinstance(layer, keras.layers.InputLayer) for layer in frozen.layers)


def _for_accelerator(frozen: keras.Model, converted: Path | None, precision: Asked) -> FrozenRuntime:
    """Keras runs it there, on many pictures at once; in bf16 unless f32 was asked for."""
    chosen: Precision = "f32" if precision == "f32" else "bf16"
    model = frozen if chosen == "f32" else in_bfloat16(frozen)
    return FrozenRuntime(_keras_identity("accelerator", chosen), converted, model, batch_for(frozen, BATCH))


def _find_out(frozen: keras.Model, fingerprint: str, store: Store, samples: Samples) -> tuple[Path, Findings | None]:
    """Where OpenVINO's form of a frozen part lies, and what is known of it; None where it has none."""
    folder = store.converted(fingerprint) / (version("openvino") if has_openvino() else "none")
    known = _recall(folder)  # which another process may have left that can convert, where this one cannot
    if known is None and why_not_converted():
        return folder, None
    return folder, known or _convert_and_probe(frozen, folder, samples())


def _keras_identity(device: Literal["cpu", "accelerator"], precision: Precision) -> RuntimeIdentity:
    backend = keras.config.backend()
    return RuntimeIdentity(f"keras-{backend}-{device}", version(backend), precision)


def _choose_precision(asked: Asked, findings: Findings) -> Precision:
    if asked != "auto":
        return asked
    error = findings.bf16_error
    return "bf16" if error is not None and error <= BF16_TOLERANCE else "f32"


def _convert_and_probe(frozen: keras.Model, folder: Path, pictures: np.ndarray) -> Findings | None:
    """Convert beside the folder, compare, and rename: it is there whole or not at all.

    None if it cannot be converted; that may be the day's fault, so it is not remembered.
    """
    with storage_errors(folder, STORE_HINT):
        folder.parent.mkdir(parents=True, exist_ok=True)
        require_free_space(folder.parent, _size_of(frozen))
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-"))
        try:
            findings = _probe(frozen, temporary, pictures)
            if findings is not None:
                _remember(temporary, findings)
                _move_unless_there(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    if findings is not None and not findings.agrees:
        _warn_of(findings)
    return findings


def _probe(frozen: keras.Model, folder: Path, pictures: np.ndarray) -> Findings | None:
    """Convert into a folder, and see how far the converted model is from Keras."""
    file = folder / MODEL_FILE
    try:
        export_openvino(frozen, file)
        found = OpenVINORuntime(file, pixels=True)(pictures)
    except OSError:
        raise
    except Exception as error:  # a layer that the converter does not know, in whatever way it says so
        log.warning(
            "OpenVINO cannot run this network (%s), so Keras runs the frozen part.", " ".join(str(error).split())[:200]
        )
        return None
    return Findings(relative_difference(found, _as_keras_has_it(frozen, folder, pictures)), _digests(folder))


def _as_keras_has_it(frozen: keras.Model, folder: Path, pictures: np.ndarray) -> list[np.ndarray]:
    """What a frozen part gives in Keras.

    On OpenVINO it is what Keras exports that is run, and of one picture at once, as it is made for one: Keras itself
    takes a minute for a large network there, because it compiles it for these pictures alone, as constants.
    """
    if keras.config.backend() != OPENVINO:
        return KerasRuntime(frozen, batch=len(pictures), few=True)(pictures)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        raw = Path(temporary) / MODEL_FILE
        frozen.export(str(raw), format="openvino", verbose=False)
        return OpenVINORuntime(raw, pixels=True, at_most=1)(pictures)


def _warn_of(findings: Findings) -> None:
    log.warning(
        "OpenVINO's results differ from Keras' by %.2g for this network, so Keras runs the frozen part.",
        findings.parity,
    )


def _digests(folder: Path) -> dict[str, str]:
    file = folder / MODEL_FILE
    return {path.name: file_digest(path) for path in (file, file.with_suffix(".bin"))}


def _move_unless_there(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise  # else another process was faster, with the same result


def _size_of(model: keras.Model) -> int:
    return 4 * int(model.count_params()) + (1 << 20)


def _bf16_error(model: Path, pictures: np.ndarray) -> float:
    exact, rounded = (
        np.concatenate([tensor.ravel() for tensor in OpenVINORuntime(model, precision, pixels=True)(pictures)])
        for precision in ("f32", "bf16")
    )
    return float(np.linalg.norm(rounded - exact) / max(float(np.linalg.norm(exact)), 1e-12))


def _recall(folder: Path) -> Findings | None:
    """What is known of a converted model; nothing if its files are not those that were written."""
    try:
        known: dict[str, Any] = json.loads((folder / "findings.json").read_text())
        findings = Findings(float(known["parity"]), dict(known["digests"]), known["bf16_error"])
        whole = findings.digests == _digests(folder)
    except (OSError, ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    with suppress(OSError):
        os.utime(folder.parent)  # for prune: it is in use
    if not findings.agrees:
        _warn_of(findings)
    return findings


def _remember(folder: Path, findings: Findings) -> None:
    with storage_errors(folder, STORE_HINT):
        write_atomically(folder / "findings.json", json.dumps(asdict(findings)).encode())
