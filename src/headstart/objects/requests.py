"""The few things that are asked of object storage, through `pyarrow.fs`, with its errors translated once.

An object that is not there, or must not be read, is an `OSError`, as of a file: the rest can go on without it. Storage
that does not answer, a bucket that does not exist and keys that are not accepted are a `StorageError`: nothing can.

https://arrow.apache.org/docs/python/filesystems.html
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from headstart.errors import MissingExtraError, StorageError
from headstart.objects.addresses import Address
from headstart.threads import in_order

AT_ONCE = 32
"""Requests under way at the same time: they wait for the network and not for a processor."""

_ATTEMPTS = 4  # of each request, ever further apart, some five seconds in all
_GIVE_UP = timedelta(seconds=20)
_GONE = re.compile("NO_SUCH_KEY|RESOURCE_NOT_FOUND|NOT_FOUND|Path does not exist|No such file")
_NO_BUCKET = re.compile("NO_SUCH_BUCKET|bucket does not exist", re.IGNORECASE)
_FORBIDDEN = re.compile("ACCESS_DENIED|PERMISSION_DENIED|Forbidden", re.IGNORECASE)
_KEYS = re.compile(
    "INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_SIGNATURE|EXPIRED_TOKEN|ExpiredToken|InvalidToken|"
    "INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|UNAUTHENTICATED|REQUEST_EXPIRED|"
    "Could not create a OAuth2 access token"
)
_SILENT = re.compile("NETWORK_CONNECTION|UNAVAILABLE|DEADLINE_EXCEEDED|REQUEST_TIMEOUT|SLOW_DOWN|Couldn't connect")
_RIGHTS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
_ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}
_SETTINGS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_NO_SIGN_REQUEST",
    "GS_NO_SIGN_REQUEST",
)
_NO_PATH = "its name has a part that is empty, . or .., so it is no path"


class Found(NamedTuple):
    """Something below an address.

    Attributes:
        address: where it is.
        is_folder: whether it is a folder, which is no more than a beginning that names have in common.
        size: in bytes; 0 for folders.
        changed: when it was written, in nanoseconds since 1970; 0 for folders.
        problem: why it cannot be read by its address; empty where it can.
    """

    address: str
    is_folder: bool
    size: int = 0
    changed: int = 0
    problem: str = ""


def look(address: Address) -> Found | None:
    """What is at an address; None for nothing. One request for an object, two for a folder.

    Raises:
        StorageError: if the storage cannot be used.
        PermissionError: if it must not be seen.
    """
    with _translated(address, "be read"):
        info = _file_system(address).get_file_info(_path(address))
    return _found(str(address), info) if info.type.name in ("File", "Directory") else None


def listing(address: Address, deep: bool = True) -> list[Found]:
    """What is below an address, in no order; nothing where that is no folder. One request for 1,000 objects.

    Args:
        address: the folder.
        deep: whether everything at any depth is listed, or what is directly in it.

    Raises:
        StorageError: if the storage cannot be used, or must not be listed.
    """
    try:
        with _translated(address, "be listed"):
            infos = _infos(address, deep or address.scheme == "gs")
    except FileNotFoundError:
        return []
    except PermissionError:
        raise _denied(address, "listed") from None
    found = list(_listed(address, infos))
    return found if deep or address.scheme == "s3" else _directly_in(address, found)


def _infos(address: Address, deep: bool) -> list[Any]:
    file_system = _file_system(address)
    from pyarrow.fs import FileSelector

    return list(file_system.get_file_info(FileSelector(_path(address), recursive=deep)))


def _directly_in(folder: Address, found: Iterable[Found]) -> list[Found]:
    """What is directly in a folder, of everything in it: from Google's storage the library gives no folders."""
    beginning = f"{folder}/"
    named = {item.address.removeprefix(beginning).partition("/")[0]: item for item in found}
    return [item if item.address == beginning + name else Found(beginning + name, True) for name, item in named.items()]


def _listed(folder: Address, infos: Iterable[Any]) -> Iterator[Found]:
    """What was found; keys that are no paths are called otherwise, since nothing has their address."""
    for info in infos:
        if not {"", ".", ".."} & set(info.path.split("/")):
            yield _found(f"{folder.scheme}://{info.path}", info)
        elif info.type.name == "File":
            yield Found(f"{folder}/_{info.path.rpartition('/')[2] or 'object'}", False, problem=_NO_PATH)


def read(address: Address) -> bytes:
    """The bytes of an object. Two requests: how large it is, and what is in it.

    Raises:
        OSError: if there is no such object, or it must not be read.
        StorageError: if the storage cannot be used.
    """
    with _translated(address, "be read"), _file_system(address).open_input_file(_path(address)) as file:
        return bytes(file.read())


def read_spans(address: Address, first: int, then: Any) -> list[bytes]:
    """Two pieces of an object, of which the second depends on the first. Three requests.

    Args:
        address: the object.
        first: bytes from its beginning on.
        then: says, of these, where the second piece begins and how long it is.

    Raises:
        OSError: if there is no such object, or it must not be read.
        StorageError: if the storage cannot be used.
    """
    with _translated(address, "be read"), _file_system(address).open_input_file(_path(address)) as file:
        head = bytes(file.read_at(min(first, file.size()), 0))
        start, length = then(head)
        return [head, bytes(file.read_at(length, start))]


def write(address: Address, data: bytes) -> None:
    """Write an object, which is there whole or not at all: one request up to some 10 MB, and pieces put together above.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        with _translated(address, "be written"):
            stream = _file_system(address).open_output_stream(_path(address))
            stream.write(data)
            stream.close()  # what failed until then makes this fail, and nothing is put together
    except FileNotFoundError:
        raise _no_bucket(address) from None
    except PermissionError:
        raise _denied(address, "written") from None


def remove(addresses: Iterable[Address]) -> None:
    """Remove objects; those that are gone already do no harm.

    Raises:
        StorageError: if the storage cannot be used, or nothing may be removed there.
    """
    for _ in in_order(_remove, addresses, AT_ONCE, AT_ONCE, "remove"):
        pass


def _remove(address: Address) -> None:
    try:
        with suppress(FileNotFoundError), _translated(address, "be removed"):
            _file_system(address).delete_file(_path(address))
    except PermissionError:
        raise _denied(address, "removed") from None


def remove_folder(address: Address) -> None:
    """Remove everything below an address, 1,000 objects with each request.

    Raises:
        StorageError: if the storage cannot be used, or nothing may be removed there.
    """
    try:
        with suppress(FileNotFoundError), _translated(address, "be removed"):
            _file_system(address).delete_dir(_path(address))
    except PermissionError:
        raise _denied(address, "removed") from None


def _found(address: str, info: Any) -> Found:
    is_folder = info.type.name == "Directory"
    return Found(address, is_folder) if is_folder else Found(address, False, int(info.size), int(info.mtime_ns or 0))


def _path(address: Address) -> str:
    return "/".join(address.parts[1:])


def _file_system(address: Address) -> Any:
    if not address.bucket:
        raise StorageError(f"{address.scheme}:// names no bucket. Give {address.scheme}://BUCKET/FOLDER.")
    return _connect(address.scheme, address.bucket, tuple(os.environ.get(name) for name in _SETTINGS))


@lru_cache(maxsize=32)
def _connect(scheme: str, bucket: str, settings: tuple[str | None, ...]) -> Any:
    """The file system that a bucket is in; made anew when the environment says another one."""
    try:
        from pyarrow import fs
    except ImportError:
        raise MissingExtraError(f"{scheme}://{bucket}", "objects") from None
    if scheme == "gs":
        endpoint = os.environ.get("STORAGE_EMULATOR_HOST")
        plain = {} if endpoint is None else {"scheme": endpoint.partition("://")[0]}
        return fs.GcsFileSystem(
            anonymous=bool(os.environ.get("GS_NO_SIGN_REQUEST") or endpoint),
            endpoint_override=endpoint and endpoint.partition("://")[2],
            retry_time_limit=_GIVE_UP,
            **plain,
        )
    endpoint = settings[0] or settings[1]
    return fs.S3FileSystem(
        anonymous=bool(os.environ.get("AWS_NO_SIGN_REQUEST")),
        region=_region(bucket, endpoint),
        endpoint_override=endpoint,
        allow_delayed_open=True,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def _region(bucket: str, endpoint: str | None) -> str | None:
    """Where Amazon keeps a bucket, if nobody has said so."""
    known = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if known or endpoint:
        return known or "us-east-1"
    from pyarrow.fs import resolve_s3_region

    try:
        return str(resolve_s3_region(bucket))
    except OSError as error:
        if _SILENT.search(str(error)):
            raise
        return None  # what is wrong with the bucket, the first request says better


@contextmanager
def _translated(address: Address, doing: str) -> Iterator[None]:
    """Turn what the library raises into errors of ours.

    Raises:
        FileNotFoundError: if there is no such object.
        PermissionError: if it must not be read or written.
        StorageError: if the storage cannot be used at all.
    """
    try:
        yield
    except OSError as error:
        text, scheme = " ".join(str(error).split()), address.scheme
        if _NO_BUCKET.search(text):
            raise _no_bucket(address) from None
        if _KEYS.search(text):
            rights = _RIGHTS[scheme]
            raise StorageError(f"{address} cannot {doing}: the keys are not accepted. Check {rights}.") from None
        if _FORBIDDEN.search(text):
            raise PermissionError(errno.EACCES, "access denied", str(address)) from None
        if isinstance(error, FileNotFoundError) or _GONE.search(text):
            raise FileNotFoundError(errno.ENOENT, "no such object", str(address)) from None
        raise StorageError(
            f"{address} cannot {doing}: {_reason(text)}. Check the network and {_ENDPOINT[scheme]}; the same command "
            "goes on from what was done."
        ) from None


def _no_bucket(address: Address) -> StorageError:
    place, endpoint = f"{address.scheme}://{address.bucket}", _ENDPOINT[address.scheme]
    return StorageError(f"there is no bucket {place}. Check its name and {endpoint}.")


def _denied(address: Address, done: str) -> StorageError:
    rights = _RIGHTS[address.scheme]
    return StorageError(f"{address} cannot be {done}: access denied. Check what {rights} may do.")


def _reason(text: str) -> str:
    """What the library said, without its own account of where it was."""
    if _SILENT.search(text):
        return "the storage does not answer"
    said = re.sub(r"\(Request ID: [^)]*\)|Detail: .*", "", text.partition("AWS Error ")[2] or text)
    return f"the storage says {' '.join(said.split())[:200].rstrip('.: ')}"
