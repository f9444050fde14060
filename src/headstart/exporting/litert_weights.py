"""Weights of a LiteRT model in half precision, by rewriting the file, which is a FlatBuffer of a published schema.

TensorFlow's converter halves all of them or none, and AI Edge Quantizer those of chosen operations, small ones too.
"""

from typing import Any

import numpy as np

from headstart.exporting.rounding import in_f16, least_halved

_IDENTIFIER = b"TFL3"
_EMPTY = 0  # the buffer of all tensors that are computed
_TAKES_F16 = 3  # from this version on DEQUANTIZE does


def halved(content: bytes) -> bytes:
    """Keep large weights in f16, each with a DEQUANTIZE behind it, which runtimes do once, when they load the model.

    Args:
        content: a model in f32, as TensorFlow's converter writes it.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    large = _halve_buffers(model, schema.TensorType.FLOAT32)
    for graph in model.subgraphs:
        steps = []
        for number, tensor in enumerate(list(graph.tensors)):
            if tensor.type == schema.TensorType.FLOAT32 and tensor.buffer in large:
                steps.append(schema.OperatorT())
                steps[-1].opcodeIndex = len(model.operatorCodes)
                steps[-1].inputs, steps[-1].outputs = [len(graph.tensors)], [number]
                graph.tensors.append(_as_f16(tensor, schema))
                tensor.buffer = _EMPTY
        graph.operators = steps + graph.operators
    model.operatorCodes.append(_dequantize(schema))
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _halve_buffers(model: Any, kind: int) -> set[int]:
    """Round what is in large buffers of weights, each of which several tensors may share; returns their numbers."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.type == kind]
    values = {
        tensor.buffer: model.buffers[tensor.buffer].data.view(np.float32)
        for tensor in tensors
        if model.buffers[tensor.buffer].data is not None
    }
    least = least_halved(array.size for array in values.values())
    large = {number for number, array in values.items() if array.size >= least}
    for number in large:
        model.buffers[number].data = in_f16(values[number]).view(np.uint8)
    return large


def _as_f16(tensor: Any, schema: Any) -> Any:
    """The tensor that holds a weight in f16."""
    rounded = schema.TensorT()
    rounded.name, rounded.shape, rounded.buffer = tensor.name + b"_f16", tensor.shape, tensor.buffer
    rounded.type = schema.TensorType.FLOAT16
    return rounded


def _dequantize(schema: Any) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = _TAKES_F16
    return code
