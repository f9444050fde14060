"""An S3 server on loopback, empty for every test, with what reaches it in the environment."""

import os
import re
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

pytest.importorskip("pyarrow")

from headstart.images import buckets
from headstart.objects import requests
from tests.objects.server import KEY, FakeS3

_SIGNED = f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class Bucket:
    """A bucket as its owner sees it, who does not use headstart for that."""

    def __init__(self, server: str, name: str):
        self.name, self._server = name, server
        self.url = f"s3://{name}"

    def put(self, key: str, data: bytes) -> None:
        self._ask("PUT", quote(key), data)

    def put_folder(self, folder: Path, key: str = "") -> str:
        """Copy a folder there; gives its address."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{key}/{file.relative_to(folder).as_posix()}".lstrip("/"), file.read_bytes())
        return f"{self.url}/{key}".rstrip("/")

    def get(self, key: str) -> bytes:
        return self._ask("GET", quote(key))

    def delete(self, key: str) -> None:
        self._ask("DELETE", quote(key))

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of objects, without the marks of folders."""
        found = self._ask("GET", f"?list-type=2&prefix={quote(prefix)}").decode()
        keys = [unquote(key) for key in re.findall("<Key>(.*?)</Key>", found)]
        return sorted(key for key in keys if not key.endswith("/"))

    def _ask(self, method: str, what: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self._server}/{self.name}/{what}", data, method=method)
        request.add_header("Authorization", _SIGNED)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keys and a cache folder of its own for every test, and nothing remembered from the one before."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(requests, "_ATTEMPTS", 2)
    requests._connect.cache_clear()
    buckets._trees.cache_clear()
    yield
    requests._connect.cache_clear()
    buckets._trees.cache_clear()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """The server, for what only it can do."""
    if "HEADSTART_TEST_S3" in os.environ:
        pytest.skip("takes a server that fails on demand")
    with FakeS3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server
        server.shutdown()


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, on any server."""
    if other := os.environ.get("HEADSTART_TEST_S3"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", other)
        found = Bucket(other, f"test-{uuid.uuid4().hex}")
        found._ask("PUT", "")
        return found
    return Bucket(request.getfixturevalue("server").url, "bucket")


@pytest.fixture
def remote_store(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in the bucket."""
    monkeypatch.setenv("HEADSTART_STORE", f"{bucket.url}/store")
    return f"{bucket.url}/store"
