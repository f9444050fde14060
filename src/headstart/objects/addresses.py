"""Which texts are places in object storage: `s3://bucket/folder/file`, `gs://bucket/folder/file`."""

import os
import posixpath
import re
from pathlib import Path, PosixPath

from headstart.errors import InputError

SCHEMES = ("s3", "gs")
"""S3 and what speaks its language; Google Cloud Storage."""

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+")
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Address(PosixPath):
    """A place in object storage: a path in every respect but how it is written, `s3://bucket/folder/file`.

    Nothing of it is asked of the operating system: what is there, `headstart.objects.requests` finds out.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return _ADDRESS.sub(r"\1://", super().__str__(), count=1)

    @property
    def scheme(self) -> str:
        """One of `SCHEMES`."""
        return self.parts[0].removesuffix(":")

    @property
    def bucket(self) -> str:
        """The name of the bucket; empty where there is none."""
        return self.parts[1] if len(self.parts) > 1 else ""

    @property
    def key(self) -> str:
        """The name in the bucket; empty for the bucket itself."""
        return "/".join(self.parts[2:])


def is_address(path: object) -> bool:
    """Whether a path or a text is a place in object storage, also when `pathlib` has taken one of its slashes."""
    return isinstance(path, str | os.PathLike) and _ADDRESS.match(os.fsdecode(path)) is not None


def as_path(given: str | os.PathLike[str]) -> Path:
    """The path of what was given, which is written as an address if it is one."""
    return Address(given) if is_address(given) else Path(given)


def joined(folder: str | os.PathLike[str], name: str) -> str:
    """The path of what is called so from a folder, without `.` and `..`; an absolute path or address leads there."""
    if is_address(name):
        folder, name = name, ""
    if not is_address(folder):
        return os.path.normpath(os.path.join(folder, name))
    scheme, *rest = as_path(folder).parts
    return str(Address(scheme, posixpath.normpath("/".join([*rest, name])).lstrip("/")))


def absolute(path: str | os.PathLike[str]) -> str:
    """What the path means wherever one stands."""
    return str(as_path(path)) if is_address(path) else os.path.abspath(path)


def require_local(path: str | os.PathLike[str], what: str) -> None:
    """Refuse object storage where files are needed that can be written in pieces, renamed and mapped.

    Raises:
        InputError: if the path is an address.
    """
    if is_address(path):
        raise InputError(
            f"{what} cannot be in object storage, as {as_path(path)} is. Give a folder on this machine, and copy it."
        )


def other_scheme(path: str | os.PathLike[str]) -> str | None:
    """The scheme of an address of another kind, as `https`; None where it is none."""
    found = _OTHER.match(os.fspath(path))
    return None if found is None or is_address(path) else found[1]
