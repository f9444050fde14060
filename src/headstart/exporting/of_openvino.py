"""A RUN for OpenVINO: its two halves as one graph that takes uint8 pixels. Without Keras, where it has halves."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.explaining.halves import cut_off, join_halves, pooling
from headstart.exporting.formats import ExportPrecision
from headstart.exporting.rounding import STATISTICS, Correction, in_f16, least_halved, match, spread_rows
from headstart.features.graphs import hand_over
from headstart.features.runtime import BATCH, OpenVINORuntime
from headstart.loading import load_keras, load_openvino

_VECTOR = 2  # dimensions of a batch of vectors


def write_openvino(
    run: Run,
    file: Path,
    precision: ExportPrecision,
    labels: Mapping[str, Any],
    calibration: np.ndarray | None,
    spared: float = 0.0,
) -> None:
    """Write the classifier as `file` (`.xml`), with its weights beside it.

    Args:
        run: the RUN.
        file: where to.
        precision: f16 is of the weights, which are widened where they are computed with; int8 is of the backbone,
            while the head is as in f16.
        labels: what is known of it, texts by name, kept inside under `headstart`.
        calibration: for int8, uint8 pictures `(n, height, width, 3)`.
        spared: the share of the convolutions, the last ones, that int8 leaves as in f16.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        files = _files(run, Path(folder))
        parameters, output, crossing = join_halves(files)
        if precision == "int8":
            assert calibration is not None
            parameters, output = _in_int8(parameters, output, crossing, calibration, spared)
        model = _for_users(parameters, output)
        if precision != "f32":
            _halve(model)
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


def _halve(model: Any) -> None:
    """Keep large weights in f16. OpenVINO's own way keeps all in it, small ones too, which is where accuracy goes."""
    openvino = load_openvino()
    operations = openvino.opset13
    constants = [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
    floats = [node for node in constants if node.get_element_type() == openvino.Type.f32]
    least = least_halved(node.data.size for node in floats)
    for node in floats:
        if node.data.size >= least:
            rounded = operations.constant(in_f16(np.array(node.data)))
            hand_over(node.output(0), operations.convert(rounded, "f32").output(0))


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
    parameters: Sequence[Any], output: Any, crossing: Sequence[Any], calibration: np.ndarray, spared: float
) -> tuple[list[Any], Any]:
    """The same graph with an integer backbone, its features put right where they are vectors; the head is left."""
    pooled = pooling(output)
    if pooled is not None:
        features = [pooled.output(0)]
    elif crossing and all(len(port.get_partial_shape()) == _VECTOR for port in crossing):
        features = list(crossing)
    else:
        quantised = _quantised(parameters, [output], calibration, spared)
        return quantised.get_parameters(), quantised.get_results()[0].input_value(0)
    cuts = [cut_off(port) for port in features]
    wanted = _run(_with_bytes(parameters, features), calibration)
    quantised = _quantised(parameters, features, calibration, spared)
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


def _quantised(parameters: Sequence[Any], outputs: Sequence[Any], calibration: np.ndarray, spared: float) -> Any:
    """In integers, by what calibration pictures show.

    Half of the range of weights is left unused: processors without VNNI add pairs of products in 16 bits, which else
    overflow, and would do so without a word.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    rows = nncf.Dataset(list(spread_rows(calibration, STATISTICS)), lambda picture: picture[None])
    model = _with_bytes(parameters, outputs)
    layers = [node.get_friendly_name() for node in model.get_ordered_ops() if "Convolution" in node.get_type_name()]
    return nncf.quantize(
        model,
        rows,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=layers[round(len(layers) * (1 - spared)) :]),
        subset_size=min(STATISTICS, len(calibration)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )


def _run(model: Any, pixels: np.ndarray) -> list[np.ndarray]:
    runtime = OpenVINORuntime(model, at_most=BATCH)
    pieces = [runtime(np.ascontiguousarray(pixels[start : start + BATCH])) for start in range(0, len(pixels), BATCH)]
    return [np.concatenate(tensors) for tensors in zip(*pieces, strict=True)]


def as_texts(about: Mapping[str, Any]) -> dict[str, str]:
    """What is known of an export as texts, for formats that keep texts: JSON each."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in about.items()}
