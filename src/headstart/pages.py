"""What headstart's pages are made of: one file of HTML each, in which everything from outside is escaped."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from headstart.images.decode import DecodeRecipe, UndecodableError, decode, measure
from headstart.images.places import read_file
from headstart.texts import short

if TYPE_CHECKING:
    from jinja2 import Template

STYLE = Path(__file__).with_name("pages.css")
"""Colours and type of a page, light and dark."""

SIDE = 112
"""Rows or columns of a thumbnail, whichever are more."""

_QUALITY = 72


class Thumbnail(NamedTuple):
    """A small picture that is part of a page.

    Attributes:
        uri: a JPEG as a data URI.
        width: columns.
        height: rows.
    """

    uri: str
    width: int
    height: int


@lru_cache
def read_template(path: Path) -> "Template":
    """A template for HTML in which every value is escaped, and none may be missing; `short` is known in it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["short"] = short
    return environment.from_string(path.read_text(encoding="utf-8"))


def digest_for_policy(text: str) -> str:
    """How a Content-Security-Policy names the one script or style sheet that it allows (W3C, CSP Level 3)."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def thumbnail(path: str, side: int = SIDE) -> Thumbnail | None:
    """A picture in small, the whole of it; None if it is gone or cannot be decoded.

    Args:
        path: where it is, see `headstart.images.places`.
        side: rows or columns of the thumbnail, whichever are more.
    """
    try:
        data = read_file(path)
        _, height, width = measure(data)
        scale = side / max(height, width)
        recipe = DecodeRecipe(max(1, round(height * scale)), max(1, round(width * scale)), "stretch")
        return as_thumbnail(decode(data, recipe))
    except (OSError, UndecodableError):
        return None


def as_thumbnail(pixels: np.ndarray) -> Thumbnail:
    """Pixels as part of a page.

    Args:
        pixels: uint8 RGB `(height, width, 3)`.
    """
    _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    uri = f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    return Thumbnail(uri, pixels.shape[1], pixels.shape[0])
