"""Pretrained weights for a backbone: ImageNet's, random ones, or a file."""

import logging
import os
import re
import warnings
import zipfile
from pathlib import Path

import h5py
import keras

from headstart.errors import RecipeError, WeightsError
from headstart.models.backbones import Backbone

log = logging.getLogger(__name__)


def build_with_weights(backbone: Backbone, image_size: int | None, weights: str) -> keras.Model:
    """Build a backbone and give it its weights.

    Args:
        backbone: which.
        image_size: rows and columns of the pictures; the native size by default.
        weights: `imagenet`, `none` for random ones, or the path of a file: `.h5` of Keras Applications without
            top, `.weights.h5`, or a whole `.keras` model of the same network.

    Raises:
        WeightsError: if ImageNet's weights can neither be found nor fetched, or the file does not fit.
    """
    if weights == "none":
        return backbone.build(image_size)
    if weights == "imagenet":
        return _with_imagenet_weights(backbone, image_size)
    model = backbone.build(image_size)
    _load_file(model, Path(weights), backbone)
    return model


def keras_home() -> Path:
    """The folder in which Keras looks for weights: `KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def _with_imagenet_weights(backbone: Backbone, image_size: int | None) -> keras.Model:
    try:
        return backbone.build(image_size, "imagenet")
    except (RecipeError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # Keras raises a bare Exception when a download fails
        text = " ".join(str(error).split())
        address = re.search(r"https?://\S+?(?=:? |:?$)", text)
        if address is None:
            raise WeightsError(f"the ImageNet weights of {backbone.name} cannot be loaded: {text}") from error
        file = address.group().rpartition("/")[2]
        raise WeightsError(
            f"the ImageNet weights of {backbone.name} are not here and cannot be fetched. "
            f"Where there is a network, download {address.group()} and put it into {keras_home() / 'models'} "
            f"as {file}; "
            "or give --weights FILE, or --weights none for random ones."
        ) from error


def _load_file(model: keras.Model, file: Path, backbone: Backbone) -> None:
    if not file.is_file():
        raise WeightsError(f"no such weights file: {file}. --weights takes imagenet, none or the path of a file.")
    try:
        with warnings.catch_warnings():
            # Keras only warns when it leaves a layer as it was; a half-loaded network is no pretrained one.
            warnings.simplefilter("error", UserWarning)
            if file.suffix == ".keras":
                model.set_weights(keras.saving.load_model(file, compile=False).get_weights())
            else:
                model.load_weights(file)
    except Exception as error:  # h5py and Keras raise many kinds for files that do not fit
        raise WeightsError(
            f"{file} does not fit {backbone.name} without its top: expected {_expected(model)}; "
            f"found {_found(file)}. ({' '.join(str(error).split())[:200]})"
        ) from error
    log.info("loaded %s into all layers of %s from %s", _expected(model), backbone.name, file)


def _expected(model: keras.Model) -> str:
    with_weights = sum(1 for layer in model.layers if layer.weights)
    return f"{with_weights} layers with {model.count_params():,} values"


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
