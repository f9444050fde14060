"""The server as a process: it listens, opens models, answers, and ends when all are answered."""

import ctypes
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from headstart.errors import InputError
from headstart.serving.app import make_app
from headstart.serving.connection import Connection
from headstart.serving.guard import Access
from headstart.serving.limits import Limits
from headstart.serving.model import Model, open_model

_BACKLOG = 1024
_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BLOCK = 1 << 20
_KEEP_ALIVE = 20  # seconds that a client may take for its next request
_LAST_SECONDS = 5  # to send answers, once all of them are computed


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address before anything else is done, so that who cannot is told at once.

    Raises:
        InputError: if that is not possible.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise InputError(f"cannot listen at {host}, port {port}: {reason}. Give another --host or --port.") from None


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_models(runs: Mapping[str, Path]) -> dict[str, Model]:
    """Open all RUNs.

    Raises:
        RunError: if one of them cannot be used.
    """
    return {name: open_model(name, path) for name, path in runs.items()}


def serve(
    listening: socket.socket,
    models: Mapping[str, Model],
    limits: Limits,
    access: Access,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Answer until the process is told to end, by Ctrl-C or SIGTERM; then answer what was accepted, and return."""
    _return_large_blocks()
    app = make_app(models, limits, access)
    made: Any = functools.partial(Connection, limits)
    config = uvicorn.Config(
        app,
        http=made,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(limits.seconds) + _LAST_SECONDS,
    )
    server = uvicorn.Server(config)
    with _signals_taken(server):
        started()
        server.run(sockets=[listening])


def _return_large_blocks() -> None:
    """Have glibc give blocks of pixels back to the system at once.

    By itself it raises the size from which it does so to that of the largest block that was ever freed, and then keeps
    such blocks for each thread: after some large pictures, hundreds of megabytes for good. Source: mallopt(3).
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another library than glibc
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


@contextmanager
def _signals_taken(server: uvicorn.Server) -> Iterator[None]:
    """Have signals end the server, and nothing else: uvicorn takes them late, and raises them once more in the end."""

    def end(*_: object) -> None:
        server.should_exit = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
