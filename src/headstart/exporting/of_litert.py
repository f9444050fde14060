"""A RUN for LiteRT (TensorFlow Lite), by TensorFlow's converter from a SavedModel, of built-in operations alone."""

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.exporting.formats import ExportPrecision
from headstart.exporting.litert_weights import halved
from headstart.exporting.of_tensorflow import SIGNATURE, Source
from headstart.exporting.rounding import STATISTICS, match, spread_rows
from headstart.exporting.usage import LABELS
from headstart.run_files import first_line


def write_litert(
    source: Source,
    file: Path,
    precision: ExportPrecision,
    labels: str,
    calibration: np.ndarray | None,
    work: Path,
) -> None:
    """Write a `.tflite` with one input, `pixels`, and one output, `probabilities`, for any number of pictures.

    Args:
        source: the classifier.
        file: where to.
        precision: f16 is of the weights: they are widened when the model is loaded, and computed with in f32; int8 of
            weights and of the arithmetic, from and to uint8 and float32.
        labels: the text that is put into it as `labels.txt`, as TensorFlow Lite's metadata packs files: `unzip` and
            Android's libraries find it there.
        calibration: for int8, uint8 pictures `(n, height, width, 3)`.
        work: a folder for what is made on the way.

    Raises:
        HeadstartError: if it cannot be converted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.write_bytes(_converted(source, work, precision, calibration))
    except OSError:
        raise
    except Exception as error:  # the converter has exceptions of its own
        raise HeadstartError(f"TensorFlow's converter does not convert this network: {first_line(error)}") from None
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), labels)


def _converted(source: Source, folder: Path, precision: ExportPrecision, calibration: np.ndarray | None) -> bytes:
    if precision != "int8":
        converted = _convert(source.for_converters)
        return halved(converted) if precision == "f16" else converted
    assert calibration is not None
    features, corrected = folder / "features", folder / "corrected"
    if not source.write_features(features):
        return _convert(source.for_converters, calibration)
    found = _run(_convert(features, calibration), calibration)
    source.write_corrected(corrected, match(found, source.features(calibration)))
    return _convert(corrected, calibration)


def _convert(saved_model: Path, calibration: np.ndarray | None = None) -> bytes:
    """In f32, or with calibration pictures in int8."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        rows = spread_rows(calibration, STATISTICS)
        converter.representative_dataset = lambda: _one_by_one(rows)
    converted: bytes = converter.convert()
    return converted


def _one_by_one(pixels: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    return ({"pixels": picture[None]} for picture in pixels)


def _run(content: bytes, pixels: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    model: Any = Interpreter(model_content=content)
    model.allocate_tensors()
    (given,), (wanted,) = model.get_input_details(), model.get_output_details()
    rows = []
    for picture in pixels:
        model.set_tensor(given["index"], picture[None])
        model.invoke()
        rows.append(model.get_tensor(wanted["index"]))
    return np.concatenate(rows)
