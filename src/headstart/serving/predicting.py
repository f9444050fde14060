"""What a model says of the pictures that a request holds."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Annotated

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from headstart.errors import nearest
from headstart.images.decode import UndecodableError
from headstart.images.pictures import Content
from headstart.serving.batcher import ExpiredError
from headstart.serving.bodies import pictures_in, read_body
from headstart.serving.limits import Admission, Admitted, Limits
from headstart.serving.metrics import Metrics
from headstart.serving.model import Model, Row
from headstart.serving.models import Models
from headstart.serving.refusal import RefusedError
from headstart.serving.said import PictureRefused, PictureSaid, Predictions, data_uri, of_picture


class Wishes(msgspec.Struct, forbid_unknown_fields=True):
    """What a client wants to know besides."""

    top: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="How many classes are named.")] = 5
    heatmap: Annotated[bool, msgspec.Meta(description="Draw where the picture speaks for the class.")] = False
    min_precision: Annotated[
        float,
        msgspec.Meta(ge=0, le=1, description="Abstain from answers less certain than this precision needs; 0: never."),
    ] = 0.0
    label: Annotated[
        str, msgspec.Meta(description="The class that the heat map asks about; else the predicted one.")
    ] = ""


class Predictor:
    """Answers requests with pictures.

    Args:
        models: by name.
        admission: who is let in.
        limits: what is refused.
        metrics: what is counted.
    """

    def __init__(self, models: Models, admission: Admission, limits: Limits, metrics: Metrics):
        self._models = models
        self._admission = admission
        self._limits = limits
        self._metrics = metrics

    async def first(self, request: Request, wishes: Wishes) -> Predictions:
        """What the first model says."""
        return await self._predictions(self._models.names[0], request, wishes)

    async def named(self, request: Request, wishes: Wishes) -> Predictions:
        """What the model in the path says."""
        return await self._predictions(request.path_params["name"], request, wishes)

    async def _predictions(self, name: str, request: Request, wishes: Wishes) -> Predictions:
        with self._admission.request() as admitted, self._models.using(name) as model:
            asked = number_of(model, wishes.label) if wishes.label else None
            body = await read_body(request, self._limits, admitted)
            contents = pictures_in(body, request.headers.get("content-type", ""), self._limits)
            admitted.count(len(contents))
            least = 0.0
            if wishes.min_precision:
                least = await run_in_threadpool(model.threshold, wishes.min_precision)
            rows = await answers([model.classify(content.data, admitted.deadline) for content in contents], admitted)
            refuse_if_none(contents, rows)
            said = [
                _said(model, content.name, row, wishes.top, least) for content, row in zip(contents, rows, strict=True)
            ]
            if wishes.heatmap:
                await _add_heatmaps(model, rows, said, asked, admitted)
            self._count(name, said)
            return Predictions(name, said)

    def _count(self, name: str, said: Sequence[PictureSaid | PictureRefused]) -> None:
        for one in said:
            if isinstance(one, PictureRefused):
                outcome = "undecodable"
            else:
                outcome = "unlike" if one.unlike else "abstained" if one.abstained else "answered"
            self._metrics.pictures.labels(name, outcome).inc()


def number_of(model: Model, label: str) -> int:
    """The number of a class.

    Raises:
        RefusedError: 400 if the model has none of that name.
    """
    classes = model.run.classes
    if label not in classes:
        raise RefusedError(400, f"{model.name} knows no class {label!r}; {nearest(label, classes)}")
    return classes.index(label)


async def answers(futures: "Sequence[asyncio.Future[Row]]", admitted: Admitted) -> list[Row | UndecodableError]:
    """What becomes of pictures: rows, or why there is none.

    Raises:
        ExpiredError: if the time of the request is over before.
    """
    await finished(futures, admitted)
    return [_row_or_reason(future) for future in futures]


async def finished(
    futures: "Collection[asyncio.Future[Row]] | Collection[asyncio.Future[bytes]]", admitted: Admitted
) -> None:
    """Wait for all of them; those that are not done in time are cancelled.

    Raises:
        ExpiredError: if there are any.
    """
    _, late = await asyncio.wait(futures, timeout=max(0.0, admitted.deadline - time.monotonic()))
    for future in late:
        future.cancel()
    expired = [future for future in futures if not future.cancelled() and isinstance(future.exception(), ExpiredError)]
    if late or expired:
        raise ExpiredError


def _row_or_reason(future: "asyncio.Future[Row]") -> Row | UndecodableError:
    error = future.exception()
    return error if isinstance(error, UndecodableError) else future.result()


def refuse_if_none(contents: Sequence[Content], rows: Sequence[Row | UndecodableError]) -> None:
    """Refuse a request of which nothing can be decoded.

    Raises:
        RefusedError: 422.
    """
    if any(isinstance(row, Row) for row in rows):
        return
    if len(rows) == 1:
        raise RefusedError(422, f"the picture cannot be decoded: {rows[0]}")
    raise RefusedError(422, f"none of the {len(rows)} pictures can be decoded; {contents[0].name}: {rows[0]}")


def _said(model: Model, name: str, row: Row | UndecodableError, top: int, least: float) -> PictureSaid | PictureRefused:
    if isinstance(row, Row):
        return of_picture(model, name, row, top, least)
    return PictureRefused(name, str(row))


async def _add_heatmaps(
    model: Model,
    rows: Sequence[Row | UndecodableError],
    said: Sequence[PictureSaid | PictureRefused],
    asked: int | None,
    admitted: Admitted,
) -> None:
    waiting = [
        (one, model.heatmap(row.pixels, int(row.probabilities.argmax()) if asked is None else asked, admitted.deadline))
        for row, one in zip(rows, said, strict=True)
        if isinstance(row, Row) and isinstance(one, PictureSaid)
    ]
    await finished([drawn for _, drawn in waiting], admitted)
    for one, drawn in waiting:
        one.heatmap = data_uri(drawn.result())
