"""One way in: where it is, what it takes and what it answers. Requests are checked by it and documents made of it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headstart.errors import HeadstartError
from headstart.serving.batcher import ExpiredError
from headstart.serving.limits import too_busy
from headstart.serving.refusal import RefusedError, refusal

ROUTE = "headstart.route"
"""Where the scope of a request says which of all ways in it took."""

Handler = Callable[[Request, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Endpoint:
    """A way in.

    Attributes:
        method: of HTTP.
        path: with names of parameters in braces.
        handler: what answers: given the request and the query, it gives what `answer` says, or a response.
        summary: what it does, in a sentence.
        tag: under which it is found.
        answer: the type of its answer, as JSON; or the media type, if that is something else.
        query: the type of its query, all parts of which have defaults; None for none at all.
        bodies: the media types that it takes, with their types or schemas.
        headers: those that it reads, with their schemas.
        refusals: the statuses besides 200 that it may answer with.
        is_open: whether it needs no token.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    answer: Any
    query: type[msgspec.Struct] | None = None
    bodies: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    is_open: bool = False

    def route(self) -> Route:
        """The same for Starlette."""
        return Route(self.path, self._respond, methods=[self.method], include_in_schema=False)

    async def _respond(self, request: Request) -> Response:
        request.scope[ROUTE] = self.path
        try:
            found = await self.handler(request, self._query_of(request))
        except RefusedError as error:
            return refusal(error.status, error.message, error.headers)
        except ExpiredError:
            late = too_busy("it was not this request's turn in time")
            return refusal(late.status, late.message, late.headers)
        except HeadstartError as error:
            return refusal(422, str(error))
        if isinstance(found, Response):
            return found
        return Response(as_json(found), media_type="application/json")

    def _query_of(self, request: Request) -> msgspec.Struct | None:
        given = request.query_params.multi_items() if request.scope["query_string"] else []
        if self.query is None:
            return None
        names = [name for name, _ in given]
        if len(set(names)) < len(names):
            raise RefusedError(400, "the query says the same thing twice.")
        try:
            return msgspec.convert(dict(given), self.query, strict=False)
        except msgspec.ValidationError as error:
            known = ", ".join(self.query.__struct_fields__)
            raise RefusedError(400, f"the query cannot be used: {error}. It may say: {known}.") from None


def as_json(found: Any) -> bytes:
    """An answer as JSON, also where names of classes come from names of folders that are no text."""
    try:
        return msgspec.json.encode(found)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(found)).encode("ascii")
