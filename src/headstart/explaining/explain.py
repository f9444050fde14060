"""Explanations: pictures, what the classifier says of them, and where it finds what speaks for that."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from headstart.bundle import Run
from headstart.errors import DataError, InputError, RecipeError, nearest
from headstart.explaining.draw import overlay
from headstart.explaining.halves import load_halves
from headstart.explaining.occlusion import occluded
from headstart.features.extract import in_batches, load_pictures
from headstart.features.runtime import BATCH
from headstart.images.pictures import Quarantined
from headstart.loading import is_installed, load_keras

MethodName = Literal["grad-cam", "eigen-cam", "occlusion"]

TITLES: dict[MethodName, str] = {"grad-cam": "Grad-CAM", "eigen-cam": "Eigen-CAM", "occlusion": "Occlusion"}
"""What the methods are called where people read it."""


class Method(Protocol):
    """Anything that makes heat maps."""

    def __call__(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Find out which places of pictures speak for a class.

        Args:
            pixels: uint8 RGB `(n, height, width, 3)`.
            classes: integer `(n,)`, which class is asked about in each picture.

        Returns:
            float32 `(n, rows, columns)`, 0 to 1, the most of each map being 1; all zeros where nothing speaks for it.
        """
        ...


@dataclass(frozen=True)
class Explanation:
    """Where a classifier finds what speaks for a class in one picture.

    Attributes:
        path: the picture, as it was given.
        label: the class that was asked about; by default the most probable one.
        probability: of that class, 0 to 1.
        probabilities: of every class, by name, the most probable first.
        method: how the heat map was made.
        layer: whose map it is, by name; for occlusion, in words.
        heat: float32 `(rows, columns)`, 0 to 1, over all of `pixels`; all zeros where nothing speaks for the class.
        pixels: uint8 RGB `(height, width, 3)`, the picture as the network sees it.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    method: MethodName
    layer: str
    heat: np.ndarray = field(repr=False)
    pixels: np.ndarray = field(repr=False)

    @property
    def overlay(self) -> np.ndarray:
        """The heat map laid over the picture, uint8 RGB `(height, width, 3)`."""
        return overlay(self.pixels, self.heat)

    @property
    def area_of_half(self) -> float:
        """The share of the picture that half of the heat lies on: small where it looks at one thing. 0 without heat."""
        ranked = np.sort(self.heat.ravel())[::-1].cumsum()
        return 0.0 if not ranked[-1] else float(np.searchsorted(ranked, ranked[-1] / 2) + 1) / len(ranked)


class Explainer:
    """Makes explanations with one RUN.

    Args:
        run: the RUN.
        method: how heat maps are made; None for Grad-CAM where Keras can compute gradients, else occlusion.
        layer: name or number of the layer whose map is looked at, as `headstart layers` numbers them, negative numbers
            counting from the end; None for the last one with a map. Occlusion has no choice.
        label: the class that is asked about; None for the most probable one of each picture.

    Attributes:
        method: how heat maps are made.
        layer: whose map is looked at, by name; for occlusion, in words.
        look: makes them.

    Raises:
        InputError: if the method, the layer or the class cannot be had.
        MissingExtraError: if Keras is needed and not installed.
    """

    def __init__(
        self, run: Run, method: MethodName | None = None, layer: str | int | None = None, label: str | None = None
    ):
        self._run = run
        self._asked = None if label is None else _number(run, label)
        self.method: MethodName = method or usual_method()
        self.look, self.layer = _choose(run, self.method, None if layer is None else str(layer))

    def stream(self, paths: Sequence[str]) -> Iterator[Explanation | Quarantined]:
        """Explain picture files one batch at a time, in order; a file that cannot be decoded gives its reason."""
        for batch in in_batches(load_pictures(paths, self._run.decode_recipe)):
            good = [content for _, content in batch if not isinstance(content, Quarantined)]
            rows = iter(self._explained(np.stack(good)) if good else ())
            for path, content in batch:
                yield content if isinstance(content, Quarantined) else self._explanation(path, *next(rows))

    def _explained(self, pixels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
        probabilities = self._run.probabilities(pixels)
        asked = probabilities.argmax(1) if self._asked is None else np.full(len(pixels), self._asked)
        return zip(pixels, self.look(pixels, asked), probabilities, asked.tolist(), strict=True)

    def _explanation(self, path: str, pixels: np.ndarray, heat: np.ndarray, row: np.ndarray, asked: int) -> Explanation:
        classes = self._run.classes
        ranked = {classes[i]: float(row[i]) for i in np.argsort(-row, kind="stable")}
        label = classes[asked]
        return Explanation(path, label, ranked[label], ranked, self.method, self.layer, heat, pixels)


def usual_method() -> MethodName:
    """Grad-CAM where Keras can compute gradients, else occlusion, which needs no Keras."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    with_gradients = backend in ("tensorflow", "jax", "torch") and is_installed(backend) and is_installed("keras")
    return "grad-cam" if with_gradients else "occlusion"


def _number(run: Run, label: str) -> int:
    if label not in run.classes:
        raise DataError(f"{run.path} knows no class {label!r}; {nearest(label, run.classes)}")
    return run.classes.index(label)


def _choose(run: Run, method: MethodName, layer: str | None) -> tuple[Method, str]:
    """What makes heat maps, and the name of the layer that it looks at."""
    if method not in TITLES:
        raise RecipeError([f"unknown method {method!r}; {nearest(method, TITLES)}"])
    if method == "occlusion":
        return _occlusion(run, layer)
    load_keras(TITLES[method])
    from headstart.explaining.eigencam import EigenCam
    from headstart.explaining.gradcam import GradCam
    from headstart.explaining.inside import Inside

    inside = Inside(run)
    chosen = inside.layer(layer)
    made: Any = GradCam if method == "grad-cam" else EigenCam
    return made(inside, chosen), chosen.name


def _occlusion(run: Run, layer: str | None) -> tuple[Method, str]:
    if layer is not None:
        raise RecipeError(
            [f"layer {layer!r}: occlusion looks at the last feature map alone; leave it out, or take another method."]
        )
    halves = load_halves(run, BATCH)
    if halves is None:
        raise InputError(f"{run.path} has no runtime/ that OpenVINO could run. Give --method grad-cam, with Keras.")
    return lambda pixels, classes: occluded(halves, pixels, classes), halves.place
