"""The Open Inference Protocol, version 2: what clients of KServe, Triton, MLServer and OpenVINO Model Server speak.

Source: https://github.com/kserve/open-inference-protocol, rest/inference_rest.md; and Triton's binary tensor data
extension, https://github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from headstart.errors import nearest
from headstart.images.decode import UndecodableError
from headstart.serving.bodies import not_as_expected, read_body, too_many
from headstart.serving.limits import Admission, Admitted, Limits
from headstart.serving.model import Model, Row
from headstart.serving.models import Models
from headstart.serving.predicting import answers
from headstart.serving.refusal import RefusedError
from headstart.serving.tensors import HEADER, Given, Taken, as_bytes, bytes_of, pixels_of

VERSION = "1"
"""A model has one version: what its RUN is now."""

_WANTED = '{"inputs": [{"name": "pixels" or "pictures", "shape": [...], "datatype": ..., "data": [...]}]}'


class ServerAbout(msgspec.Struct):
    """What this is."""

    name: str
    version: str
    extensions: list[str]


class TensorAbout(msgspec.Struct):
    """A tensor; -1 stands for any number of pictures."""

    name: str
    datatype: str
    shape: list[int]


class ModelAbout(msgspec.Struct):
    """What a model takes, either of two inputs, and what it gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorAbout]
    outputs: list[TensorAbout]


class ModelReady(msgspec.Struct):
    """Whether a model answers."""

    name: str
    ready: bool


class Live(msgspec.Struct):
    """Whether the server runs."""

    live: bool


class Ready(msgspec.Struct):
    """Whether all models answer."""

    ready: bool


class Wanted(msgspec.Struct):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct):
    """Pictures: `pixels`, UINT8 of the model's size, or `pictures`, BYTES, encoded files."""

    inputs: Annotated[list[Given], msgspec.Meta(min_length=1, max_length=1)]
    id: str = ""
    outputs: list[Wanted] = []
    parameters: dict[str, Any] = {}


class Tensor(msgspec.Struct, omit_defaults=True):
    """A tensor that is given. Its data are here, or follow the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: dict[str, int] = {}


class InferenceResponse(msgspec.Struct):
    """What a model says of the pictures."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str = ""


_decoder = msgspec.json.Decoder(InferenceRequest)


class _Output(NamedTuple):
    datatype: str
    values: "np.ndarray | list[bytes]"


class Inference:
    """Answers requests of the protocol.

    Args:
        models: by name.
        admission: who is let in.
        limits: what is refused.
    """

    def __init__(self, models: Models, admission: Admission, limits: Limits):
        self._models = models
        self._admission = admission
        self._limits = limits

    async def server(self, request: Request, query: None) -> ServerAbout:
        """What this is."""
        return ServerAbout("headstart", version("headstart"), ["binary_tensor_data"])

    async def live(self, request: Request, query: None) -> Live:
        """Whether it runs."""
        return Live(True)

    async def ready(self, request: Request, query: None) -> Ready:
        """Whether all models answer."""
        return Ready(True)

    async def model(self, request: Request, query: None) -> ModelAbout:
        """What a model takes and gives."""
        return _about(self._models.get(_name(request)))

    async def model_ready(self, request: Request, query: None) -> ModelReady:
        """Whether a model answers."""
        return ModelReady(self._models.get(_name(request)).name, True)

    async def infer(self, request: Request, query: None) -> Response:
        """What a model says of pictures."""
        name = _name(request)
        with self._admission.request() as admitted, self._models.using(name) as model:
            body = await read_body(request, self._limits, admitted)
            asked, rest = _parse(body, request.headers.get(HEADER))
            _refuse_unknown_outputs(asked, model)
            rows = await self._rows(model, asked, Taken(rest), admitted)
            return _response(asked, model.name, _outputs(model, rows))

    async def _rows(self, model: Model, asked: InferenceRequest, rest: Taken, admitted: Admitted) -> list[Row]:
        (given,) = asked.inputs
        raw = rest.next(given)
        rest.refuse_rest()
        recipe = model.run.decode_recipe
        if given.name == "pixels":
            pixels = pixels_of(given, raw, recipe.height, recipe.width)
            self._count(len(pixels), admitted)
            futures = [model.compute(one, admitted.deadline) for one in pixels]
        else:
            files = bytes_of(given, raw)
            self._count(len(files), admitted)
            futures = [model.classify(one, admitted.deadline) for one in files]
        found = await answers(futures, admitted)
        for number, row in enumerate(found):
            if isinstance(row, UndecodableError):
                raise RefusedError(422, f"picture {number} of {given.name!r} cannot be decoded: {row}")
        return [row for row in found if isinstance(row, Row)]

    def _count(self, pictures: int, admitted: Admitted) -> None:
        if not pictures:
            raise RefusedError(400, "there is no picture in the request.")
        if pictures > self._limits.pictures:
            raise too_many(self._limits)
        admitted.count(pictures)


def _name(request: Request) -> str:
    version = request.path_params.get("version", VERSION)
    name: str = request.path_params["name"]
    if version != VERSION:
        raise RefusedError(404, f"there is no version {version!r} of {name!r}; there is {VERSION}.")
    return name


def _about(model: Model) -> ModelAbout:
    recipe, classes = model.run.decode_recipe, len(model.run.classes)
    inputs = [
        TensorAbout("pixels", "UINT8", [-1, recipe.height, recipe.width, 3]),
        TensorAbout("pictures", "BYTES", [-1]),
    ]
    outputs = [TensorAbout("probabilities", "FP32", [-1, classes]), TensorAbout("labels", "BYTES", [-1])]
    outputs += [TensorAbout("familiarity", "FP32", [-1])] if model.knows_unlike else []
    return ModelAbout(model.name, [VERSION], "headstart_openvino", inputs, outputs)


def _parse(body: bytes, header: str | None) -> tuple[InferenceRequest, bytes]:
    """What is asked, and the bytes behind it."""
    end = len(body)
    if header is not None:
        if not (header.isascii() and header.isdecimal() and len(header) < 12 and int(header) <= len(body)):
            raise RefusedError(400, f"{HEADER} is {header!r}, and the body has {len(body)} bytes.")
        end = int(header)
    try:
        asked = _decoder.decode(memoryview(body)[:end])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise not_as_expected(error, _WANTED) from None
    return asked, body[end:]


def _refuse_unknown_outputs(asked: InferenceRequest, model: Model) -> None:
    known = [output.name for output in _about(model).outputs]
    for output in asked.outputs:
        if output.name not in known:
            raise RefusedError(400, f"there is no output {output.name!r}; {nearest(output.name, known)}")


def _outputs(model: Model, rows: list[Row]) -> dict[str, _Output]:
    probabilities = np.stack([row.probabilities for row in rows]).astype(np.float32)
    names = [model.run.classes[number].encode(errors="replace") for number in probabilities.argmax(1)]
    found = {"probabilities": _Output("FP32", probabilities), "labels": _Output("BYTES", names)}
    if all(row.share is not None for row in rows):
        found["familiarity"] = _Output("FP32", np.array([row.share for row in rows], np.float32))
    return found


def _response(asked: InferenceRequest, name: str, outputs: dict[str, _Output]) -> Response:
    everywhere = asked.parameters.get("binary_data_output") is True
    wanted = asked.outputs or [Wanted(output) for output in outputs]
    tensors, pieces = [], []
    for one in wanted:
        datatype, values = outputs[one.name]
        shape = [len(values)] if isinstance(values, list) else list(values.shape)
        tensor = Tensor(one.name, datatype, shape)
        if one.parameters.get("binary_data", everywhere) is True:
            pieces.append(as_bytes(values))
            tensor.parameters = {"binary_data_size": len(pieces[-1])}
        else:
            tensor.data = [item.decode() for item in values] if isinstance(values, list) else values.ravel().tolist()
        tensors.append(tensor)
    said = msgspec.json.encode(InferenceResponse(name, VERSION, tensors, asked.id))
    if not pieces:
        return Response(said, media_type="application/json")
    headers = {HEADER: str(len(said))}
    return Response(b"".join([said, *pieces]), headers=headers, media_type="application/octet-stream")
