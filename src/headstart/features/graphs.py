"""Graphs of OpenVINO: what Keras builds on its OpenVINO backend, in the form in which it is fast.

Keras has channels last and OpenVINO's convolutions have them first, so Keras turns the axes of maps before each of them
and back behind it. OpenVINO takes that out of a graph that it reads from another framework; this one it never reads.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from headstart.loading import load_openvino

Order = tuple[int, ...]
"""Of axes, as `numpy.transpose` takes it."""

_EACH = (
    *("Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Power", "SquaredDifference"),
    *("Relu", "Clamp", "Elu", "Gelu", "Swish", "Sigmoid", "HSigmoid", "HSwish", "SoftPlus", "Tanh", "Erf"),
    *("Abs", "Exp", "Log", "Negative", "Sqrt"),
)
"""What treats each number by itself, or each two in the same place."""


def hand_over(output: Any, other: Any) -> None:
    """Let what follows from an output follow from another one."""
    for target in output.get_target_inputs():
        target.replace_source_output(other)


def straighten(graph: Any) -> None:
    """Take out of a graph, in place, what only keeps it from being fast; it computes the same, but for rounding.

    A turn of axes moves past what does not care for their order, until it meets the one that undoes it. A normalisation
    becomes part of the convolution in front of it. And a batch may have any size.

    Args:
        graph: an `openvino.Model` of one batch of pictures, as Keras exports it on its OpenVINO backend.
    """
    _free_batch(graph)
    load_openvino()
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(graph)
    _apply(_TURNS, graph)
    _apply({"BatchNormInference": _into_convolution}, graph)
    graph.validate_nodes_and_infer_types()


def _apply(rules: Mapping[str, Callable[[Any], None]], graph: Any) -> None:
    for node in graph.get_ordered_ops():
        if rule := rules.get(node.get_type_name()):
            rule(node)


def _free_batch(graph: Any) -> None:
    """Keras exports with one picture, and has written that number where a layer only keeps as many as it was given."""
    for node in graph.get_ordered_ops():
        node.validate_and_infer_types()
        if node.get_type_name() != "Reshape" or not any(size.is_dynamic for size in _sizes(node)[:1]):
            continue
        shape = _constant(node.input_value(1))
        if shape is not None and list(shape[:1]) == [1]:
            node.input(1).replace_source_output(_new(np.array([-1, *shape[1:]], np.int64)))
            node.validate_and_infer_types()


def _past_each(node: Any) -> None:
    orders = {turned[1] for value in node.input_values() if (turned := _turned(value))}
    if len(orders) == 1:
        (order,) = orders
        straight = [_straight(value, order) for value in node.input_values()]
        if None not in straight:
            _turn_behind(node, straight, order)


def _past_pad(node: Any) -> None:
    turned = _turned(node.input_value(0))
    edges = [edge for place in (1, 2) if (edge := _constant(node.input_value(place))) is not None]
    if turned and len(edges) == 2:
        source, order = turned
        back = np.argsort(order)
        _turn_behind(node, [source, *(_new(edge[back]) for edge in edges)], order)


def _past_reduction(node: Any) -> None:
    turned, axes = _turned(node.input_value(0)), _constant(node.input_value(1))
    if turned is None or axes is None:
        return
    source, order = turned
    gone = {order[axis] for axis in axes.ravel()}
    left = order
    if not node.get_attributes()["keep_dims"]:
        stay = [axis for axis in order if axis not in gone]
        left = tuple(sorted(stay).index(axis) for axis in stay)
    _turn_behind(node, [source, _new(np.array(sorted(gone), np.int64))], left)


def _past_concatenation(node: Any) -> None:
    turned = [one for value in node.input_values() if (one := _turned(value))]
    orders = {order for _, order in turned}
    if len(orders) == 1 and len(turned) == node.get_input_size():
        (order,) = orders
        node.set_attribute("axis", order[node.get_attributes()["axis"]])
        _turn_behind(node, [source for source, _ in turned], order)


def _past_normalisation(node: Any) -> None:
    """It has its channels at 1, and does not care for the order of what follows."""
    turned = _turned(node.input_value(0))
    if turned and turned[1][1] == 1:
        source, order = turned
        _turn_behind(node, [source, *node.input_values()[1:]], order)


def _past_turn(node: Any) -> None:
    first, then = _turned(node.input_value(0)), _turned(node.output(0))
    if first and then:
        source, order = first
        hand_over(node.output(0), _turn(source, tuple(order[axis] for axis in then[1])))


def _leave_out(node: Any) -> None:
    """A conversion to what it is already."""
    if node.input_value(0).get_element_type() == node.get_element_type():
        hand_over(node.output(0), node.input_value(0))


_TURNS: dict[str, Callable[[Any], None]] = {
    **dict.fromkeys(_EACH, _past_each),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum"), _past_reduction),
    "BatchNormInference": _past_normalisation,
    "Concat": _past_concatenation,
    "Convert": _leave_out,
    "Pad": _past_pad,
    "Transpose": _past_turn,
}


def _into_convolution(node: Any) -> None:
    """What a normalisation does to each channel, scale it and add to it, is done by the convolution in front of it."""
    values = [_constant(value) for value in node.input_values()[1:]]
    before, bias = _without_bias(node.input_value(0))
    convolution = before.get_node()
    if convolution.get_type_name() not in ("Convolution", "GroupConvolution") or not _is_needed_once(before):
        return
    weights = _constant(convolution.input_value(1))
    if weights is None or any(value is None for value in values):
        return
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
    scale = gamma / np.sqrt(variance + node.get_attributes()["epsilon"])
    channels = weights.shape[: 2 if convolution.get_type_name() == "GroupConvolution" else 1]
    spread = scale.reshape(*channels, *[1] * (weights.ndim - len(channels)))
    convolution.input(1).replace_source_output(_new((weights * spread).astype(np.float32)))
    shift = _new(((bias - mean) * scale + beta).astype(np.float32).reshape(1, -1, *[1] * (_rank(before) - 2)))
    hand_over(node.output(0), load_openvino().opset13.add(before, shift).output(0))


def _without_bias(output: Any) -> tuple[Any, np.ndarray]:
    """What is there before a number is added to each channel, and those numbers; zero where none are."""
    node, nothing = output.get_node(), np.zeros(1)
    if node.get_type_name() != "Add" or not _is_needed_once(output):
        return output, nothing
    bias, shape = _constant(node.input_value(1)), [1, -1, *[1] * (_rank(output) - 2)]
    if bias is None or bias.ndim != len(shape) or bias.shape[1] != bias.size:
        return output, nothing
    return node.input_value(0), np.asarray(bias, np.float64).ravel()


def _is_needed_once(output: Any) -> bool:
    return len(output.get_target_inputs()) == 1


def _turned(output: Any) -> tuple[Any, Order] | None:
    """Whose axes are turned here, and into which order; None where none are."""
    node = output.get_node()
    if node.get_type_name() != "Transpose":
        return None
    order = _constant(node.input_value(1))
    return None if order is None else (node.input_value(0), tuple(map(int, order)))


def _straight(output: Any, order: Order) -> Any | None:
    """What has this output when its axes are turned, as they are wherever any are; None where nothing has."""
    if turned := _turned(output):
        return turned[0]
    constant = _constant(output)
    if constant is None or constant.ndim > len(order):
        return None
    if constant.size == 1:
        return output
    whole = constant.reshape(*[1] * (len(order) - constant.ndim), *constant.shape)
    return _new(whole.transpose(np.argsort(order)))


def _turn(output: Any, order: Order) -> Any:
    if order == tuple(range(len(order))):
        return output
    return load_openvino().opset13.transpose(output, _new(np.array(order, np.int64))).output(0)


def _turn_behind(node: Any, inputs: Sequence[Any], order: Order) -> None:
    """Give a node other inputs, and those that it is needed by its output with the axes turned."""
    targets = node.output(0).get_target_inputs()
    for place, value in enumerate(inputs):
        node.input(place).replace_source_output(value)
    node.validate_and_infer_types()
    turned = _turn(node.output(0), order)
    for target in targets:
        target.replace_source_output(turned)


def _constant(output: Any) -> np.ndarray | None:
    node = output.get_node()
    return np.array(node.data) if node.get_type_name() == "Constant" else None


def _new(values: np.ndarray) -> Any:
    return load_openvino().opset13.constant(np.ascontiguousarray(values)).output(0)


def _sizes(node: Any) -> list[Any]:
    """Of the dimensions that a node is given; none where nobody knows how many there are."""
    shape = node.input_value(0).get_partial_shape()
    return list(shape) if shape.rank.is_static else []


def _rank(output: Any) -> int:
    return int(output.get_partial_shape().rank.get_length())
