"""The application: every way in, what answers it, and what begins and ends with the server."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from headstart.serving import inference, said
from headstart.serving.bodies import FIELD, PicturesInJson
from headstart.serving.endpoint import Endpoint
from headstart.serving.guard import Access, Guard, fault
from headstart.serving.inference import Inference
from headstart.serving.limits import Admission, Limits
from headstart.serving.metrics import CONTENT_TYPE, Metrics
from headstart.serving.model import Model
from headstart.serving.models import Models
from headstart.serving.openapi import document
from headstart.serving.page_files import Page
from headstart.serving.predicting import Predictor, Wishes
from headstart.serving.refusal import refusal
from headstart.serving.tensors import HEADER
from headstart.threads import cores

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {
    "type": "object",
    "properties": {FIELD: {"type": "array", "items": _BINARY, "minItems": 1}},
    "required": [FIELD],
}
_PICTURES = {"multipart/form-data": _FORM, "application/json": PicturesInJson, "image/*": _BINARY,
             "application/octet-stream": _BINARY}  # fmt: skip
_WITH_BODY = (408, 413, 415, 422, 503)
_TENSORS = {"application/json": inference.InferenceRequest, "application/octet-stream": _BINARY}


class Text(msgspec.Struct):
    """That all is well."""

    status: str


def make_app(opened: Mapping[str, Model], limits: Limits, access: Access, watch: bool = True) -> ASGIApp:
    """The application.

    Args:
        opened: models by name, the one that is asked where nothing is said first.
        limits: what is refused.
        access: who is let in.
        watch: whether to open RUNs anew when they change.
    """
    admission = Admission(limits)
    metrics = Metrics(admission)
    decoders = ThreadPoolExecutor(cores(), thread_name_prefix="decode")
    models = Models(opened, decoders, metrics, limits.pixels)
    page = Page()
    endpoints = _endpoints(models, admission, limits, metrics)
    described = msgspec.json.encode(document(endpoints, bool(access.token)))

    async def openapi(request: Request) -> Response:
        return Response(described, media_type="application/json")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        models.start()
        with _reloading(models, watch):
            yield
        models.close()
        decoders.shutdown(cancel_futures=True)

    routes = [
        *(endpoint.route() for endpoint in endpoints),
        Route("/openapi.json", openapi),
        Route("/", page.front),
        Route("/static/{file}", page.file),
    ]
    handlers: dict[Any, Any] = {HTTPException: _refused, Exception: _faulty}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    open_paths = {endpoint.path for endpoint in endpoints if endpoint.is_open} | {"/"}
    return Guard(app, access, open_paths, metrics)


async def _refused(request: Request, error: HTTPException) -> Response:
    what = {404: "there is nothing at this path; /openapi.json says what there is.",
            405: "this path does not take that method."}  # fmt: skip
    headers = None if error.headers is None else dict(error.headers)
    return refusal(error.status_code, what.get(error.status_code, error.detail), headers)


async def _faulty(request: Request, error: Exception) -> Response:
    return fault()  # the guard logs it


@contextlib.contextmanager
def _reloading(models: Models, watch: bool) -> Any:
    """Open RUNs anew while the block runs: when they change, and on SIGHUP."""
    loop = asyncio.get_running_loop()
    tasks = {loop.create_task(models.watch())} if watch else set()
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError, AttributeError):  # no main thread, Windows
        loop.add_signal_handler(signal.SIGHUP, lambda: tasks.add(loop.create_task(models.reload_all())))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _endpoints(models: Models, admission: Admission, limits: Limits, metrics: Metrics) -> list[Endpoint]:
    predictor = Predictor(models, admission, limits, metrics)
    return [
        Endpoint("POST", "/api/predict", predictor.first, "Ask the first model.", "predict", said.Predictions,
                 Wishes, _PICTURES, refusals=_WITH_BODY),
        Endpoint("POST", "/api/models/{name}/predict", predictor.named, "Ask a model.", "predict", said.Predictions,
                 Wishes, _PICTURES, refusals=(404, *_WITH_BODY)),
        *_about_models(models, limits, metrics),
        *_inference(Inference(models, admission, limits)),
    ]  # fmt: skip


def _about_models(models: Models, limits: Limits, metrics: Metrics) -> list[Endpoint]:
    async def all_models(request: Request, query: None) -> said.ModelsSaid:
        known = said.LimitsSaid(limits.body_bytes, limits.pixels, limits.pictures)
        return said.ModelsSaid([said.of_model(models.get(name)) for name in models.names], known)

    async def reload(request: Request, query: None) -> said.Reloaded:
        model = await models.reload(models.get(request.path_params["name"]).name)
        return said.Reloaded(model.name, True)

    async def healthz(request: Request, query: None) -> Text:
        return Text("live")

    async def readyz(request: Request, query: None) -> Text:
        return Text("ready")

    async def counters(request: Request, query: None) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [
        Endpoint("GET", "/api/models", all_models, "All models.", "models", said.ModelsSaid),
        Endpoint("POST", "/api/models/{name}/reload", reload, "Open the RUN of a model anew.", "models", said.Reloaded,
                 refusals=(404, 422)),
        Endpoint("GET", "/healthz", healthz, "Whether the server runs.", "operation", Text, is_open=True),
        Endpoint("GET", "/readyz", readyz, "Whether all models answer.", "operation", Text, is_open=True),
        Endpoint("GET", "/metrics", counters, "Counters for Prometheus.", "operation", "text/plain"),
    ]  # fmt: skip


def _inference(protocol: Inference) -> list[Endpoint]:
    tag = "open inference protocol"
    answer = {"application/json": inference.InferenceResponse, "application/octet-stream": _BINARY}
    headers = {HEADER: {"type": "string", "pattern": "^[0-9]{1,11}$"}}
    found = [
        Endpoint("GET", "/v2", protocol.server, "What this is.", tag, inference.ServerAbout),
        Endpoint("GET", "/v2/health/live", protocol.live, "Whether it runs.", tag, inference.Live, is_open=True),
        Endpoint("GET", "/v2/health/ready", protocol.ready, "Whether all answer.", tag, inference.Ready, is_open=True),
    ]
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Endpoint("GET", path, protocol.model, "What a model takes and gives.", tag, inference.ModelAbout,
                     refusals=(404,)),
            Endpoint("GET", f"{path}/ready", protocol.model_ready, "Whether it answers.", tag, inference.ModelReady,
                     refusals=(404,)),
            Endpoint("POST", f"{path}/infer", protocol.infer, "Ask a model.", tag, answer,
                     None, _TENSORS, headers, (404, *_WITH_BODY)),
        ]  # fmt: skip
    return found
