"""What Keras builds on its OpenVINO backend computes the same when it is straightened, without turning maps around."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.features.graphs import straighten
from headstart.loading import load_openvino

openvino = load_openvino()
ops = openvino.opset13
SIDE = 8
CHANNELS = 4
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""To channels first, and back to channels last."""


class Network:
    """A network of OpenVINO as Keras builds it, channels last; each method adds a layer."""

    def __init__(self, seed: int):
        self.pixels = ops.parameter([1, SIDE, SIDE, CHANNELS], np.float32)
        self.random = np.random.default_rng(seed)
        self.now = self.pixels

    def draw(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(np.float32)

    def turned(self, node: Any, order: list[int]) -> Any:
        return ops.transpose(node, np.array(order, np.int32))

    def convolution(self) -> None:
        weights = ops.transpose(self.draw(1, 1, CHANNELS, CHANNELS), np.array([3, 2, 0, 1], np.int32))
        self._convolved(ops.convolution(self.turned(self.now, FIRST), weights, [1, 1], [0, 0], [0, 0], [1, 1]))

    def grouped(self) -> None:
        weights = self.draw(2, CHANNELS // 2, CHANNELS // 2, 3, 3)
        maps = self.turned(self.now, FIRST)
        self._convolved(ops.group_convolution(maps, weights, [1, 1], [1, 1], [1, 1], [1, 1]))

    def _convolved(self, maps: Any) -> None:
        self.now = ops.convert(self.turned(maps, LAST), "f32")

    def bias(self) -> None:
        self.now = ops.add(self.now, ops.reshape(self.draw(CHANNELS), np.array([1, 1, 1, CHANNELS]), False))

    def of_each_place(self) -> None:
        self.now = ops.add(self.now, ops.constant(self.draw(*self.shape()[1:3], 1)))

    def normalisation(self) -> None:
        scale, shift, mean = (ops.convert(ops.constant(self.draw(CHANNELS)), "f32") for _ in range(3))
        variance = self.random.uniform(0.5, 2, CHANNELS).astype(np.float32)
        maps = self.turned(self.now, [0, 3, 2, 1])
        self.now = self.turned(ops.batch_norm_inference(maps, scale, shift, mean, variance, 0.1), [0, 3, 2, 1])

    def activation(self) -> None:
        self.now = ops.clamp(ops.subtract(ops.constant(self.draw(1, CHANNELS)), ops.swish(self.now)), 0, 6)

    def pad(self) -> None:
        self.now = ops.pad(self.now, np.array([0, 0, 1, 0]), np.array([0, 1, 0, 0]), "constant", np.float32(0))

    def residual(self) -> None:
        before = self.now
        self.convolution()
        self.now = ops.add(before, self.now)

    def of_turned_rows(self) -> None:
        self.now = ops.add(self.now, self.turned(ops.relu(self.now), [0, 2, 1, 3]))

    def normalised_beside(self) -> None:
        self.convolution()
        self._beside()

    def normalised_beside_with_bias(self) -> None:
        self.convolution()
        self.bias()
        self._beside()

    def _beside(self) -> None:
        before = self.now
        self.normalisation()
        self.now = ops.add(before, self.now)

    def concatenation(self) -> None:
        before = self.now
        self.convolution()
        beside = ops.concat([before, self.now], 3)
        weights = self.draw(CHANNELS, 2 * CHANNELS, 1, 1)
        self._convolved(ops.convolution(self.turned(beside, FIRST), weights, [1, 1], [0, 0], [0, 0], [1, 1]))

    def pool(self) -> None:
        maps = self.turned(self.now, FIRST)
        self.now = self.turned(
            ops.avg_pool(maps, [1, 1], [0, 0], [0, 0], [3, 3], True, auto_pad="same_upper"),
            LAST,
        )

    def excitation(self) -> None:
        before = self.now
        mean = ops.reduce_mean(self.now, np.array([1, 2]), False)
        self.now = ops.reshape(mean, np.array([1, 1, 1, CHANNELS]), False)
        self.convolution()
        self.now = ops.multiply(before, ops.sigmoid(self.now))

    def mean(self, keep: bool) -> None:
        self.now = ops.reduce_mean(self.now, np.array([1, 2]), keep)

    def mean_of_rows(self) -> None:
        self.now = ops.reduce_mean(self.now, np.array([1]), False)

    def flatten(self) -> None:
        self.now = ops.reshape(self.now, np.array([1, np.prod(self.shape())]), False)

    def shape(self) -> list[int]:
        return list(self.now.get_output_shape(0))

    def graph(self) -> Any:
        """As Keras exports it: whatever it has noted of the one picture that it saw is in there."""
        made = openvino.Model([self.now], [self.pixels])
        made.inputs[0].get_node().set_partial_shape(openvino.PartialShape([-1, SIDE, SIDE, CHANNELS]))
        return made


LAYERS: list[Callable[[Network], None]] = [
    Network.convolution,
    Network.grouped,
    Network.bias,
    Network.of_each_place,
    Network.normalisation,
    Network.activation,
    Network.pad,
    Network.residual,
    Network.normalised_beside,
    Network.normalised_beside_with_bias,
    Network.concatenation,
    Network.pool,
    Network.excitation,
]
ALL = [*LAYERS, Network.of_turned_rows]
ENDS: list[Callable[[Network], None]] = [
    lambda network: network.mean(keep=False),
    lambda network: network.mean(keep=True),
    Network.mean_of_rows,
    Network.flatten,
    lambda network: None,
]


def built(layers: list[Callable[[Network], None]], end: Callable[[Network], None], seed: int = 0) -> Any:
    network = Network(seed)
    for layer in layers:
        layer(network)
    end(network)
    return network.graph()


def straightened(*layers: Callable[[Network], None]) -> Counter[str]:
    """The operations of a network that ends in a mean, once it is straightened."""
    graph = built(list(layers), ENDS[0])
    straighten(graph)
    return Counter(node.get_type_name() for node in graph.get_ops())


def results(graph: Any, pixels: np.ndarray) -> np.ndarray:
    graph.reshape(pixels.shape)
    return np.array(openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0])


def computes_the_same(layers: list[Callable[[Network], None]], end: Callable[[Network], None], seed: int = 0) -> None:
    """Of three pictures at once, as before of each."""
    pixels = np.random.default_rng(seed).normal(size=(3, SIDE, SIDE, CHANNELS)).astype(np.float32)
    expected = np.concatenate([results(built(layers, end, seed), picture[None]) for picture in pixels])
    graph = built(layers, end, seed)
    straighten(graph)
    found = results(graph, pixels)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(ALL), max_size=7), st.sampled_from(ENDS), st.integers(0, 99))
def test_any_network_computes_the_same_of_every_picture_of_a_batch(layers, end, seed):
    computes_the_same(layers, end, seed)


@pytest.mark.parametrize("end", ENDS)
def test_so_it_does_however_it_ends(end):
    computes_the_same([Network.convolution], end)


@pytest.mark.parametrize("bias", [[], [Network.bias], [Network.of_each_place]], ids=len)
@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.__name__)
def test_so_it_does_with_a_normalisation_behind_any_layer(layer, bias):
    computes_the_same([Network.convolution, layer, *bias, Network.normalisation], Network.mean_of_rows)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_maps_are_turned_around_once(layer):
    found = straightened(Network.convolution, layer, Network.convolution, layer, Network.activation)
    beside = 2 if layer is Network.excitation else 0  # one number of each channel, which costs nothing
    assert found["Transpose"] == 1 + beside


def test_a_normalisation_is_part_of_the_convolution_in_front_of_it():
    found = straightened(
        *(Network.convolution, Network.normalisation, Network.activation),
        *(Network.grouped, Network.bias, Network.normalisation),
    )
    assert "BatchNormInference" not in found
    assert found["Add"] == 2


def test_a_convolution_that_others_need_stays_what_it_is():
    found = straightened(Network.residual, Network.normalisation)
    assert found["BatchNormInference"] == 1


def test_a_normalisation_of_what_is_no_convolution_stays():
    assert straightened(Network.activation, Network.normalisation)["BatchNormInference"] == 1
