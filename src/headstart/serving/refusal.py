"""What a client is told when it does not get what it asked for: a status and one line for people."""

import msgspec
from starlette.responses import Response

from headstart.texts import printable

_LONGEST = 500


class Refusal(msgspec.Struct):
    """Why there is no answer, in one line for people."""

    error: str


class RefusedError(Exception):
    """A request that is not answered as it wishes.

    Attributes:
        status: of HTTP.
        message: one line for people.
        headers: that go with it.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The answer that says so."""
    line = printable(" ".join(message.split()))
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
    return Response(msgspec.json.encode(Refusal(line)), status, headers, "application/json")
