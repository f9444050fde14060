"""The pictures on a page: each is embedded once, wherever it is shown, and as many as there is room for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from headstart.bundle import Run
from headstart.errors import HeadstartError
from headstart.features.extract import load_pictures
from headstart.images.pictures import Side
from headstart.pages import SIDE, Thumbnail, as_thumbnail, thumbnail
from headstart.progress import Advance
from headstart.reporting.gathered import Case
from headstart.threads import cores, in_order

Place = tuple[str, Side]
"""The name of a picture and its side: what tells it from all others."""

_AHEAD = 32


class Symbol(NamedTuple):
    """A picture that is embedded.

    Attributes:
        key: what the page calls it by.
        thumbnail: what it is.
    """

    key: str
    thumbnail: Thumbnail


class Album:
    """What is embedded of the pictures that a page shows.

    Attributes:
        symbols: the pictures, by place.
        heat: where the network found what spoke for a class, by place.
        gone: pictures that are not where they were, or no pictures any more.
        left_out: pictures for which there was no room.
    """

    def __init__(self) -> None:
        self.symbols: dict[Place, Symbol] = {}
        self.heat: dict[Place, Symbol] = {}
        self.gone: set[Place] = set()
        self.left_out: set[Place] = set()

    def embed(
        self, places: Sequence[Place], locate: Callable[[str, Side], str] | None, most_bytes: int, advance: Advance
    ) -> None:
        """Embed pictures, in their order, while there is room.

        Args:
            places: which; some may be there more than once.
            locate: where they are; None where that is not known.
            most_bytes: what they may take.
            advance: told of every picture that is done with.
        """
        wanted = list(dict.fromkeys(places))
        if locate is None:
            self.gone |= set(wanted)
            return
        paths = (locate(*place) for place in wanted)
        found = in_order(thumbnail, paths, cores(), _AHEAD, "thumbnail")
        for number, (place, small) in enumerate(zip(wanted, found, strict=True)):
            advance(1)
            if small is None:
                self.gone.add(place)
            elif len(small.uri) > most_bytes:
                self.left_out |= set(wanted[number:])
                break
            else:
                most_bytes -= len(small.uri)
                self.symbols[place] = Symbol(f"p{number}", small)

    def embed_heat(self, run: Run, cases: Sequence[Case], locate: Callable[[str, Side], str] | None) -> None:
        """Embed, for pictures that are embedded themselves, what spoke for the class they were taken for.

        Without OpenVINO's form of the model there are none.
        """
        there = [case for case in cases if (case.name, case.side) in self.symbols]
        if locate is None or not there:
            return
        for number, (case, drawn) in enumerate(_heat_of(run, there, locate)):
            self.heat[case.name, case.side] = Symbol(f"h{number}", drawn)

    def all(self) -> list[Symbol]:
        """Everything that is embedded."""
        return [*self.symbols.values(), *self.heat.values()]


def _heat_of(run: Run, cases: Sequence[Case], locate: Callable[[str, Side], str]) -> Iterable[tuple[Case, Thumbnail]]:
    from headstart.explaining.draw import overlay
    from headstart.explaining.occlusion import heatmaps

    paths = [locate(case.name, case.side) for case in cases]
    decoded = [content for _, content in load_pictures(paths, run.decode_recipe)]
    pairs = [(case, pixels) for case, pixels in zip(cases, decoded, strict=True) if isinstance(pixels, np.ndarray)]
    if not pairs:
        return []
    pixels = np.stack([pixels for _, pixels in pairs])
    try:
        heat = heatmaps(run, pixels, np.array([case.predicted for case, _ in pairs]))
    except HeadstartError:  # a RUN whose model is gone still has its figures
        heat = None
    if heat is None:
        return []
    return [
        (case, as_thumbnail(_in_small(overlay(whole, hot)))) for (case, whole), hot in zip(pairs, heat, strict=True)
    ]


def _in_small(pixels: np.ndarray) -> np.ndarray:
    scale = SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def places_of(cases: Iterable[Case]) -> list[Place]:
    """The places of cases."""
    return [(case.name, case.side) for case in cases]


Shown = Mapping[Place, Symbol]
