"""Everything headstart raises on purpose.

    HeadstartError
    ├── InputError          what was given cannot be used; the message says what to do next
    │   ├── DataError       folders, pictures, labels, splits
    │   ├── RecipeError     one or more choices that are wrong, reported together
    │   ├── WeightsError    pretrained weights that cannot be had or do not fit
    │   ├── RunError        a RUN folder that is missing, occupied or damaged
    │   └── StorageError    a disk that is full, a folder that cannot be written
    ├── MissingExtraError        the command needs a part of headstart that is not installed
    ├── SplitError          a model that cannot be split
    ├── LostProcessError    one of several processes has lost another one
    └── SaidElsewhereError  another one of several processes says what is wrong

On the command line each of them is one line on stderr and exit code 2; only a lost process has a code of its own.
"""

import difflib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class HeadstartError(Exception):
    """Base of all errors raised on purpose."""


class InputError(HeadstartError):
    """What was given cannot be used."""


class DataError(InputError):
    """Folders, pictures, labels or splits that cannot be used."""


class RecipeError(InputError):
    """One or more choices of a recipe that are wrong.

    Attributes:
        problems: one sentence for each wrong choice.
    """

    def __init__(self, problems: Sequence[str]):
        self.problems = tuple(problems)
        super().__init__(" ".join(self.problems))


class WeightsError(InputError):
    """Pretrained weights that cannot be had or do not fit."""


class RunError(InputError):
    """A RUN folder that is missing, occupied or damaged."""


class StorageError(InputError):
    """A disk that is full or a folder that cannot be written."""


class MissingExtraError(HeadstartError):
    """A part of headstart that is not installed is needed."""

    def __init__(self, what: str, extra: str):
        super().__init__(f"{what} needs headstart[{extra}]. Install it with: pip install 'headstart[{extra}]'")


class SplitError(HeadstartError):
    """A model that cannot be split."""


class LostProcessError(HeadstartError):
    """Another process of the same training has ended or cannot be reached."""


class SaidElsewhereError(HeadstartError):
    """Another process of the same training says what is wrong, so this one says nothing."""


_STORAGE_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed here",
    errno.EROFS: "it is on a read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EEXIST: "something else is there",
    errno.ENOTDIR: "part of the path is a file",
    errno.EBUSY: "it is in use",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk does not answer",
}


@contextmanager
def storage_errors(where: Path | str, hint: str) -> Iterator[None]:
    """Turn the operating system's refusals to write below `where` into a `StorageError` that ends with `hint`."""
    try:
        yield
    except OSError as error:
        reason = _STORAGE_REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise StorageError(f"cannot write to {where}: {reason}. {hint}") from error


def require_free_space(folder: Path, size: int) -> None:
    """Make sure that there is room for a file before a library that would not notice writes it.

    Args:
        folder: where it will be written.
        size: in bytes.

    Raises:
        OSError: ENOSPC, as the operating system would.
    """
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def nearest(name: str, valid: Iterable[str]) -> str:
    """A clause that names the valid names nearest to `name`, or all of them when none is near."""
    valid = sorted(" ".join(name.split()) for name in valid)  # which come from outside, and an error is one line
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"valid are: {', '.join(valid)}."
