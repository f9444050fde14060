"""Which weights are halved, the same in all formats: large ones, so that small ones, which cost accuracy, are left."""

import numpy as np
import pytest

from headstart.exporting.rounding import least_halved

WIDTH, HIDDEN, CLASSES = 64, 96, 2  # so that what is not the first layer is less than a tenth
SIZES = {"first": WIDTH * HIDDEN, "bias": HIDDEN, "last": HIDDEN * CLASSES}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1000], 1000),
        ([1, 99, 900], 900),  # 100 of 1000 are a tenth
        ([2, 99, 899], 99),
        ([10] * 20, 10),  # of the same size all or none
        ([1, 1, 98], 98),
        ([], 1),
    ],
)
def test_what_is_left_in_f32_is_a_tenth_at_most(sizes, expected):
    assert least_halved(iter(sizes)) == expected
    assert sum(size for size in sizes if size < expected) <= 0.1 * sum(sizes)


def test_the_size_of_a_file_in_f16_stays_within_a_tenth_of_half_whatever_the_network():
    chance = np.random.default_rng(0)
    for _ in range(50):
        sizes = chance.integers(1, 10 ** chance.integers(1, 7), chance.integers(1, 60))
        least = least_halved(sizes)
        halved = sizes[sizes >= least].sum()
        assert (2 * halved + 4 * (sizes.sum() - halved)) / (4 * sizes.sum()) <= 0.5 * 1.1 + 1e-12


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(1)
    return {
        "first": chance.normal(size=(HIDDEN, WIDTH)).astype(np.float32),
        "bias": chance.normal(size=HIDDEN).astype(np.float32),
        "last": chance.normal(size=(CLASSES, HIDDEN)).astype(np.float32),
    }


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, WIDTH)).astype(np.float32)


def computed(weights: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """What the network gives with only its large weights in f16."""
    first = weights["first"].astype(np.float16).astype(np.float32)
    hidden = np.maximum(rows @ first.T + weights["bias"], 0)
    return hidden @ weights["last"].T


def test_litert_keeps_only_large_weights_in_half_precision(weights, rows):
    from ai_edge_litert.interpreter import Interpreter

    from headstart.exporting.litert_weights import halved

    before = litert_model(weights)
    after = halved(before)
    assert len(before) - len(after) > 0.9 * 2 * SIZES["first"]
    model = Interpreter(model_content=after)
    model.allocate_tensors()
    model.set_tensor(model.get_input_details()[0]["index"], rows)
    model.invoke()
    found = model.get_tensor(model.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, computed(weights, rows), rtol=1e-5, atol=1e-5)
    held = {detail["name"]: detail["dtype"] for detail in model.get_tensor_details()}
    assert held["first_f16"] is np.float16
    assert not {"bias_f16", "last_f16"} & set(held)


def litert_model(weights: dict[str, np.ndarray]) -> bytes:
    """Two fully connected layers, as TensorFlow's converter would write them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name, shape, buffer=0):
        made = schema.TensorT()
        made.name, made.shape, made.buffer, made.type = name, list(shape), buffer, schema.TensorType.FLOAT32
        return made

    def buffer(values=None):
        made = schema.BufferT()
        made.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        return made

    def dense(inputs, output, activation):
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = 0, inputs, [output]
        made.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        made.builtinOptions = schema.FullyConnectedOptionsT()
        made.builtinOptions.fusedActivationFunction = activation
        return made

    graph, model, code = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT()
    graph.tensors = [
        tensor(b"rows", (2, WIDTH)),
        *(tensor(name.encode(), values.shape, 1 + number) for number, (name, values) in enumerate(weights.items())),
        tensor(b"hidden", (2, HIDDEN)),
        tensor(b"found", (2, CLASSES)),
    ]
    graph.inputs, graph.outputs = [0], [5]
    graph.operators = [dense([0, 1, 2], 4, schema.ActivationFunctionType.RELU), dense([4, 3, -1], 5, 0)]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [buffer(), *map(buffer, weights.values())]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_onnx_keeps_only_large_weights_in_half_precision(weights, rows):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from headstart.exporting.of_onnx import _halve

    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["rows", "first", "bias"], ["summed"], transB=1),
            helper.make_node("Relu", ["summed"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "last"], ["found"], transB=1),
        ],
        "two_layers",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [2, WIDTH])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [2, CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    _halve(model)
    held = {weight.name: weight.data_type for weight in model.graph.initializer}
    assert held == {"first_f16": TensorProto.FLOAT16, "bias": TensorProto.FLOAT, "last": TensorProto.FLOAT}
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"rows": rows})
    np.testing.assert_allclose(found, computed(weights, rows), rtol=1e-5, atol=1e-5)


def test_openvino_keeps_only_large_weights_in_half_precision(weights, rows):
    import openvino
    from openvino import opset13 as operations

    from headstart.exporting.of_openvino import _halve

    given = operations.parameter([2, WIDTH], np.float32)
    first, bias, last = (operations.constant(weights[name]) for name in ("first", "bias", "last"))
    hidden = operations.relu(operations.add(operations.matmul(given, first, False, True), bias))
    model = openvino.Model([operations.matmul(hidden, last, False, True)], [given])
    _halve(model)
    held = sorted(
        (node.data.size, node.get_element_type().get_type_name())
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant"
    )
    assert held == [(SIZES["bias"], "f32"), (SIZES["last"], "f32"), (SIZES["first"], "f16")]
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(model, "CPU", exact)(rows)[0]
    np.testing.assert_allclose(found, computed(weights, rows), rtol=1e-5, atol=1e-5)
