"""A file that says which classes there are, and in which order."""

import os

from headstart.errors import DataError
from headstart.images.places import opened

_FORM = "It should hold one class name per line, in UTF-8."


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read class names, one per line, in their order.

    Blank lines and blanks around a name mean nothing. There are no comments: a name may begin with any character.

    Raises:
        DataError: if the file cannot be read or is empty, or a class is in it twice.
    """
    try:
        with opened(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"the labels in {path} are not text in UTF-8. {_FORM}") from None
    except OSError as error:
        raise DataError(f"the labels in {path} cannot be read: {error.strerror or error}. {_FORM}") from None
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if name in found:
            raise DataError(f"class {name!r} is on lines {found[name]} and {number} of {path}. Remove one of them.")
        if name:
            found[name] = number
    if not found:
        raise DataError(f"there are no labels in {path}. {_FORM}")
    return tuple(found)
