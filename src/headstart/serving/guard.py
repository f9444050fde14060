"""Who may come in: the checks that every request passes before anything of it is read, and what every answer says.

Browsers send requests to servers on the same machine for any page that somebody opens. So a server that listens at
home only answers to the names of home (against DNS rebinding), and nobody else's page may send it anything
(cross-site request forgery).
"""

import hmac
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart.serving.endpoint import ROUTE
from headstart.serving.metrics import Metrics
from headstart.serving.refusal import refusal
from headstart.texts import short

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load (W3C, Content Security Policy Level 3): its own files alone."""

_ALWAYS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Access:
    """Who is let in.

    Attributes:
        token: what a client has to know; empty for nothing.
        hosts: the names under which the server answers; empty for any.
        log_requests: whether a line is logged for each request.
    """

    token: str = ""
    hosts: frozenset[str] = frozenset()
    log_requests: bool = False


class Guard:
    """The outermost application of ASGI.

    Args:
        app: what it guards.
        access: who is let in.
        is_open: whether a path needs no token.
        metrics: what is counted.
    """

    def __init__(self, app: ASGIApp, access: Access, open_paths: Collection[str], metrics: Metrics):
        self._app = app
        self._access = access
        self._open = open_paths
        self._metrics = metrics
        self._expected = f"bearer {access.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the specification of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_ALWAYS]
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, answer)
        except Exception:
            log.exception("a request could not be answered")
            if not status:
                await fault()(scope, receive, answer)
        finally:
            self._record(scope, status, time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self._access.hosts and _name_in(host) not in self._access.hosts:
            return refusal(400, f"this server does not answer to the name {short(host)!r}; --allow-host adds one.")
        if scope["method"] not in _READING and not self._is_own(headers.get(b"origin"), host):
            return refusal(403, "another site's page may not send anything here.")
        if self._access.token and not self._is_open(scope["path"]) and not self._knows_token(headers):
            return refusal(401, "a token is needed: Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})
        return None

    def _is_own(self, origin: bytes | None, host: str) -> bool:
        """Whether a browser sends this for our own page; who is no browser says no origin."""
        if origin is None:
            return True
        try:
            found = urlsplit(origin.decode("latin-1"))
        except ValueError:
            return False
        return found.netloc.lower() == host.lower() or found.hostname in self._access.hosts - LOOPBACK

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith("/static/")

    def _knows_token(self, headers: dict[bytes, bytes]) -> bool:
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(kind.lower() + b" " + token.strip(), self._expected)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get(ROUTE, "other")
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
        self._metrics.requests.labels(route, method, str(status or "gone")).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if self._access.log_requests:
            client = (scope.get("client") or ("?",))[0]
            log.warning(
                "%s %s %s %s %.0f ms", client, scope["method"], short(scope["path"]), status or "gone", 1000 * seconds
            )


def fault() -> Response:
    """The answer where the server itself is wrong; the log has the details, which are nobody else's business."""
    return refusal(500, "this is a fault of the server; its log says more.")


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of the machine that a process runs on, as that machine calls itself."""


def _name_in(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
