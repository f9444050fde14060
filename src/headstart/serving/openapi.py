"""The OpenAPI document of a server, made of the very table that answers by, so that it cannot say anything else."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from headstart.serving.endpoint import Endpoint
from headstart.serving.refusal import Refusal
from headstart.serving.said import PictureRefused, PictureSaid

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")
_OTHERS = (Refusal, PictureSaid, PictureRefused)
_ALWAYS = (400, 403)
"""What anything may be refused with: for its Host, and for the page of another site that sent it."""


def document(endpoints: Sequence[Endpoint], with_token: bool) -> dict[str, Any]:
    """The document.

    Args:
        endpoints: all ways in.
        with_token: whether those that are not open need a token.

    Returns:
        OpenAPI 3.1, as JSON.
    """
    types = [_type for endpoint in endpoints for _type in _types(endpoint)]
    schemas, components = msgspec.json.schema_components([*types, *_OTHERS], ref_template=_REFERENCE)
    known = dict(zip([*types, *_OTHERS], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, known, components, with_token
        )
    bearer = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headstart",
            "version": version("headstart"),
            "description": "Image classifiers. An error is JSON whose `error` is one line for people.",
        },
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": bearer} if with_token else {})},
    }


def _types(endpoint: Endpoint) -> list[Any]:
    answers = endpoint.answer.values() if isinstance(endpoint.answer, dict) else [endpoint.answer]
    found = [endpoint.query, *answers, *endpoint.bodies.values()]
    return [one for one in found if isinstance(one, type) and issubclass(one, msgspec.Struct)]


def _operation(
    endpoint: Endpoint, known: dict[Any, Any], components: dict[str, Any], with_token: bool
) -> dict[str, Any]:
    closed = with_token and not endpoint.is_open
    refusals = sorted({*_ALWAYS, *endpoint.refusals, *((401,) if closed else ())})
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__qualname__.replace(".", "_").lower() + _suffix(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_in_path(endpoint), *_in_query(endpoint, components), *_in_headers(endpoint)],
        "responses": {
            "200": {"description": "The answer.", "content": _content(endpoint, known)},
            **{str(status): _refusal(status, known) for status in refusals},
        },
    }
    if endpoint.bodies:
        content = {kind: {"schema": known.get(_key(body), body)} for kind, body in endpoint.bodies.items()}
        operation["requestBody"] = {"required": True, "content": content}
    if closed:
        operation["security"] = [{"bearer": []}]
    return operation


def _key(body: Any) -> Any:
    return body if isinstance(body, type) else None


def _suffix(endpoint: Endpoint) -> str:
    return "_version" if "{version}" in endpoint.path else ""


def _content(endpoint: Endpoint, known: dict[Any, Any]) -> dict[str, Any]:
    if isinstance(endpoint.answer, str):
        return {endpoint.answer: {"schema": {"type": "string"}}}
    if isinstance(endpoint.answer, dict):
        return {kind: {"schema": known.get(_key(schema), schema)} for kind, schema in endpoint.answer.items()}
    return {"application/json": {"schema": known[endpoint.answer]}}


def _refusal(status: int, known: dict[Any, Any]) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": known[Refusal]}}}


def _in_path(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _in_query(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    found = components[endpoint.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.get("description", ""), "schema": schema}
        for name, schema in found.items()
    ]


def _in_headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "schema": schema} for name, schema in endpoint.headers.items()
    ]
