"""The pictures in the body of a request: as they are, several in a form, or in JSON. Nothing is written to disk."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from headstart.images.pictures import Content
from headstart.serving.limits import Admitted, Limits
from headstart.serving.refusal import RefusedError

FIELD = "pictures"
"""What the parts of a form that are pictures are called."""

_MOST_HEADERS = 8  # of a part
_LONGEST_NAME = 200


class PicturesInJson(msgspec.Struct, forbid_unknown_fields=True):
    """Picture files, each encoded in base64."""

    pictures: list[bytes]


_json = msgspec.json.Decoder(PicturesInJson)


async def read_body(request: Request, limits: Limits, admitted: Admitted) -> bytes:
    """All of a body.

    Raises:
        RefusedError: 413 if it is too large, before it is read where it says so; 408 if it does not come in time; 415
            if it is compressed.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "compressed bodies are not read; pictures are compressed already.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(admitted.deadline - time.monotonic()):
            return await _read(request, limits, admitted)
    except ClientDisconnect:
        raise RefusedError(400, "the body ends before its end.") from None  # which nobody hears any more
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {limits.seconds:g} seconds.") from None


async def _read(request: Request, limits: Limits, admitted: Admitted) -> bytes:
    pieces: list[bytes] = []
    async for piece in request.stream():
        admitted.hold(len(piece))
        if admitted.held > limits.body_bytes:
            raise _too_large(limits)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(413, f"the body is larger than {limits.body_bytes:,} bytes, which is the limit here.")


def pictures_in(body: bytes, content_type: str, limits: Limits) -> list[Content]:
    """The picture files in a body.

    Args:
        body: all of it.
        content_type: what the client says that it is.
        limits: how many there may be.

    Raises:
        RefusedError: if it is something else (415), not what it says or without pictures (400), or has too many (413).
    """
    kind, parameters = parse_options_header(content_type)
    name = kind.decode("latin-1")
    if name == "multipart/form-data":
        found = _in_form(body, parameters.get(b"boundary", b""), limits.pictures)
    elif name == "application/json":
        found = _in_json(body)
    elif name.startswith("image/") or name in ("application/octet-stream", ""):
        found = [Content("1", body)] if body else []
    else:
        raise RefusedError(
            415,
            f"a body of the type {name!r} is not read. Send one picture as image/* or application/octet-stream, "
            f"several as multipart/form-data, or JSON.",
        )
    if not found:
        raise RefusedError(400, f"there is no picture in the body; those in a form are files called {FIELD!r}.")
    if len(found) > limits.pictures:
        raise too_many(limits)
    return found


def too_many(limits: Limits) -> RefusedError:
    """The answer to a request with more pictures than are taken at once."""
    return RefusedError(413, f"more than {limits.pictures} pictures in one request, which is the limit here.")


def _in_json(body: bytes) -> list[Content]:
    try:
        given = _json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise not_as_expected(error, '{"pictures": ["<base64>", ...]}') from None
    return [Content(str(number), data) for number, data in enumerate(given.pictures, start=1)]


def not_as_expected(error: Exception, wanted: str) -> RefusedError:
    """The answer to JSON that is none, or another."""
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
    return RefusedError(400, f"the JSON cannot be used: {reason}. Wanted is {wanted}.")


def _in_form(body: bytes, boundary: bytes, most: int) -> list[Content]:
    if not boundary:
        raise RefusedError(400, "the form says no boundary in its Content-Type.")
    parts = _Parts(most)
    try:
        parser = MultipartParser(boundary, parts.callbacks(), max_header_count=_MOST_HEADERS)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError, IndexError) as error:
        raise RefusedError(400, f"the form is damaged: {error}") from None
    if not parts.is_whole:
        raise RefusedError(400, "the form is damaged: it ends before its last boundary.")
    return parts.found


class _Parts:
    """Collects the pictures of a form; what else is in it is passed over."""

    def __init__(self, most: int):
        self.found: list[Content] = []
        self.is_whole = False
        self._most = most
        self._pieces: list[bytes] = []
        self._header, self._value = b"", b""
        self._disposition = b""

    def callbacks(self) -> Any:
        names = ("part_begin", "header_field", "header_value", "header_end", "part_data", "part_end", "end")
        found: dict[str, Callable[..., None]] = {f"on_{name}": getattr(self, f"_{name}") for name in names}
        return found

    def _part_begin(self) -> None:
        self._pieces, self._disposition = [], b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name", b"").decode("utf-8", "replace") != FIELD or len(self.found) > self._most:
            return
        name = options.get(b"filename", b"").decode("utf-8", "replace")[:_LONGEST_NAME]
        self.found.append(Content(name or str(len(self.found) + 1), b"".join(self._pieces)))

    def _end(self) -> None:
        self.is_whole = True
