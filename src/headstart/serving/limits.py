"""What a server takes at once, and what it refuses rather than letting it wait without end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart.serving.refusal import RefusedError

_BODIES = 5  # of the largest size may be in memory together


@dataclass(frozen=True)
class Limits:
    """What is refused.

    Attributes:
        body_bytes: largest body of a request.
        pixels: most pixels of one picture, as its header says.
        pictures: most pictures of one request.
        queue: most requests that are read, wait or are computed at once.
        seconds: how long a request may take, from its first byte to its answer.
    """

    body_bytes: int = 20_000_000
    pixels: int = 50_000_000
    pictures: int = 64
    queue: int = 32
    seconds: float = 30.0


class Admission:
    """Counts what is under way and turns away what is too much, at once. Used on the event loop only.

    Args:
        limits: how much that is.

    Attributes:
        requests: how many are under way.
        pictures: how many of theirs are not answered yet.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._bytes = 0
        self.requests = 0
        self.pictures = 0

    @contextmanager
    def request(self) -> Iterator["Admitted"]:
        """Let a request in as long as the block runs.

        Raises:
            RefusedError: 503, if there are too many.
        """
        if self.requests >= self._limits.queue:
            raise too_busy(f"{self.requests} requests are under way, and no more are taken")
        self.requests += 1
        admitted = Admitted(self, self._limits.seconds)
        try:
            yield admitted
        finally:
            self.requests -= 1
            self._bytes -= admitted.held
            self.pictures -= admitted.pictures

    def hold(self, count: int) -> None:
        """Take more bytes into memory."""
        if self._bytes + count > _BODIES * self._limits.body_bytes:
            raise too_busy("the bodies of other requests take all the memory there is for that")
        self._bytes += count

    def count(self, pictures: int) -> None:
        """Take more pictures, as many as one request may have even where others wait."""
        if self.pictures and self.pictures + pictures > max(self._limits.queue, self._limits.pictures):
            raise too_busy(f"{self.pictures} pictures wait already, and {pictures} more are too many")
        self.pictures += pictures


class Admitted:
    """A request that was let in.

    Attributes:
        deadline: when its time is over, by `time.monotonic`.
        held: the bytes of its body in memory.
        pictures: how many it has.
    """

    def __init__(self, admission: Admission, seconds: float):
        self._admission = admission
        self.deadline = time.monotonic() + seconds
        self.held = 0
        self.pictures = 0

    def hold(self, count: int) -> None:
        """Count bytes of its body.

        Raises:
            RefusedError: 503, if all requests together have too many.
        """
        self._admission.hold(count)
        self.held += count

    def count(self, pictures: int) -> None:
        """Count its pictures.

        Raises:
            RefusedError: 503, if too many wait already.
        """
        self._admission.count(pictures)
        self.pictures += pictures


def too_busy(reason: str) -> RefusedError:
    """The answer to what comes while there is too much to do."""
    return RefusedError(503, f"too busy: {reason}. Try again in a second.", {"Retry-After": "1"})
