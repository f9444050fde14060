"""A RUN for OpenVINO: its two halves as one graph that takes uint8 pixels. Without Keras, where it has halves."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.explaining.halves import cut_off, hand_over, join_halves, pooling
from headstart.exporting.formats import ExportPrecision
from headstart.exporting.matching import Correction, match
from headstart.features.runtime import BATCH, OpenVINORuntime
from headstart.loading import load_keras, load_openvino

_VECTOR = 2  # dimensions of a batch of vectors


def write_openvino(
    run: Run, file: Path, precision: ExportPrecision, labels: Mapping[str, Any], calibration: np.ndarray | None
) -> None:
    """Write the classifier as `file` (`.xml`), with its weights beside it.

    Args:
        run: the RUN.
        file: where to.
        precision: f16 is of the weights of the frozen half, and of all where nothing is frozen; int8 is of the
            backbone, while the head stays in f32.
        labels: what is known of it, texts by name, kept inside under `headstart`.
        calibration: for int8, uint8 pictures `(n, height, width, 3)`.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        files = _files(run, Path(folder))
        if precision == "f16":
            files = [_in_f16(files[0], Path(folder)), *files[1:]]
        parameters, output, crossing = join_halves(files)
        if precision == "int8":
            assert calibration is not None
            parameters, output = _in_int8(parameters, output, crossing, calibration)
        model = _for_users(parameters, output)
        for name, text in labels.items():
            model.set_rt_info(text, ["headstart", name])
        load_openvino().save_model(model, file, compress_to_fp16=False)


def load_in_f32(run: Run, pictures: int) -> OpenVINORuntime | None:
    """A RUN in f32, whatever it runs in itself; gives probabilities of uint8 pixels. None where it has no halves."""
    files = run.runtime_files()
    if not files:
        return None
    parameters, output, _ = join_halves(files)
    return OpenVINORuntime(_for_users(parameters, output), at_most=min(BATCH, pictures))


def _files(run: Run, folder: Path) -> list[Path]:
    """The halves of a RUN; the whole, converted now, where a RUN has none."""
    if files := run.runtime_files():
        return files
    load_keras("export to openvino of a RUN without runtime/")
    from headstart.features.convert import export_openvino

    export_openvino(run.model, folder / "whole.xml")
    return [folder / "whole.xml"]


def _in_f16(file: Path, folder: Path) -> Path:
    openvino = load_openvino()
    rounded = folder / "f16.xml"
    openvino.save_model(openvino.Core().read_model(file), rounded, compress_to_fp16=True)
    return rounded


def _for_users(parameters: Sequence[Any], output: Any) -> Any:
    """A graph from uint8 `pixels` to `probabilities` of all classes, for any number of pictures."""
    openvino = load_openvino()
    if output.get_partial_shape()[1] == 1:
        output = _of_both_classes(output)
    model = openvino.Model([output], list(parameters), "classifier")
    model.outputs[0].get_tensor().set_names({"probabilities"})
    if model.inputs[0].get_element_type() != openvino.Type.u8:
        steps = openvino.preprocess.PrePostProcessor(model)
        steps.input().tensor().set_element_type(openvino.Type.u8)
        model = steps.build()
    model.inputs[0].get_tensor().set_names({"pixels"})
    model.reshape([-1, *list(model.inputs[0].get_partial_shape())[1:]])
    return model


def _of_both_classes(units: Any) -> Any:
    operations = load_openvino().opset13
    others = operations.subtract(operations.constant(np.ones((1, 1), np.float32)), units)
    return operations.concat([others, units], 1).output(0)


def _in_int8(
    parameters: Sequence[Any], output: Any, crossing: Sequence[Any], calibration: np.ndarray
) -> tuple[list[Any], Any]:
    """The same graph with an integer backbone, its features put right where they are vectors; the head stays f32."""
    pooled = pooling(output)
    if pooled is not None:
        features = [pooled.output(0)]
    elif crossing and all(len(port.get_partial_shape()) == _VECTOR for port in crossing):
        features = list(crossing)
    else:
        quantised = _quantised(parameters, [output], calibration)
        return quantised.get_parameters(), quantised.get_results()[0].input_value(0)
    cuts = [cut_off(port) for port in features]
    wanted = _run(_with_bytes(parameters, features), calibration)
    quantised = _quantised(parameters, features, calibration)
    found = _run(quantised.clone(), calibration)
    for cut, result, one, other in zip(cuts, quantised.get_results(), found, wanted, strict=True):
        hand_over(cut.output(0), _put_right(result.input_value(0), match(one, other)))
    return quantised.get_parameters(), output


def _put_right(features: Any, correction: Correction) -> Any:
    operations = load_openvino().opset13
    scale, shift = (operations.constant(values[None]) for values in correction)
    return operations.add(operations.multiply(features, scale), shift).output(0)


def _with_bytes(parameters: Sequence[Any], outputs: Sequence[Any]) -> Any:
    openvino = load_openvino()
    steps = openvino.preprocess.PrePostProcessor(openvino.Model(list(outputs), list(parameters), "backbone").clone())
    steps.input().tensor().set_element_type(openvino.Type.u8)
    return steps.build()


def _quantised(parameters: Sequence[Any], outputs: Sequence[Any], calibration: np.ndarray) -> Any:
    """In integers, by what calibration pictures show.

    Half of the range of weights is left unused: processors without VNNI add pairs of products in 16 bits, which else
    overflow, and would do so without a word.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    rows = nncf.Dataset(list(calibration), lambda picture: picture[None])
    return nncf.quantize(
        _with_bytes(parameters, outputs),
        rows,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )


def _run(model: Any, pixels: np.ndarray) -> list[np.ndarray]:
    runtime = OpenVINORuntime(model, at_most=BATCH)
    pieces = [runtime(np.ascontiguousarray(pixels[start : start + BATCH])) for start in range(0, len(pixels), BATCH)]
    return [np.concatenate(tensors) for tensors in zip(*pieces, strict=True)]


def as_texts(about: Mapping[str, Any]) -> dict[str, str]:
    """What is known of an export as texts, for formats that keep texts: JSON each."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in about.items()}
