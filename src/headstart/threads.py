"""Work that is done on threads ahead of whoever asks for it, and given in the order it came."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES = "HEADSTART_CORES"
"""The environment variable that says how many cores this process may keep busy."""


def most_cores() -> int | None:
    """How many cores this process was told to keep busy at most; None where nobody said so."""
    asked = os.environ.get(CORES, "")
    return max(1, int(asked)) if asked.isdecimal() else None


def cores() -> int:
    """How many cores this process may keep busy: those it was told, else all that it may run on."""
    if limit := most_cores():
        return limit
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int, name: str = ""
) -> Iterator[Result]:
    """What a function gives for each item, in order, whichever is done first.

    Items are taken on the calling thread. Whoever ends it early waits for what is being done; nothing more is begun.

    Args:
        function: runs on a thread.
        items: what it is called with.
        workers: how many threads there are.
        ahead: how many items may be taken before the result of the first is asked for.
        name: what the threads are called.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
