"""What becomes of one picture on its way through a network: maps of layers at every size that it passes through."""

from dataclasses import dataclass

import keras
import numpy as np

from headstart.explaining.canvas import SOFT, Canvas, in_short
from headstart.explaining.draw import coloured, overlay
from headstart.explaining.eigencam import principal
from headstart.explaining.inside import Inside, neighbourhoods

_CHANNELS = 4
_MOST_LAYERS = 6
_SIDE = 176
_GAP = 12
_LINE = 19


@dataclass(frozen=True)
class Stage:
    """What one layer makes of a picture.

    Attributes:
        layer: its name.
        shape: rows, columns and channels of its maps.
        whole: float32 `(rows, columns)`, 0 to 1, what most of its activation goes into (Eigen-CAM).
        channels: numbers of the channels that differ most from one neighbourhood of places to another, most first.
        maps: float32 `(channels, rows, columns)`, theirs, each from 0 to 1 between its least and its most.
    """

    layer: str
    shape: tuple[int, int, int]
    whole: np.ndarray
    channels: tuple[int, ...]
    maps: np.ndarray


def stages(inside: Inside, pixels: np.ndarray) -> list[Stage]:
    """The last layer at each size of maps, the largest maps first; of more than six sizes the smallest.

    Args:
        inside: the network.
        pixels: uint8 RGB `(height, width, 3)`.
    """
    made = [layer for layer in inside.with_maps() if not isinstance(layer, keras.layers.ZeroPadding2D)]
    last_of = {tuple(layer.output.shape[1:3]): layer for layer in made}
    layers = sorted(last_of.values(), key=lambda layer: -layer.output.shape[1] * layer.output.shape[2])[-_MOST_LAYERS:]
    found = inside.giving(layers, 1)(pixels[None])
    return [_stage(layer.name, maps) for layer, maps in zip(layers, found, strict=True)]


def _stage(name: str, maps: np.ndarray) -> Stage:
    rows, columns, width = maps.shape[1:]
    chosen = np.argsort(-neighbourhoods(maps)[0].std((0, 1)), kind="stable")[:_CHANNELS]
    picked = maps[0, :, :, chosen]
    least, most = picked.min((1, 2), keepdims=True), picked.max((1, 2), keepdims=True)
    stretched = (picked - least) / np.where(most > least, most - least, 1)
    return Stage(name, (rows, columns, width), principal(maps)[0], tuple(chosen.tolist()), stretched)


def in_depth(path: str, pixels: np.ndarray, found: list[Stage]) -> Canvas:
    """A column for each stage: what the layer as a whole goes by, and some of its channels.

    Args:
        path: the picture's name.
        pixels: uint8 RGB `(height, width, 3)`.
        found: its stages.
    """
    columns = len(found) + 1
    canvas = Canvas(columns * (_SIDE + _GAP) + _GAP, (1 + _CHANNELS) * (_SIDE + _LINE + 4) + 3 * _LINE + _GAP)
    top = 2 * _LINE + 8
    canvas.text(in_short(path), _GAP, _LINE, _SIDE, 13)
    canvas.picture(pixels, _GAP, top, _SIDE)
    for line, words in enumerate(("above: what most of the", "layer's activation goes into", "", *_LEGEND)):
        canvas.text(words, _GAP, top + _SIDE + 10 + line * _LINE, _SIDE, 12, SOFT)
    for number, stage in enumerate(found, start=1):
        left = _GAP + number * (_SIDE + _GAP)
        canvas.text(stage.layer, left, 8, _SIDE, 13)
        canvas.text("x".join(map(str, stage.shape)), left, 8 + _LINE, _SIDE, 12, SOFT)
        canvas.picture(overlay(pixels, stage.whole), left, top, _SIDE)
        for place, (channel, heat) in enumerate(zip(stage.channels, stage.maps, strict=True), start=1):
            below = top + place * (_SIDE + _LINE + 4)
            canvas.picture(coloured(heat), left, below, _SIDE, smooth=False)
            canvas.text(f"channel {channel}", left, below - _LINE + 2, _SIDE, 12, SOFT)
    return canvas


_LEGEND = ("below: the channels that", "differ most from place to", "place; black is their", "least, yellow their most")
