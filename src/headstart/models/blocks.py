"""The blocks of a network, found from its graph."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import keras

from headstart.models.graph import trace
from headstart.models.layers import last_uses, leaves, makers, not_found

_POOLING = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D)


@dataclass(frozen=True)
class Block:
    """Consecutive layers of a network that belong together.

    Attributes:
        name: that of its last layer.
        first: number of its first layer in `model.layers`.
        last: number of its last layer.
        parameters: how many its layers have.
    """

    name: str
    first: int
    last: int
    parameters: int


def blocks(model: keras.Model) -> list[Block]:
    """Divide a network into blocks.

    Where only one tensor crosses from the layers before to those after, the network is narrow. A branched stretch
    between two narrow places is one block, as a residual or an inception block is. Elsewhere each convolution or dense
    layer begins a block. Normalisation, activation and pooling belong to the block before them; padding, and
    normalisation after a branched block or after pooling, as networks with pre-activation have it, to the one behind.

    Args:
        model: functional, with one input.

    Returns:
        Blocks in order; every layer is in one of them.
    """
    stretches = list(_stretches(model))
    starts = [0]
    has_core = is_closed = False
    for number, (first, last) in enumerate(stretches):
        kind = _kind(model, first, last)
        is_core = kind in ("kernel", "branched")
        if has_core and (is_core or (is_closed and kind == "weighted")):
            starts.append(_before_padding(model, stretches, number))
            has_core = is_closed = False
        has_core |= is_core
        is_closed |= kind in ("branched", "pooling")
    ends = [start - 1 for start in starts[1:]] + [len(model.layers) - 1]
    return [_block(model, first, last) for first, last in zip(starts, ends, strict=True)]


def find_block(model: keras.Model, name: str, choice: str) -> Block:
    """The block of that name, or the first one whose layers with weights all have it as the beginning of theirs.

    Args:
        model: functional, with one input.
        name: as `mixed10`, `conv5_block3_out`, or `conv5_block3` and `block_13`.
        choice: what the message says was chosen, as `unfreeze 'block:mixed11'`.

    Raises:
        RecipeError: if there is none.
    """
    found = blocks(model)
    for block in found:
        if block.name == name or _all_begin_with(model, block, name):
            return block
    raise not_found(model.name, name, [block.name for block in found], choice)


def _stretches(model: keras.Model) -> Iterator[tuple[int, int]]:
    """First and last layer of what lies between narrow places."""
    narrow = [-1, *_narrow_places(model)]
    return ((before + 1, place) for before, place in pairwise(narrow))


def _narrow_places(model: keras.Model) -> Iterator[int]:
    """The numbers of layers behind which nothing but their own output is needed: articulation points of the graph.

    Keras orders layers by their depth, so that all ancestors of such a layer stand before and all others after it.
    """
    count = len(model.layers)
    graph = trace(model)
    made_at = makers(model, graph)
    needed_until = [0] * count
    for ref, last in last_uses(graph, made_at, beyond=count - 1).items():
        needed_until[made_at[ref]] = max(needed_until[made_at[ref]], last)
    furthest = 0  # layer that needs anything from before the current one
    for number in range(count):
        if furthest <= number:
            yield number
        furthest = max(furthest, needed_until[number])


def _kind(model: keras.Model, first: int, last: int) -> str:
    if last > first:
        return "branched"
    if isinstance(model.layers[first], _POOLING):
        return "pooling"
    weights = model.layers[first].weights
    if any(len(weight.shape) > 1 for weight in weights):
        return "kernel"
    return "weighted" if weights else "plain"


def _before_padding(model: keras.Model, stretches: list[tuple[int, int]], number: int) -> int:
    while number and isinstance(model.layers[stretches[number - 1][1]], keras.layers.ZeroPadding2D):
        number -= 1
    return stretches[number][0]


def _block(model: keras.Model, first: int, last: int) -> Block:
    parameters = sum(layer.count_params() for layer in model.layers[first : last + 1])
    return Block(model.layers[last].name, first, last, parameters)


def _all_begin_with(model: keras.Model, block: Block, name: str) -> bool:
    layers = model.layers[block.first : block.last + 1]
    names = [leaf.name for layer in layers for leaf in leaves(layer) if leaf.weights]
    return bool(names) and all(f"{found}_".startswith(f"{name}_") for found in names)
