"""Silencing warnings on several threads at once."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

_lock = Lock()
_inside = 0
_filters = ExitStack()


@contextmanager
def no_warnings() -> Iterator[None]:
    """Let nobody hear warnings while any thread is in here.

    Python's filters are one list for all threads: if each put them back as it found them, they would not end as they
    began, and warnings would come through where others have left already.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _filters.close()
