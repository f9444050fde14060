"""The layers of a model: those inside nested models too, how to find one, and what feeds which tensor."""

import difflib
from collections.abc import Collection, Iterator, Sequence

import keras

from headstart.errors import RecipeError, nearest
from headstart.models.graph import Graph, Ref


def leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers of a model in order, entering nested models; of a layer that is no model, itself alone."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from leaves(inner)
    else:
        yield layer


def makers(model: keras.Model, graph: Graph) -> dict[Ref, int]:
    """The number in `model.layers` of the layer that makes each tensor of the model's graph.

    A layer of a nested model counts as the nested model; an operation that is no layer counts as part of the layer it
    follows.

    Args:
        model: with one input, which is `model.layers[0]`.
        graph: what `trace` reads from it.
    """
    numbers = {id(leaf): number for number, layer in enumerate(model.layers) for leaf in (layer, *leaves(layer))}
    made_at = dict.fromkeys(graph.input_refs, 0)
    for call in graph.calls:
        number = numbers.get(id(call.operation), max((made_at[ref] for ref in call.inputs), default=0))
        made_at.update(dict.fromkeys(call.outputs, number))
    return made_at


def last_uses(graph: Graph, made_at: dict[Ref, int], beyond: int) -> dict[Ref, int]:
    """The number of the last layer that needs each tensor.

    Args:
        graph: of a model.
        made_at: what `makers` says of it.
        beyond: the number that stands for the model's outputs.

    Returns:
        -1 for tensors that nothing needs.
    """
    last_use = dict.fromkeys(made_at, -1)
    for call in graph.calls:
        for ref in call.inputs:
            last_use[ref] = max(last_use[ref], made_at[call.outputs[0]])
    last_use.update(dict.fromkeys(graph.output_refs, beyond))
    return last_use


def layer_number(model: keras.Model, place: str, choice: str) -> int:
    """Find a layer by its name or number.

    Args:
        model: in whose `layers` it is.
        place: a name, or a number; negative numbers count from the end.
        choice: what the message says was chosen, as `tap '200'`.

    Returns:
        The number from 0 to below `len(model.layers)`.

    Raises:
        RecipeError: if there is none.
    """
    return number_among([layer.name for layer in model.layers], place, model.name, choice)


def number_among(names: Sequence[str], place: str, model: str, choice: str) -> int:
    """Find a layer among some of a model's, by its name or its number among these.

    Args:
        names: of the layers.
        place: a name, or a number; negative numbers count from the end.
        model: what `headstart layers` calls the model.
        choice: what the message says was chosen.

    Returns:
        The number from 0 to below `len(names)`.

    Raises:
        RecipeError: if there is none.
    """
    if place in names:
        return names.index(place)
    if not place.removeprefix("-").isdecimal():
        raise not_found(model, place, names, choice)
    number, count = int(place), len(names)
    if not -count <= number < count:
        raise RecipeError(
            [f"{choice}: the layers of {model} are numbered from 0 to {count - 1}, from the end -1 to -{count}."]
        )
    return number % count


def not_found(model: str, name: str, valid: Collection[str], choice: str) -> RecipeError:
    """The error for a name that a model does not have; names the nearest ones, or the command that lists them all."""
    near = difflib.get_close_matches(name, valid, n=3)
    hint = nearest(name, near) if near else f"`headstart layers {model}` lists what there is."
    return RecipeError([f"{choice}: {model} has no {name!r}; {hint}"])
