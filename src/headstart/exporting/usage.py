"""The files beside an export: how to call it, its labels, and what is known of it."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

from headstart.exporting.formats import Format
from headstart.run_files import write_json
from headstart.texts import printable

USE = "use.py"
LABELS = "labels.txt"
ABOUT = "export.json"


@dataclass(frozen=True)
class _Call:
    """How a format is called, in Python.

    Attributes:
        imports: what else is imported.
        load: makes the model ready.
        classify: the body of the function that is given pixels.
    """

    imports: str
    load: str
    classify: str


_CALLS = {
    "keras": _Call(
        "import keras",
        'model = keras.saving.load_model(HERE / "model.keras")',
        """found = model.predict_on_batch(pixels)
    return found if found.shape[1] > 1 else np.hstack([1 - found, found])""",
    ),
    "saved_model": _Call(
        "import tensorflow as tf",
        'model = tf.saved_model.load(HERE / "saved_model")',
        'return model.serve(pixels)["probabilities"].numpy()',
    ),
    "onnx": _Call(
        "import onnxruntime",
        'model = onnxruntime.InferenceSession(HERE / "model.onnx")',
        'return model.run(["probabilities"], {"pixels": pixels})[0]',
    ),
    "openvino": _Call(
        "import openvino",
        """EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # without it, faster on some devices, in bf16 or f16
model = openvino.Core().compile_model(HERE / "model.xml", "CPU", EXACT)""",
        'return model({"pixels": pixels})["probabilities"]',
    ),
    "litert": _Call(
        "from ai_edge_litert.interpreter import Interpreter",
        """model = Interpreter(str(HERE / "model.tflite"))
model.allocate_tensors()
(GIVEN,), (WANTED,) = model.get_input_details(), model.get_output_details()""",
        """if tuple(model.get_input_details()[0]["shape"]) != pixels.shape:
        model.resize_tensor_input(GIVEN["index"], pixels.shape)
        model.allocate_tensors()
    model.set_tensor(GIVEN["index"], pixels)
    model.invoke()
    return model.get_tensor(WANTED["index"])""",
    ),
}

_PAGE = Template('''\
"""Which of $count classes a picture is of, by $file. Written by headstart; needs nothing of it.

    pip install $install numpy pillow
    python use.py PICTURE ...
"""

import json
import sys
from pathlib import Path

import numpy as np
$imports
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "export.json").read_text(encoding="utf-8"))
LABELS, DECODE = ABOUT["labels"], ABOUT["decode"]
$load


def classify(pixels):
    """float32 (n, $count), one probability for each of LABELS, from RGB pixels, uint8 (n, $height, $width, 3)."""
    $classify


def read(path):
    """A picture file as uint8 ($height, $width, 3): upright, $fit, whole blocks averaged, then bilinear."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    height, width = DECODE["height"], DECODE["width"]
    if DECODE["fit"] == "crop":
        scale = min(picture.height / height, picture.width / width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        left, top = (picture.width - columns) // 2, (picture.height - rows) // 2
        picture = picture.crop((left, top, left + columns, top + rows))
    block = max(1, min(picture.height // height, picture.width // width))
    whole = (0, 0, picture.width // block * block, picture.height // block * block)
    picture = picture.reduce(block, whole)
    area = (0, 0, *picture.size)
    return np.asarray(picture.transform((width, height), Image.Transform.EXTENT, area, Image.Resampling.BILINEAR))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        found = classify(read(path)[None])[0]
        print(f"{path}: {LABELS[found.argmax()]} {found.max():.4f}")
''')

_FITS = {"crop": "its centre cut out", "stretch": "stretched"}


def write_usage(folder: Path, form: Format, about: dict[str, object]) -> None:
    """Write `use.py`, `labels.txt` and `export.json`.

    Args:
        folder: where the model is.
        form: its format.
        about: what is known of it; `labels` and `decode` at least, which `use.py` reads.
    """
    labels, decode = about["labels"], about["decode"]
    assert isinstance(labels, list)
    assert isinstance(decode, dict)
    size = {"count": len(labels), "height": decode["height"], "width": decode["width"], "fit": _FITS[decode["fit"]]}
    text = _PAGE.substitute(vars(_CALLS[form.name]), file=form.file, install=form.install, **size)
    (folder / USE).write_text(text, encoding="utf-8")
    (folder / LABELS).write_text(labels_text(labels), encoding="utf-8")
    write_json(folder / ABOUT, about)


def labels_text(labels: list[str]) -> str:
    """The labels, one on a line; `export.json` has them to the letter where they hold line breaks themselves."""
    return "".join(f"{printable(label)}\n" for label in labels)
