"""What several clients ask for at once, computed together.

The batch is whatever waits when the one before is done. Nobody waits for others to come: under load they are there
already, and without it waiting would only cost time. That is what serving systems call dynamic batching with a delay
of zero.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ExpiredError(Exception):
    """The time of a request was over before it was its turn."""


@dataclass(frozen=True, eq=False)
class _Job(Generic[Item, Result]):
    item: Item
    answer: "asyncio.Future[Result]"
    deadline: float


class Batcher(Generic[Item, Result]):
    """A thread that computes what waits, some of it at once, first come first served.

    Args:
        compute: gives one result for each item; runs on the thread.
        most: how many items are computed at once.
        name: what the thread is called.
        observe: told, on the thread, how many were computed at once.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Item]], Sequence[Result]],
        most: int,
        name: str,
        observe: Callable[[int], None] = lambda count: None,
    ):
        self._compute = compute
        self._most = most
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Job[Item, Result]] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item, answer: "asyncio.Future[Result]", deadline: float) -> None:
        """Have an item computed; from any thread.

        Args:
            item: what goes to `compute`.
            answer: gets the result, or `ExpiredError`, or what `compute` raises.
            deadline: by `time.monotonic`; what has not been begun by then is not computed.
        """
        with self._changed:
            self._waiting.append(_Job(item, answer, deadline))
            self._changed.notify()

    def close(self) -> None:
        """End the thread once everything that waits is computed; does not wait for that."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while jobs := self._next():
            now = time.monotonic()
            alive = [job for job in jobs if job.deadline > now]
            late = [job for job in jobs if job.deadline <= now]
            done: list[tuple[asyncio.Future[Result], Result | Exception]] = [
                (job.answer, ExpiredError()) for job in late
            ]
            done += zip((job.answer for job in alive), self._results(alive), strict=True)
            deliver(self._loop, done)

    def _next(self) -> list[_Job[Item, Result]]:
        """What is computed next; nothing once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]

    def _results(self, jobs: Sequence[_Job[Item, Result]]) -> Sequence[Result | Exception]:
        if not jobs:
            return ()
        self._observe(len(jobs))
        try:
            return self._compute([job.item for job in jobs])
        except Exception as error:  # whatever it is, it belongs to those who wait for it, and others come after them
            return [error] * len(jobs)


def deliver(
    loop: asyncio.AbstractEventLoop, done: "Sequence[tuple[asyncio.Future[Result], Result | Exception]]"
) -> None:
    """Hand results to those who wait on the event loop, all by one call; from any thread."""

    def hand_over() -> None:
        for answer, result in done:
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    loop.call_soon_threadsafe(hand_over)
