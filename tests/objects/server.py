"""An S3 server for tests: as little of the protocol as is needed, and much that no real one does on demand.

It counts what it is asked, refuses strange keys, and can be told to answer slowly, with an error or not at all. That it
is like others is seen by running the same tests against another one: HEADSTART_TEST_S3 is its address, say that of
moto's `moto_server`; tests that need the mischief are then skipped.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

KEY = "good-key"
_PIECE = 1 << 16


class Stored:
    def __init__(self, data: bytes, changed: float):
        self.data, self.changed, self.tag = data, changed, md5(data).hexdigest()


class FakeS3(ThreadingHTTPServer):
    """Attributes:
    buckets: objects by key, by bucket.
    uploads: the parts of multipart uploads that are not done, by their id.
    counts: requests, by what they are.
    fault: says of a request, by method and path, which status it gets instead of an answer; 0 for a broken line.
    uploaded: bytes of what came in so far.
    seconds_per_piece: how long each 64 KiB of what is uploaded takes.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, dict[str, Stored]] = {"bucket": {}}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.counts: Counter[str] = Counter()
        self.fault: Callable[[str, str], int | None] = lambda method, path: None
        self.seconds_per_piece = 0.0
        self.uploaded = 0
        self.lock = threading.Lock()
        self.past = 3600.0  # objects are this old when they come, so that nothing waits for a tick of the clock
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, bucket: str, key: str, data: bytes) -> None:
        with self.lock:
            self.buckets[bucket][key] = Stored(data, time.time() - self.past)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeS3

    def log_message(self, *args: object) -> None:
        pass

    def _begin(self) -> bool:
        """Read the request; whether it is to be answered."""
        parts = urlsplit(self.path)
        self.bucket, _, self.key = unquote(parts.path).lstrip("/").partition("/")
        self.query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.body = self._read_body()
        kind = "multipart" if self.query.keys() & {"uploads", "uploadId"} else "object" if self.key else "bucket"
        kind = "list" if "list-type" in self.query else kind
        with self.server.lock:
            self.server.counts[f"{self.command} {kind}"] += 1
        wrong = self.server.fault(self.command, self.path)
        if wrong == 0:
            self.close_connection = True
            return False
        if wrong is not None:
            return self._fail(wrong, {403: "AccessDenied", 503: "ServiceUnavailable"}.get(wrong, "InternalError"))
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            return self._fail(403, "InvalidAccessKeyId")
        if self.bucket not in self.server.buckets:
            return self._fail(404, "NoSuchBucket", "The specified bucket does not exist")
        self.objects = self.server.buckets[self.bucket]
        return True

    def _read_body(self) -> bytes:
        pieces = list(self._pieces())
        body = b"".join(pieces)
        return _without_chunks(body) if "aws-chunked" in self.headers.get("Content-Encoding", "") else body

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield from self._exactly(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self._line(), 16):
            yield from self._exactly(size)
            self._line()
        self._line()

    def _line(self) -> bytes:
        line = self.rfile.readline(1 << 16)
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the client is gone")
        return line.strip()

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, _PIECE))
            if not piece:
                raise ConnectionError("the client is gone")
            left -= len(piece)
            self.server.uploaded += len(piece)
            yield piece
            if self.command == "PUT" and self.server.seconds_per_piece:
                time.sleep(self.server.seconds_per_piece)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status: int, code: str, message: str = "") -> bool:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())
        return False

    def _about(self, stored: Stored) -> dict[str, str]:
        return {"ETag": f'"{stored.tag}"', "Last_Modified": formatdate(stored.changed, usegmt=True)}

    def do_HEAD(self) -> None:
        if not self._begin():
            return
        stored = self.objects.get(self.key)
        if not self.key:
            self._answer(200)
        elif stored is None:
            self._answer(404)
        else:
            self._answer(200, Content_Length=str(len(stored.data)), **self._about(stored))

    def do_GET(self) -> None:
        if not self._begin():
            return
        if not self.key:
            self._answer(200, self._listed())
            return
        stored = self.objects.get(self.key)
        if stored is None:
            self._fail(404, "NoSuchKey")
            return
        wanted = self.headers.get("Range", "")
        if not wanted:
            self._answer(200, stored.data, **self._about(stored))
            return
        start, _, stop = wanted.removeprefix("bytes=").partition("-")
        data = stored.data[int(start) : int(stop) + 1]
        where = f"bytes {start}-{int(start) + len(data) - 1}/{len(stored.data)}"
        self._answer(206, data, Content_Range=where, **self._about(stored))

    def do_PUT(self) -> None:
        if not self._begin():
            return
        if "uploadId" in self.query:
            self.server.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
        else:
            self.server.put(self.bucket, self.key, self.body)
        self._answer(200, ETag=f'"{md5(self.body).hexdigest()}"')

    def do_POST(self) -> None:
        if not self._begin():
            return
        if "delete" in self.query:
            for element in ElementTree.fromstring(self.body).iter():
                if element.tag.endswith("Key"):
                    self.objects.pop(element.text or "", None)
            self._answer(200, b"<DeleteResult></DeleteResult>")
        elif "uploads" in self.query:
            name = f"upload{len(self.server.uploads)}"
            self.server.uploads[name] = {}
            about = f"<Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key><UploadId>{name}</UploadId>"
            self._answer(200, f"<InitiateMultipartUploadResult>{about}</InitiateMultipartUploadResult>".encode())
        else:
            parts = self.server.uploads.pop(self.query["uploadId"])
            self.server.put(self.bucket, self.key, b"".join(parts[number] for number in sorted(parts)))
            about = f"<Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key><ETag>x</ETag>"
            self._answer(200, f"<CompleteMultipartUploadResult>{about}</CompleteMultipartUploadResult>".encode())

    def do_DELETE(self) -> None:
        if not self._begin():
            return
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"], None)
        else:
            self.objects.pop(self.key, None)
        self._answer(204)

    def _listed(self) -> bytes:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after, most = self.query.get("continuation-token", ""), int(self.query.get("max-keys", 1000))
        rows: dict[str, str] = {}
        with self.server.lock:
            everything = sorted(self.objects.items())
        for key, stored in everything:
            if not key.startswith(prefix):
                continue
            inside = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            name = prefix + inside[0] + delimiter if delimiter and inside[1] else key
            rows[name] = _row(name, stored, is_folder=bool(delimiter and inside[1]))
        left = [name for name in rows if name > after]
        shown = left[:most]
        more = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if len(left) > most else ""
        found = "".join(rows[name] for name in shown)
        truncated = str(bool(more)).lower()
        return (
            f"<ListBucketResult><KeyCount>{len(shown)}</KeyCount><IsTruncated>{truncated}</IsTruncated>{more}{found}"
            "</ListBucketResult>"
        ).encode()


def _row(name: str, stored: Stored, is_folder: bool) -> str:
    if is_folder:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.changed))
    return (
        f"<Contents><Key>{escape(name)}</Key><LastModified>{changed}</LastModified><ETag>{stored.tag}</ETag>"
        f"<Size>{len(stored.data)}</Size></Contents>"
    )


def _without_chunks(body: bytes) -> bytes:
    data = b""
    while True:
        line, _, body = body.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return data
        data, body = data + body[:size], body[size + 2 :]
