"""A RUN that answers several clients at once, and those of a server by name."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np

from headstart.bundle import Run
from headstart.errors import RunError
from headstart.explaining.draw import overlay
from headstart.explaining.halves import Halves, load_halves
from headstart.explaining.occlusion import occluded
from headstart.features.runtime import BATCH
from headstart.images.decode import UndecodableError, measure
from headstart.run_files import ABOUT, FAMILIARITY, PREDICTIONS
from headstart.serving.batcher import Batcher, deliver
from headstart.serving.metrics import Metrics

_MOST_AT_ONCE = BATCH
"""Pictures that are computed at once: what a RUN runs side by side best; half of it costs a tenth more of each core."""

_MOST_HEATMAPS = 4
"""Heat maps that are made at once; each runs the head, or more, for many places."""

State = tuple[int, int, int]
"""What changes when a file is written anew."""


class Row(NamedTuple):
    """What a network says of one picture.

    Attributes:
        pixels: what it was shown, uint8 RGB `(height, width, 3)`.
        probabilities: float32 `(classes,)`.
        share: how familiar it is; None where the RUN cannot tell.
    """

    pixels: np.ndarray
    probabilities: np.ndarray
    share: float | None


class Model:
    """A RUN with a thread that computes what its clients ask for together.

    Made off the event loop, by `open_model`, and started on it.

    Args:
        name: what clients call it.
        run: the RUN.
        state: what its `bundle.json` was like when it was opened.

    Attributes:
        name: what clients call it.
        run: the RUN.
        state: what its `bundle.json` was like when it was opened.
        accuracy: that on its validation pictures, 0 to 1; None where the RUN does not say.
        users: requests that hold it.
    """

    def __init__(self, name: str, run: Run, state: State):
        self.name = name
        self.run = run
        self.state = state
        self.users = 0
        self._threshold = lru_cache(64)(lambda precision: run.abstain_for(precision).threshold)
        self._halves: Halves | None = None
        self._cutting = Lock()
        self.accuracy = _accuracy_of(run)

    def start(self, decoders: Executor, metrics: Metrics, max_pixels: int) -> None:
        """Begin to take pictures; on the event loop.

        Args:
            decoders: threads that decode.
            metrics: told how many pictures are computed at once.
            max_pixels: most pixels of one picture.
        """
        self._decoders = decoders
        self._max_pixels = max_pixels
        self._loop = asyncio.get_running_loop()
        sizes = metrics.batches.labels(self.name)
        self._rows = Batcher(self._answers, _MOST_AT_ONCE, f"model {self.name}", sizes.observe)
        self._maps: Batcher[tuple[np.ndarray, int], bytes] | None = None

    def warm(self, pictures: int) -> None:
        """Run it on so many blank pictures: one alone and several together are computed in different ways.

        Raises:
            RunError: if it is damaged.
        """
        recipe = self.run.decode_recipe
        self.run.answers(np.zeros((pictures, recipe.height, recipe.width, 3), np.uint8))

    @property
    def abstains(self) -> bool:
        """Whether it knows how right it was on validation pictures, and so when it had better say nothing."""
        return (self.run.path / PREDICTIONS).is_file()

    @property
    def knows_unlike(self) -> bool:
        """Whether it can tell that a picture is unlike all that it has learned from."""
        return FAMILIARITY in self.run.about["digests"]

    def threshold(self, precision: float) -> float:
        """The probability from which on its answers are as precise as wished; reads a file, so not on the event loop.

        Raises:
            RunError: if none is.
        """
        return self._threshold(precision)

    def classify(self, content: bytes, deadline: float) -> "asyncio.Future[Row]":
        """Decode a picture file on one thread and compute it on another.

        Args:
            content: the bytes of the file.
            deadline: by `time.monotonic`.

        Returns:
            What gets the answer, or `UndecodableError`, or `ExpiredError`.
        """
        answer: asyncio.Future[Row] = self._loop.create_future()
        self._decoders.submit(self._decode, content, answer, deadline)
        return answer

    def compute(self, pixels: np.ndarray, deadline: float) -> "asyncio.Future[Row]":
        """The same for a picture that is decoded, uint8 RGB `(height, width, 3)` of the network's size."""
        answer: asyncio.Future[Row] = self._loop.create_future()
        self._rows.put(pixels, answer, deadline)
        return answer

    def heatmap(self, pixels: np.ndarray, number: int, deadline: float) -> "asyncio.Future[bytes]":
        """Where a picture speaks for a class, drawn over it.

        Args:
            pixels: as for `compute`.
            number: of the class.
            deadline: by `time.monotonic`.

        Returns:
            What gets a PNG, or `RunError` where the network ends in a way that has no heat maps.
        """
        if self._maps is None:
            self._maps = Batcher(self._draw, _MOST_HEATMAPS, f"heat maps {self.name}")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._maps.put((pixels, number), answer, deadline)
        return answer

    def close(self) -> None:
        """Take nothing any more; what waits is still computed."""
        self._rows.close()
        if self._maps is not None:
            self._maps.close()

    def _decode(self, content: bytes, answer: "asyncio.Future[Row]", deadline: float) -> None:
        try:
            if time.monotonic() < deadline and not answer.cancelled():
                self._refuse_bombs(content)
                pixels = self.run.decode(content)
            else:
                pixels = _NOTHING  # the batcher says that its time is over
            self._rows.put(pixels, answer, deadline)
        except Exception as error:  # goes to who waits for it
            deliver(self._loop, [(answer, error)])

    def _refuse_bombs(self, content: bytes) -> None:
        found = measure(content)
        if found.height * found.width > self._max_pixels:
            raise UndecodableError(
                f"{found.width}x{found.height} pixels are more than the limit of {self._max_pixels:,} here"
            )

    def _answers(self, pixels: Sequence[np.ndarray]) -> list[Row]:
        found = self.run.answers(np.stack(pixels))
        return [Row(shown, *row) for shown, row in zip(pixels, found.rows(), strict=True)]

    def _draw(self, asked: "Sequence[tuple[np.ndarray, int]]") -> list[bytes]:
        shown = np.stack([pixels for pixels, _ in asked])
        heat = occluded(self._cut(), shown, np.array([number for _, number in asked]))
        return [_as_png(overlay(pixels, places)) for pixels, places in zip(shown, heat, strict=True)]

    def _cut(self) -> Halves:
        with self._cutting:
            if self._halves is None:
                self._halves = load_halves(self.run, _MOST_HEATMAPS)
            if self._halves is None:
                raise RunError(f"{self.name} ends in a way that has no heat maps without Keras.")
            return self._halves


_NOTHING = np.zeros(0, np.uint8)


def open_model(name: str, path: Path) -> Model:
    """Open a RUN and run it once, so that the first client waits no longer than the others.

    Raises:
        RunError: if there is no RUN there, it is damaged, or has nothing that OpenVINO could run.
    """
    state = state_of(path)
    run = Run(path)
    if not run.runtime_files():
        raise RunError(
            f"{path} has no runtime/ that OpenVINO could run, and nothing is served by Keras. Train it again."
        )
    model = Model(name, run, state)
    model.warm(1)
    return model


def state_of(path: Path) -> State:
    """What changes when the RUN in a folder is written anew; zeros where there is none."""
    try:
        found = (path / ABOUT).stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _accuracy_of(run: Run) -> float | None:
    try:
        found = run.metrics.get("accuracy")
    except RunError:
        return None
    return float(found) if isinstance(found, int | float) and 0 <= found <= 1 else None


def _as_png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1])
