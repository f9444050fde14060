"""A server that keeps to what `headstart serve` promises its page, and says whatever a test wants it to."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
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

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None: ...

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                if path.startswith("/api/"):
                    self.api(lambda: {"models": server.models, "limits": server.limits})
                else:
                    self.file(PAGE / "index.html" if path == "/" else PAGE / path.removeprefix("/static/"))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.api(lambda: self.predict(body))

            def api(self, found: Callable[[], Answer | None]) -> None:
                if server.token and self.headers["Authorization"] != f"Bearer {server.token}":
                    self.give(401, json.dumps({"error": "A token is needed."}).encode(), "application/json")
                elif (answer := found()) is not None:
                    self.give(200, json.dumps(answer).encode(), "application/json")

            def predict(self, body: bytes) -> Answer | None:
                server.gate.wait(20)
                if server.refusals:
                    status, error, headers = server.refusals.popleft()
                    self.give(status, json.dumps({"error": error}).encode(), "application/json", headers)
                    return None
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
                pictures = [(part.get_filename(), part.get_payload(decode=True)) for part in parts]
                server.asked.append((query, pictures))
                called = unquote(url.path.split("/")[3])
                return {"model": called, "predictions": [server.answer(name, data, query) for name, data in pictures]}

            def file(self, path: Path) -> None:
                path = STYLE if path.name == STYLE.name else path
                self.give(200, path.read_bytes(), KINDS[path.suffix]) if path.is_file() else self.give(404, b"", "text/plain")

            def give(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                sent = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY}
                for name, value in (sent | (headers or {})).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # the page no longer wants it

        return Handler
