"""The formats that a RUN is exported to: what each can hold, and what has to be installed for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from headstart.errors import MissingExtraError, RecipeError, nearest
from headstart.loading import is_installed

FormatName = Literal["keras", "saved_model", "onnx", "openvino", "litert"]
ExportPrecision = Literal["f32", "f16", "int8"]
"""Of the weights, and for int8 of the arithmetic of the backbone, too."""

ALL_PRECISIONS: tuple[ExportPrecision, ...] = get_args(ExportPrecision)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: what it is called on the command line.
        file: the model, a file or a folder.
        precisions: those that it is written in.
        install: what somebody who wants to use an export installs with pip.
        modules: what writing it needs besides the base install, each with the extra that brings it.
        at_int8: the same for int8.
        spared: the shares of its convolutions, the last ones, that int8 leaves out, tried one after the other until
            what that costs is allowed.
    """

    name: FormatName
    file: str
    precisions: tuple[ExportPrecision, ...]
    install: str
    modules: tuple[tuple[str, str], ...] = ()
    at_int8: tuple[tuple[str, str], ...] = ()
    spared: tuple[float, ...] = (0.0,)

    def require(self, precision: ExportPrecision) -> None:
        """Make sure that it can be written here, without importing anything.

        Raises:
            RecipeError: if it is not written in that precision.
            MissingExtraError: if something is not installed.
        """
        if precision not in self.precisions:
            others = [found.name for found in FORMATS.values() if precision in found.precisions]
            raise RecipeError(
                [
                    f"{self.name} is exported in {' or '.join(self.precisions)}, not in {precision}; "
                    f"{precision} is for {', '.join(others)}."
                ]
            )
        for module, extra in (*self.modules, *(self.at_int8 if precision == "int8" else ())):
            if not is_installed(module):
                raise MissingExtraError(f"export to {self.name} in {precision}", extra)


_OF_ONNX = tuple((module, "onnx") for module in ("onnx", "tf2onnx", "onnxruntime", "keras", "tensorflow"))
_OF_LITERT = tuple((module, "litert") for module in ("ai_edge_litert", "keras", "tensorflow"))
_OF_TRAIN = (("keras", "train"), ("tensorflow", "train"))

FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        Format("keras", "model.keras", ("f32",), "keras tensorflow", (("keras", "train"),)),
        Format("saved_model", "saved_model", ("f32",), "tensorflow", _OF_TRAIN),
        Format("onnx", "model.onnx", ("f32", "f16"), "onnxruntime", _OF_ONNX),
        Format("openvino", "model.xml", ALL_PRECISIONS, "openvino", (), (("nncf", "int8"),), (0.0, 0.5)),
        Format("litert", "model.tflite", ALL_PRECISIONS, "ai-edge-litert", _OF_LITERT),
    )
}


def find_formats(names: Sequence[str], precision: ExportPrecision) -> list[Format]:
    """The formats of these names, each once, all of which can be written here.

    Raises:
        RecipeError: if there is no such format or precision, or one is not written in that precision.
        MissingExtraError: if something is not installed.
    """
    if precision not in ALL_PRECISIONS:
        raise RecipeError([f"there is no precision {precision!r}; {nearest(precision, ALL_PRECISIONS)}"])
    if not names:
        raise RecipeError([f"no format is chosen; {nearest('', FORMATS)}"])
    found = []
    for name in dict.fromkeys(names):
        if name not in FORMATS:
            raise RecipeError([f"there is no format {name!r}; {nearest(name, FORMATS)}"])
        FORMATS[name].require(precision)
        found.append(FORMATS[name])
    return found
