"""What the server says of models and of pictures: the answers of `/api`, from which its documents are made, too."""

import base64
from typing import Annotated, Any

import msgspec

from headstart.serving.model import Model, Row

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ModelSaid(msgspec.Struct):
    """A model.

    `knows_unlike` says whether it can tell that a picture is unlike all that it has learned from, `abstains` whether it
    can say nothing for the sake of a wished precision, `heatmaps` whether it can draw where a picture speaks for a
    class. `accuracy` is that on its validation pictures.
    """

    name: str
    classes: list[str]
    height: int
    width: int
    knows_unlike: bool
    abstains: bool
    heatmaps: bool
    accuracy: Share | None
    backbone: str | None
    ready: bool


class LimitsSaid(msgspec.Struct):
    """What is refused: larger bodies, pictures of more pixels, more pictures in one request."""

    body_bytes: int
    pixels: int
    pictures: int


class ModelsSaid(msgspec.Struct):
    """All models, the one that `/api/predict` asks first, and what is refused."""

    models: list[ModelSaid]
    limits: LimitsSaid


class Choice(msgspec.Struct):
    """A class and its probability."""

    label: str
    probability: Share


class PictureSaid(msgspec.Struct):
    """What a model says of a picture.

    `familiarity` is the share of pictures like those of the training that are as far from these; it is null where the
    model cannot tell, and so is `unlike`, which says whether that is so little that nothing said of the picture can be
    trusted. `abstained` says whether the model is not sure enough for the `min_precision` that was asked for.
    `heatmap` is a PNG as a data URI.
    """

    name: str
    label: str
    probability: Share
    top: list[Choice]
    familiarity: Share | None
    unlike: bool | None
    abstained: bool
    heatmap: str | None = None


class PictureRefused(msgspec.Struct):
    """Why nothing is said of a picture, in one line for people."""

    name: str
    error: str


EITHER = [{"$ref": f"#/components/schemas/{one.__name__}"} for one in (PictureSaid, PictureRefused)]
"""What is said of a picture: msgspec has no unions of objects that no field tells apart."""


class Predictions(msgspec.Struct):
    """What a model says of each picture, in the order in which they came."""

    model: str
    predictions: Annotated[list[Any], msgspec.Meta(extra_json_schema={"items": {"anyOf": EITHER}})]


class Reloaded(msgspec.Struct):
    """The model that takes the place of the one before."""

    model: str
    reloaded: bool


def of_model(model: Model) -> ModelSaid:
    """What is said of a model."""
    run = model.run
    recipe = run.about.get("recipe")
    backbone = recipe.get("backbone") if isinstance(recipe, dict) else None
    return ModelSaid(
        name=model.name,
        classes=list(run.classes),
        height=run.decode_recipe.height,
        width=run.decode_recipe.width,
        knows_unlike=model.knows_unlike,
        abstains=model.abstains,
        heatmaps=True,
        accuracy=model.accuracy,
        backbone=backbone if isinstance(backbone, str) else None,
        ready=True,
    )


def of_picture(model: Model, name: str, row: Row, top: int, threshold: float) -> PictureSaid:
    """What is said of a picture.

    Args:
        model: who says it.
        name: what the client calls the picture.
        row: what the network gave.
        top: how many classes are named.
        threshold: the least probability that is an answer.
    """
    found = model.run.prediction(name, row.probabilities, row.share)
    chosen = [Choice(label, _share(value)) for label, value in list(found.probabilities.items())[:top]]
    return PictureSaid(
        name=name,
        label=found.label,
        probability=chosen[0].probability,
        top=chosen,
        familiarity=found.familiarity,
        unlike=found.unlike,
        abstained=found.probability < threshold,
    )


def data_uri(png: bytes) -> str:
    """A PNG as a part of JSON."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))  # a softmax in float32 may end a hair above one
