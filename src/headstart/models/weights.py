"""Pretrained weights for a network: ImageNet's, random ones, or a file that may hold a part of them."""

import logging
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from itertools import groupby
from pathlib import Path

import h5py
import keras
import numpy as np

from headstart.errors import RecipeError, WeightsError
from headstart.models.backbones import Backbone
from headstart.models.layers import leaves

log = logging.getLogger(__name__)

Arrays = Sequence[np.ndarray]


def build_with_weights(
    backbone: Backbone, image_size: int | None, weights: str, include_top: bool = False
) -> tuple[keras.Model, tuple[str, ...]]:
    """Build a network and give it its weights.

    Args:
        backbone: which.
        image_size: rows and columns of the pictures; the native size by default.
        weights: `imagenet`, `none` for random ones, or the path of a file: `.h5` of Keras Applications,
            `.weights.h5`, or a whole `.keras` model. A file that is not of exactly this network gives its weights to
            the layers of the same names.
        include_top: whether the network's own classifier is part of it.

    Returns:
        The network, and the names of its layers for which the file has no weights, in order; they are random.

    Raises:
        WeightsError: if ImageNet's weights can neither be found nor fetched, or the file does not fit.
        RecipeError: if the network cannot be built at that size.
    """
    if weights == "imagenet":
        return _with_imagenet_weights(backbone, image_size, include_top), ()
    model = backbone.build(image_size, include_top=include_top)
    if weights == "none":
        return model, ()
    part = f"{backbone.name} {'with' if include_top else 'without'} its top"
    return model, _load_file(model, Path(weights), part)


def keras_home() -> Path:
    """The folder in which Keras looks for weights: `KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def downloads_on_stderr() -> AbstractContextManager[object]:
    """While Keras may download: its remarks and its bar go to stderr, since stdout is for results alone."""
    return redirect_stdout(sys.stderr or sys.stdout)


def not_fetched(what: str, error: Exception, otherwise: str = "") -> WeightsError:
    """The error for a file that Keras could neither find nor download.

    Args:
        what: the file holds, in the plural.
        error: of Keras, with the file's address in its text.
        otherwise: what else may be done.
    """
    text = " ".join(str(error).split())
    address = re.search(r"https?://\S+?(?=:? |:?$)", text)
    if address is None:
        return WeightsError(f"{what} cannot be loaded: {text}")
    file = address.group().rpartition("/")[2]
    return WeightsError(
        f"{what} are not here and cannot be fetched. Where there is a network, download {address.group()} "
        f"and put it into {keras_home() / 'models'} as {file}{otherwise}."
    )


def in_brief(model: keras.Model, names: Sequence[str]) -> str:
    """Names of layers with weights, neighbours drawn together: `conv_dw_13 to conv_pw_13_bn (4 layers)`."""
    parts = []
    for missing, run in groupby(_with_weights(model), key=lambda layer: layer.name in names):
        if missing:
            found = [layer.name for layer in run]
            parts.append(found[0] if len(found) == 1 else f"{found[0]} to {found[-1]} ({len(found)} layers)")
    return ", ".join(parts)


def _with_imagenet_weights(backbone: Backbone, image_size: int | None, include_top: bool) -> keras.Model:
    try:
        with downloads_on_stderr():
            return backbone.build(image_size, "imagenet", include_top)
    except (RecipeError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # Keras raises a bare Exception when a download fails
        otherwise = (
            "; or take --backbone nano, which comes with headstart, --weights FILE, or --weights none for random ones"
        )
        raise not_fetched(f"the ImageNet weights of {backbone.name}", error, otherwise) from error


def _load_file(model: keras.Model, file: Path, part: str) -> tuple[str, ...]:
    """Fill a model from a file; returns the names of the layers that stay random."""
    if not file.is_file():
        raise WeightsError(f"no such weights file: {file}. --weights takes imagenet, none or the path of a file.")
    initial = model.get_weights()
    try:
        _load_in_order(model, file)
        missing: tuple[str, ...] = ()
    except Exception as error:  # h5py and Keras raise many kinds for files that do not fit
        model.set_weights(initial)
        missing = _load_by_name(model, file, part, error)
    with_weights = len(_with_weights(model))
    log.info("loaded %d of %d layers of %s from %s", with_weights - len(missing), with_weights, part, file)
    return missing


def _load_in_order(model: keras.Model, file: Path) -> None:
    """As Keras does for a file of exactly this network; names do not matter."""
    with warnings.catch_warnings():
        # Keras only warns when it leaves a layer as it was; a half-loaded network is no pretrained one.
        warnings.simplefilter("error", UserWarning)
        if file.suffix == ".keras":
            model.set_weights(keras.saving.load_model(file, compile=False).get_weights())
        else:
            model.load_weights(file)


def _load_by_name(model: keras.Model, file: Path, part: str, error: Exception) -> tuple[str, ...]:
    refusal = f"{file} does not fit {part}: expected {_expected(model)}; found {_found(file)}."
    reason = " ".join(str(error).split())[:200]
    try:
        stored = _stored(file)
    except Exception as unreadable:
        raise WeightsError(f"{refusal} ({reason})") from unreadable
    # Files in the older layout keep the weights of a nested model under its own name.
    known = [layer for layer in dict.fromkeys([*model.layers, *leaves(model)]) if layer.weights]
    fitting = [layer for layer in known if layer.name in stored]
    if not fitting:
        raise WeightsError(f"{refusal} No name in it is that of a layer of the network. ({reason})") from error
    misfits = [text for layer in fitting if (text := _misfit(layer, stored))]
    if misfits:
        raise WeightsError(f"{refusal} {misfits[0]}{_and_more(misfits)}.") from error
    for layer in fitting:
        layer.set_weights(stored[layer.name])
    loaded = {id(leaf) for layer in fitting for leaf in leaves(layer)}
    return tuple(layer.name for layer in _with_weights(model) if id(layer) not in loaded)


def _misfit(layer: keras.layers.Layer, stored: Mapping[str, Arrays]) -> str:
    expected = [tuple(weight.shape) for weight in layer.weights]
    found = [tuple(array.shape) for array in stored[layer.name]]
    return "" if expected == found else f"{layer.name} takes {_shapes(expected)}, the file has {_shapes(found)}"


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) or "a number" for shape in shapes) or "nothing"


def _and_more(misfits: Sequence[str]) -> str:
    return f", and {len(misfits) - 1} more layers differ" if len(misfits) > 1 else ""


def _stored(file: Path) -> dict[str, Arrays]:
    """The weights in a file by the names of the layers that they were taken from."""
    if file.suffix == ".keras":
        whole = keras.saving.load_model(file, compile=False)
        return {layer.name: layer.get_weights() for layer in _with_weights(whole)}
    with h5py.File(file) as content:
        group = content.get("model_weights", content)
        if any(attribute.startswith("layer_names") for attribute in group.attrs):
            return {name: arrays for name in group if (arrays := _older_layout(group[name]))}
        return _newer_layout(group)


def _older_layout(layer: h5py.Group) -> Arrays:
    """HDF5 as Keras 1 and 2 wrote it: a group for each layer says in which order its arrays come."""
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in layer.attrs.get("weight_names", ())]
    return [layer[name][()] for name in names]


def _newer_layout(group: h5py.Group) -> dict[str, Arrays]:
    """`.weights.h5` of Keras 3: arrays are numbered in a group `vars` that knows the name of its layer."""
    stored: dict[str, Arrays] = {}

    def note(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if path.endswith("vars") and len(item) and "name" in item.attrs:
            stored[str(item.attrs["name"])] = [item[number][()] for number in sorted(item, key=int)]

    group.visititems(note)
    return stored


def _with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    return [leaf for leaf in leaves(model) if leaf.weights]


def _expected(model: keras.Model) -> str:
    return f"{len(_with_weights(model))} layers with {model.count_params():,} values"


def _found(file: Path) -> str:
    sizes: dict[str, int] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            sizes[name] = item.size

    try:
        with h5py.File(file) as content:
            content.visititems(note)
    except OSError:
        return "another model" if zipfile.is_zipfile(file) else "a file that is not in HDF5 format"
    layers = {name.rpartition("/")[0] for name in sizes}
    return f"{len(layers)} layers with {sum(sizes.values()):,} values"
