"""From a Keras model to the runtime that runs it: converted once, compared with Keras before it is trusted."""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from headstart.errors import storage_errors
from headstart.features.runtime import (
    KerasRuntime,
    OpenVINORuntime,
    Precision,
    Runtime,
    RuntimeIdentity,
    cpu_computes_bf16,
    openvino_identity,
)
from headstart.features.store import Store, write_atomically

log = logging.getLogger(__name__)

PARITY_TOLERANCE = 1e-3
"""The largest difference from Keras that is put down to rounding, relative to the largest feature."""

BF16_TOLERANCE = 0.02
"""The largest relative error (norm of the difference over norm) at which `auto` takes bf16."""

PROBE_PICTURES = 8

Samples = Callable[[], np.ndarray]
"""Gives a few of the user's own pictures, uint8 `(n, height, width, 3)`; called only when they are needed."""


@dataclass(frozen=True)
class Findings:
    """What was found out about one frozen part on one version of OpenVINO.

    Attributes:
        openvino: the version.
        parity: the largest difference between OpenVINO in f32 and Keras, relative to the largest feature.
        bf16_error: norm of the difference between bf16 and f32 over the norm; None where bf16 was not tried.
    """

    openvino: str
    parity: float
    bf16_error: float | None = None


@dataclass(frozen=True)
class FrozenRuntime:
    """How a frozen part is to be run.

    Attributes:
        identity: what its results depend on.
        converted: OpenVINO's form of it, where that is what runs it.
        model: the frozen part in Keras.
    """

    identity: RuntimeIdentity
    converted: Path | None
    model: keras.Model

    def load(self) -> Runtime:
        """Make it ready to run on uint8 pictures."""
        if self.converted is None:
            return KerasRuntime(self.model)
        return OpenVINORuntime(self.converted, self.identity.precision, pixels=True)


def choose_runtime(
    frozen: keras.Model,
    fingerprint: str,
    store: Store,
    samples: Samples,
    precision: Literal["auto", "f32", "bf16"] = "auto",
) -> FrozenRuntime:
    """Decide which runtime and precision a frozen part runs in, from what is known of it or from a probe.

    On an accelerator it is Keras. On a CPU it is OpenVINO, if on the user's own pictures it agrees with Keras within
    `PARITY_TOLERANCE`; else Keras, with a warning. `auto` means f32 unless bf16 changes the features by no more than
    `BF16_TOLERANCE`. What is found is remembered in the store, so that the next run decides the same.

    Args:
        frozen: the frozen part; takes pixels 0-255.
        fingerprint: the digest of its graph and weights.
        store: where the converted form is kept.
        samples: pictures to probe with.
        precision: what the user asked for.
    """
    on_keras = FrozenRuntime(_keras_identity(), None, frozen)
    if _keras_has_accelerator():
        return on_keras
    folder = store.converted(fingerprint)
    findings = _recall(folder)
    if findings is None:
        findings = _convert_and_probe(frozen, folder, samples())
        _remember(folder, findings)
    if findings.parity > PARITY_TOLERANCE:
        log.warning(
            "OpenVINO's results differ from Keras' by %.2g for this network, so Keras runs the frozen part.",
            findings.parity,
        )
        return on_keras
    if precision == "auto" and findings.bf16_error is None and cpu_computes_bf16():
        findings = Findings(findings.openvino, findings.parity, _bf16_error(folder / "model.xml", samples()))
        _remember(folder, findings)
    chosen = _choose_precision(precision, findings)
    return FrozenRuntime(openvino_identity(chosen), folder / "model.xml", frozen)


def export_openvino(model: keras.Model, path: Path) -> None:
    """Write a Keras model in OpenVINO's form: `path` (`.xml`) and the `.bin` beside it."""
    model.export(str(path), format="openvino", verbose=False)


def relative_difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference in any tensor, relative to the largest value of that tensor; NaN counts as infinite."""
    pairs = zip(found, expected, strict=True)
    worst = max(float(np.max(np.abs(f - e)) / max(float(np.max(np.abs(e))), 1e-12)) for f, e in pairs)
    return worst if np.isfinite(worst) else float("inf")


def _keras_identity() -> RuntimeIdentity:
    backend = keras.config.backend()
    package = {"torch": "torch", "jax": "jax"}.get(backend, "tensorflow")
    return RuntimeIdentity(f"keras-{backend}", version(package), "f32")


def _keras_has_accelerator() -> bool:
    devices = keras.distribution.list_devices()
    return any(not device.lower().startswith("cpu") for device in devices)


def _choose_precision(asked: Literal["auto", "f32", "bf16"], findings: Findings) -> Precision:
    if asked != "auto":
        return asked
    error = findings.bf16_error
    return "bf16" if error is not None and error <= BF16_TOLERANCE else "f32"


def _convert_and_probe(frozen: keras.Model, folder: Path, pictures: np.ndarray) -> Findings:
    """Convert into a folder of its own, so that a converted model is there whole or not at all."""
    with storage_errors(folder, "Free some space there, or set HEADSTART_STORE to a folder that can be written."):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as temporary:
            try:
                export_openvino(frozen, Path(temporary) / "model.xml")
                found = OpenVINORuntime(Path(temporary) / "model.xml", pixels=True)(pictures)
            except Exception as error:  # a layer that the converter does not know, in whatever way it says so
                log.warning("OpenVINO cannot run this network (%s).", " ".join(str(error).split())[:200])
                parity = float("inf")
            else:
                parity = relative_difference(found, KerasRuntime(frozen, batch=PROBE_PICTURES)(pictures))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(temporary, folder)
    return Findings(version("openvino"), parity)


def _bf16_error(model: Path, pictures: np.ndarray) -> float:
    exact, rounded = (
        np.concatenate([tensor.ravel() for tensor in OpenVINORuntime(model, precision, pixels=True)(pictures)])
        for precision in ("f32", "bf16")
    )
    return float(np.linalg.norm(rounded - exact) / max(float(np.linalg.norm(exact)), 1e-12))


def _recall(folder: Path) -> Findings | None:
    try:
        known: dict[str, Any] = json.loads((folder / "findings.json").read_text())
        findings = Findings(**known)
    except (OSError, ValueError, TypeError):
        return None
    usable = findings.parity > PARITY_TOLERANCE or (folder / "model.bin").exists()
    return findings if usable and findings.openvino == version("openvino") else None


def _remember(folder: Path, findings: Findings) -> None:
    with storage_errors(folder, "Free some space there, or set HEADSTART_STORE to a folder that can be written."):
        write_atomically(folder / "findings.json", json.dumps(asdict(findings)).encode())
