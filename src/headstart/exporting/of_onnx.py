"""A RUN as ONNX, by tf2onnx from a SavedModel.

Not by `keras.Model.export(format="onnx")`: constants that TensorFlow captures, as those of a `Normalization` layer,
become inputs there that nobody could feed (Keras 3.15), and neither inputs nor outputs can be given names.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.exporting.formats import ExportPrecision
from headstart.exporting.of_tensorflow import SIGNATURE
from headstart.exporting.quietly import run_module
from headstart.exporting.rounding import in_f16, least_halved
from headstart.run_files import first_line


def write_onnx(saved_model: Path, file: Path, precision: ExportPrecision, labels: Mapping[str, str]) -> None:
    """Write an ONNX model with one input, `pixels`, and one output, `probabilities`.

    Args:
        saved_model: see `Source.for_converters`.
        file: where to.
        precision: f16 is of the weights: they are widened when a session is made, and computed with in f32.
        labels: what is known of it, texts by name, kept as its metadata.

    Raises:
        HeadstartError: if it cannot be converted.
    """
    import onnx

    wanted = {"--saved-model": saved_model, "--signature_def": SIGNATURE, "--tag": "serve", "--output": file}
    complaint = run_module("tf2onnx.convert", *(str(part) for pair in wanted.items() for part in pair))
    if not file.exists():
        raise HeadstartError(f"tf2onnx does not convert this network: {complaint}")
    model = onnx.load(file)
    (batch,) = (model.graph.input[0].type.tensor_type.shape.dim[0],)
    batch.dim_param = "n"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "n"
    _spell_out_erfc(model.graph)
    if precision == "f16":
        _halve(model)
    onnx.helper.set_model_props(model, dict(labels))
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise HeadstartError(f"tf2onnx does not convert this network: {first_line(error)}") from None
    onnx.save(model, file)


def _spell_out_erfc(graph: Any) -> None:
    """Write `1 - erf(x)` for TensorFlow's `erfc(x)`, of which GELU is made; tf2onnx leaves it as it is."""
    from onnx import helper, numpy_helper

    one = "one_of_erfc"
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        if node.op_type == "Erfc":
            given, wanted = graph.node[-1], node.output[0]
            given.op_type, given.output[0] = "Erf", f"{wanted}_erf"
            graph.node.append(helper.make_node("Sub", [one, given.output[0]], [wanted]))
    if any(one in node.input for node in graph.node):
        graph.initializer.append(numpy_helper.from_array(np.float32(1), one))


def _halve(model: Any) -> None:
    """Keep large weights in f16, each with a Cast behind it, which runtimes do once, when they load the model."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    floats = [weights for weights in model.graph.initializer if weights.data_type == TensorProto.FLOAT]
    least = least_halved(math.prod(weights.dims) for weights in floats)
    for weights in floats:
        name = weights.name
        if math.prod(weights.dims) < least:
            continue
        rounded = numpy_helper.from_array(in_f16(numpy_helper.to_array(weights)), f"{name}_f16")
        weights.CopyFrom(rounded)
        casts.append(helper.make_node("Cast", [rounded.name], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
