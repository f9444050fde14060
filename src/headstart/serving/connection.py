"""Connections of uvicorn with limits: of what comes besides bodies, of time, of their number; and a gentle end.

uvicorn reads headers and trailers without end, and waits for them without end. It closes connections that wait for a
next request at once when the server ends, also when that request is already on its way.
"""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headstart.serving.limits import Limits
from headstart.serving.refusal import Refusal

_MOST_CONNECTIONS = 500  # below the 1,024 files that a process may usually have open
_MOST_BESIDES = 64 << 10  # bytes of headers, trailers and the like of one request
_SECONDS_FOR_HEADERS = 10.0
_SECONDS_TO_LINGER = 1.0
_SECONDS_TO_TAKE = 60.0  # for a client to fetch the end of an answer


class Connection(HttpToolsProtocol):
    """A connection.

    Args:
        limits: what is refused.
        options: uvicorn's.
    """

    def __init__(self, limits: Limits, **options: Any):
        super().__init__(**options)
        self._limits = limits
        self._received = self._of_body = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_between = True
        self._ends = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            self._refuse(503, "too many connections.")
        else:
            self._time(_SECONDS_FOR_HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._time(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        besides = self._received - self._of_body
        if besides > _MOST_BESIDES + 8 * self._of_body or self._received > 2 * self._limits.body_bytes + _MOST_BESIDES:
            self._refuse(431, f"more than {_MOST_BESIDES >> 10} KiB of headers, or a body without end.")

    def eof_received(self) -> bool:  # type: ignore[override]
        """See `asyncio.Protocol`: who says no more may still be waiting for an answer."""
        is_answered = self.cycle is None or self.cycle.response_complete
        if self._is_between and not is_answered:
            self.cycle.keep_alive = False
            return True
        return False

    def send_400_response(self, msg: str) -> None:
        """Say in the form of all refusals that this is no HTTP."""
        self._refuse(400, "this is not a request of HTTP.")

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._is_between = False
        self._time(_SECONDS_FOR_HEADERS)

    def on_headers_complete(self) -> None:
        """See httptools."""
        super().on_headers_complete()
        self._time(self._limits.seconds + _SECONDS_FOR_HEADERS)  # the application is done with it by then
        if self._ends:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._received = self._of_body = 0
        self._is_between = True
        self._time(None)
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close it when no next request comes, and for good when the client does not fetch what it was sent."""
        super().timeout_keep_alive_handler()
        self._time(_SECONDS_TO_TAKE)

    def shutdown(self) -> None:
        """End it with the answer to the request that is under way, or to one that is on its way already."""
        self._ends = True
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(_SECONDS_TO_LINGER, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._is_between and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _time(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._abort)

    def _abort(self) -> None:
        self.transport.abort()

    def _refuse(self, status: int, message: str) -> None:
        body = msgspec.json.encode(Refusal(message))
        head = f"HTTP/1.1 {status} RefusedError\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\nRetry-After: 1\r\n\r\n" + body)
        self.transport.close()
