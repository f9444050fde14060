"""A frozen part that travels: all that another process, on this machine or on another one, needs to run it."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
)
from headstart.features.tuning import tuned_rows
from headstart.loading import load_keras

_KERAS_FILE = "frozen.keras"


@dataclass(frozen=True)
class Packed:
    """A frozen part and how it is run.

    Attributes:
        runtime: `openvino`, `pixels`, or the backend of Keras that runs it.
        precision: of the arithmetic.
        rows: pictures that it runs on at once.
        given: pictures that it is best given at once.
        files: its files by name.
        on_accelerator: whether Keras runs it on a GPU or a TPU.
    """

    runtime: str
    precision: Precision
    rows: int
    given: int
    files: Mapping[str, bytes]
    on_accelerator: bool = False

    def unpack(self) -> Runtime:
        """Make it ready to run on uint8 pictures in this process.

        Raises:
            HeadstartError: if what runs it is not installed.
        """
        if self.runtime == PIXELS:
            return PixelsRuntime()
        with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            if self.runtime == OPENVINO:
                return OpenVINORuntime(Path(folder) / MODEL_FILE, self.precision, BATCH, pixels=True, batch=self.rows)
            os.environ["KERAS_BACKEND"] = self.runtime
            load_keras("computing features")
            import keras

            return KerasRuntime(keras.saving.load_model(Path(folder) / _KERAS_FILE, safe_mode=True), self.rows)


def pack_pixels() -> Packed:
    """What hands pixels through where nothing is frozen."""
    return Packed(PIXELS, "f32", BATCH, BATCH, {})


def pack_openvino(file: Path, precision: Precision, at_once: int = BATCH) -> Packed:
    """A frozen part in OpenVINO's form: the same batches wherever it runs give the same bits.

    Args:
        file: the `.xml`, beside which is the `.bin`.
        precision: of the arithmetic.
        at_once: pictures that it is given at once where it is not packed.
    """
    weights = file.with_suffix(".bin")
    files = {MODEL_FILE: file.read_bytes(), Path(MODEL_FILE).with_suffix(".bin").name: weights.read_bytes()}
    return Packed(OPENVINO, precision, tuned_rows(file, precision, at_once), BATCH, files)


def pack_keras(model: Any, precision: Precision, rows: int, on_accelerator: bool) -> Packed:
    """A frozen part that Keras runs.

    Args:
        model: the frozen part, as Keras is to run it.
        precision: of the arithmetic.
        rows: pictures that it runs on at once.
        on_accelerator: whether that is a GPU or a TPU.
    """
    import keras

    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        model.save(Path(folder) / _KERAS_FILE)
        files = {_KERAS_FILE: (Path(folder) / _KERAS_FILE).read_bytes()}
    return Packed(keras.config.backend(), precision, rows, rows, files, on_accelerator)
