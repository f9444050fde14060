"""A RUN's two halves for OpenVINO as one graph, cut where a picture has become a map and is about to be averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.features.graphs import hand_over
from headstart.features.runtime import OpenVINORuntime
from headstart.loading import has_openvino, load_openvino

_MAP = 4  # dimensions of a batch of maps or pictures


@dataclass(frozen=True)
class Halves:
    """A classifier in two parts, for places of a picture to be changed between them.

    Attributes:
        before: from pixels, uint8 `(n, height, width, 3)`, to maps; None where the pixels themselves are changed.
        after: to what the last softmax or sigmoid takes, float32 `(n, classes)` or `(n, 1)`: from the averages of maps,
            float32 `(n, channels)`, from the maps, or from pixels.
        place: what it is that is changed, in words.
        pools: whether `after` takes averages.
        channels_first: whether the maps that `before` gives are `(n, channels, rows, columns)`.
    """

    before: OpenVINORuntime | None
    after: OpenVINORuntime
    place: str
    pools: bool = False
    channels_first: bool = False

    def maps(self, pixels: np.ndarray) -> np.ndarray:
        """The maps of pictures, float32 `(n, rows, columns, channels)`.

        Args:
            pixels: uint8 RGB `(n, height, width, 3)`.
        """
        if self.before is None:
            return pixels.astype(np.float32)
        (found,) = self.before(pixels)
        found = np.asarray(found, np.float32)
        return np.moveaxis(found, 1, 3) if self.channels_first else found

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Unnormalised log-probabilities of every class, float32 `(n, classes)`.

        Args:
            rows: what `after` takes.
        """
        (found,) = self.after(np.ascontiguousarray(rows))
        return np.hstack([np.zeros_like(found), found]) if found.shape[1] == 1 else np.asarray(found)


def load_halves(run: Run, pictures: int) -> Halves | None:
    """Cut a RUN's network where its map is averaged; else where its frozen part ends; else before its first layer.

    The average is that which all of the network goes through, the last such one: other averages, as those of
    squeeze-and-excitation, lie beside the way.

    Args:
        run: the RUN.
        pictures: how many will be shown to it at once.

    Returns:
        None if it has nothing that OpenVINO could run, or ends in something else than softmax or sigmoid.

    Raises:
        RunError: if its files are damaged.
    """
    files = run.runtime_files() if has_openvino() else []
    if not files:
        return None
    joined = _join(files)
    if joined is None:
        return None
    pixels, logits, frontier = joined
    openvino = load_openvino()
    pooled = pooling(logits)
    if pooled is not None:
        given = pooled.input_value(0)
        cut = cut_off(pooled.output(0))
    elif frontier is not None:
        given = frontier
        cut = cut_off(frontier)
    else:
        whole = openvino.Model([logits], pixels, "whole")
        return Halves(None, OpenVINORuntime(whole, run.precision), "the picture")
    before = OpenVINORuntime(openvino.Model([given], pixels, "before"), run.precision, at_most=pictures, pixels=True)
    after = OpenVINORuntime(openvino.Model([logits], [cut], "after"))
    if pooled is None:
        return Halves(before, after, "the kept feature map")
    return Halves(before, after, "the last feature map", pools=True, channels_first=_axes(pooled) == (2, 3))


def _join(files: list[Path]) -> tuple[list[Any], Any, Any] | None:
    """The inputs of the network, what its softmax takes, and the one map that crosses the frontier, if any."""
    parameters, output, crossing = join_halves(files)
    logits = _before_activation(output)
    if logits is None:
        return None
    is_map = len(crossing) == 1 and len(crossing[0].get_partial_shape()) == _MAP
    return parameters, logits, crossing[0] if is_map else None


def join_halves(files: Sequence[Path]) -> tuple[list[Any], Any, list[Any]]:
    """The halves of a RUN's network as one graph of OpenVINO's.

    Args:
        files: what `Run.runtime_files` gives, at least one.

    Returns:
        The graph's parameters, the probabilities, and what crosses the frontier, of which there is nothing where
        everything was trained.
    """
    core = load_openvino().Core()
    *frozen, last = [core.read_model(file) for file in files]
    output = last.get_results()[0].input_value(0)
    if not frozen:
        return last.get_parameters(), output, []
    (first,) = frozen
    crossing = [result.input_value(0) for result in first.get_results()]
    for given, parameter in zip(crossing, last.get_parameters(), strict=True):
        hand_over(parameter.output(0), given)
    return first.get_parameters(), output, crossing


def _before_activation(output: Any) -> Any | None:
    """What goes into the softmax or sigmoid that makes an output."""
    node = output.get_node()
    while node.get_type_name() in ("Convert", "Reshape"):
        node = node.input_value(0).get_node()
    return node.input_value(0) if node.get_type_name() in ("Softmax", "Sigmoid") else None


def pooling(output: Any) -> Any | None:
    """The operation nearest to an output that averages a map to a vector and that no way from the inputs avoids."""
    for node in _above(output.get_node()):
        if node.get_type_name() != "ReduceMean" or len(node.input_value(0).get_partial_shape()) != _MAP:
            continue
        if _axes(node) not in ((1, 2), (2, 3)) or len(node.output(0).get_partial_shape()) != 2:
            continue
        around = _above(output.get_node(), without=node)
        if not any(other.get_type_name() == "Parameter" for other in around):
            return node
    return None


def _axes(node: Any) -> tuple[int, ...]:
    """Over which dimensions a `ReduceMean` goes; none where that is not said by a constant."""
    axes = node.input_value(1).get_node()
    if axes.get_type_name() != "Constant":
        return ()
    return tuple(sorted(int(axis) % _MAP for axis in np.ravel(axes.data)))


def _above(node: Any, without: Any = None) -> Iterator[Any]:
    """A node and all that it follows from, nearer ones first; `without` and what only that needs is left out."""
    skipped = None if without is None else without.get_name()
    seen = {node.get_name()}
    waiting = [node]
    while waiting:
        current = waiting.pop(0)
        yield current
        for value in current.input_values():
            name = value.get_node().get_name()
            if name != skipped and name not in seen:
                seen.add(name)
                waiting.append(value.get_node())


def cut_off(output: Any) -> Any:
    """Let what follows from an output follow from an input of its own, which is returned."""
    shape, kind = output.get_partial_shape(), output.get_element_type()
    parameter = load_openvino().op.Parameter(kind, shape)
    hand_over(output, parameter.output(0))
    return parameter
