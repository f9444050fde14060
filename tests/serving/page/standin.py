"""A server that keeps to what `headstart serve` promises its page, and says whatever a test wants it to."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import headstart
from headstart.pages import STYLE

PAGE = Path(headstart.__file__).parent / "serving" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
GLOW = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)

Answer = dict[str, Any]


def model(name: str = "flowers", **known: object) -> Answer:
    """A model as the server lists it."""
    usual: Answer = {
        "name": name,
        "classes": ["daisy", "dandelion", "roses", "sunflowers", "tulips"],
        "height": 224,
        "width": 224,
        "knows_unlike": True,
        "abstains": True,
        "heatmaps": True,
        "accuracy": 0.8982,
        "backbone": "mobilenet_0.25",
        "ready": True,
    }
    return usual | known


def said(name: str, labels: list[str], sure: float = 0.9, **more: object) -> Answer:
    """What the server says of a picture: the first label is the answer."""
    rest = (1 - sure) / max(1, len(labels) - 1)
    top = [{"label": label, "probability": rest if place else sure} for place, label in enumerate(labels)]
    known = {"familiarity": 0.43, "unlike": False, "abstained": False, "heatmap": None}
    return {"name": name, "label": labels[0], "probability": sure, "top": top} | known | more


class StandIn:
    """The server.

    Attributes:
        url: where it is.
        models: what it has.
        limits: what it takes.
        answer: what it says of a picture, from its name, its bytes and the query; names come in the order of labels.
        token: what it wants to be told first.
        refusals: status, error and headers that it answers the next predictions with.
        asked: the query and the names and bytes of the pictures of every prediction that it answered.
        gate: cleared, predictions wait.
    """

    def __init__(self) -> None:
        self.models: list[Answer] = [model()]
        self.limits = {"body_bytes": 20_000_000, "pixels": 50_000_000, "pictures": 32}
        self.answer: Callable[[str, bytes, dict[str, str]], Answer] = self._usual
        self.token = ""
        self.refusals: deque[tuple[int, str, dict[str, str]]] = deque()
        self.asked: list[tuple[dict[str, str], list[tuple[str, bytes]]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"standin": self}))
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}/"

    def names(self) -> list[str]:
        """The pictures that it was asked about, in order."""
        return [name for _, pictures in self.asked for name, _ in pictures]

    @contextmanager
    def running(self) -> "Iterator[StandIn]":
        thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield self
        self.gate.set()
        self._httpd.shutdown()
        thread.join()
        self._httpd.server_close()

    def _usual(self, name: str, data: bytes, query: dict[str, str]) -> Answer:
        labels = self.models[0]["classes"][: int(query.get("top", 5))]
        return said(name, labels, heatmap=GLOW if query.get("heatmap") else None)


class _Handler(BaseHTTPRequestHandler):
    """One request. `standin` is set by the server, see `StandIn`."""

    standin: StandIn

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/api/models":
            self._api(lambda: {"models": self.standin.models, "limits": self.standin.limits})
        else:
            self._file(PAGE / "index.html" if path == "/" else PAGE / path.removeprefix("/static/"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._api(lambda: self._predict(body))

    def _api(self, found: Callable[[], Answer | None]) -> None:
        if self.standin.token and self.headers["Authorization"] != f"Bearer {self.standin.token}":
            self._json(401, {"error": "A token is needed."})
        elif (answer := found()) is not None:
            self._json(200, answer)

    def _predict(self, body: bytes) -> Answer | None:
        self.standin.gate.wait(20)
        if self.standin.refusals:
            status, error, headers = self.standin.refusals.popleft()
            self._json(status, {"error": error}, headers)
            return None
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        pictures = self._pictures(body)
        self.standin.asked.append((query, pictures))
        said = [self.standin.answer(name, data, query) for name, data in pictures]
        return {"model": unquote(url.path.split("/")[3]), "predictions": said}

    def _pictures(self, body: bytes) -> list[tuple[str, bytes]]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + body).iter_parts())
        assert {part.get_param("name", header="content-disposition") for part in parts} == {"pictures"}
        return [(str(part.get_filename()), part.get_payload(decode=True)) for part in parts]

    def _file(self, path: Path) -> None:
        path = STYLE if path.name == STYLE.name else path
        if path.is_file():
            self._give(200, path.read_bytes(), KINDS[path.suffix])
        else:
            self._give(404, b"", "text/plain")

    def _json(self, status: int, answer: Answer, headers: dict[str, str] | None = None) -> None:
        self._give(status, json.dumps(answer).encode(), "application/json", headers)

    def _give(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY}
        with suppress(ConnectionError):  # the page no longer wants it
            self.send_response(status)
            for name, value in (sent | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
