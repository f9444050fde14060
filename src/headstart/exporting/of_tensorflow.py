"""A RUN as a SavedModel, from which TensorFlow's and ONNX's converters go on: traced once, whatever is made of it."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.errors import InputError
from headstart.exporting.rounding import Correction
from headstart.loading import load_keras

SIGNATURE = "serve"
"""The endpoint that takes pixels."""

_COMPILED = "_XlaMustCompile"

_HEAD = ("unit", "landmarks", "classifier", "head_dense", "head_dropout")
"""How the layers of a head are called that follow from a vector, see `headstart.models.heads`."""


class Source:
    """The classifier in Keras with TensorFlow, and the SavedModel made of it.

    Args:
        run: the RUN.
        folder: where the SavedModel is kept while others are made of it.

    Raises:
        MissingExtraError: if Keras or TensorFlow is not installed.
        InputError: if Keras runs on something else in this process.
    """

    def __init__(self, run: Run, folder: Path):
        load_keras("export")
        import keras

        if keras.config.backend() != "tensorflow":
            raise InputError(
                f"this format is made by TensorFlow, and Keras runs on {keras.config.backend()} here. "
                "Set KERAS_BACKEND=tensorflow, in a new process."
            )
        self._run = run
        self._folder = folder
        self.size = (run.decode_recipe.height, run.decode_recipe.width)

    @cached_property
    def _model(self) -> Any:
        from headstart.exporting.depthwise import with_depthwise

        return with_depthwise(self._run.model)

    @cached_property
    def saved_model(self) -> Path:
        """The whole classifier as a folder.

        It has three endpoints, each also a signature. `serve`: uint8 `pixels` `(n, height, width, 3)` to float32
        `probabilities` `(n, classes)`. `serve_files`: the bytes of JPEG, PNG or GIF `files`, a string tensor `(n,)`, to
        the same; they are cut and resized as headstart does, but not turned as EXIF says. `labels`: the classes, a
        string tensor.
        """
        folder = self._folder / "saved_model"
        self._write_saved_model(folder)
        return folder

    @cached_property
    def for_converters(self) -> Path:
        """The same in a form that converters can take apart."""
        folder = self._folder / "for_converters"
        shutil.copytree(self.saved_model, folder)
        _open_up(folder)
        return folder

    def _write_saved_model(self, folder: Path) -> None:
        import tensorflow as tf

        model = self._model

        def serve(pixels: Any) -> dict[str, Any]:
            return {"probabilities": _of_all_classes(model(tf.cast(pixels, tf.float32), training=False))}

        def serve_files(files: Any) -> dict[str, Any]:
            kind = tf.TensorSpec((*self.size, 3), tf.uint8)
            return serve(tf.map_fn(self._decode, files, fn_output_signature=kind))

        archive = self._archive()
        archive.add_endpoint(SIGNATURE, serve, [self._pixels()])
        archive.add_endpoint("serve_files", serve_files, [tf.TensorSpec((None,), tf.string, name="files")])
        archive.add_endpoint("labels", lambda: {"labels": tf.constant(self._run.classes)}, [])
        archive.write_out(str(folder), verbose=False)

    def write_features(self, folder: Path) -> bool:
        """Write a SavedModel from pixels to the vector that the head takes, as `features`.

        Returns:
            Whether there is such a vector; else nothing was written.
        """
        import keras
        import tensorflow as tf

        head = self._head()
        if not head:
            return False
        backbone = keras.Model(self._model.input, head[0].input)
        archive = self._archive()
        archive.add_endpoint(
            SIGNATURE,
            lambda pixels: {"features": backbone(tf.cast(pixels, tf.float32), training=False)},
            [self._pixels()],
        )
        archive.write_out(str(folder), verbose=False)
        _open_up(folder)
        return True

    def write_corrected(self, folder: Path, correction: Correction) -> None:
        """Write a SavedModel with `serve` as that of `saved_model`, with corrected features.

        Raises:
            IndexError: if there is no vector of features.
        """
        import keras
        import tensorflow as tf

        head = self._head()
        backbone = keras.Model(self._model.input, head[0].input)

        def serve(pixels: Any) -> dict[str, Any]:
            x = backbone(tf.cast(pixels, tf.float32), training=False) * correction.scale + correction.shift
            for layer in head:
                x = layer(x)
            return {"probabilities": _of_all_classes(x)}

        archive = self._archive()
        archive.add_endpoint(SIGNATURE, serve, [self._pixels()])
        archive.write_out(str(folder), verbose=False)
        _open_up(folder)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """What the head takes, float32 `(n, width)`, in f32."""
        import keras

        backbone = keras.Model(self._model.input, self._head()[0].input)
        return np.asarray(backbone.predict(pixels, batch_size=16, verbose=0))

    def _head(self) -> list[Any]:
        """The layers of the head behind the vector that it takes; none where there is no such vector."""
        layers = [layer for layer in self._model.layers if layer.name.startswith(_HEAD)]
        return layers if layers and len(layers[0].input.shape) == 2 else []

    def _archive(self) -> Any:
        import keras

        return keras.export.ExportArchive()

    def _pixels(self) -> Any:
        import tensorflow as tf

        return tf.TensorSpec((None, *self.size, 3), tf.uint8, name="pixels")

    def _decode(self, data: Any) -> Any:
        """As `headstart.images.decode` does."""
        import tensorflow as tf

        wanted = tf.constant(self.size)
        picture = self._scaled_down(data, wanted)
        there = tf.shape(picture)[:2]
        if self._run.decode_recipe.fit == "crop":
            scale = tf.reduce_min(tf.cast(there, tf.float32) / tf.cast(wanted, tf.float32))
            kept = tf.maximum(1, tf.cast(tf.round(scale * tf.cast(wanted, tf.float32)), tf.int32))
            kept = tf.minimum(kept, there)
            first = (there - kept) // 2
            picture = picture[first[0] : first[0] + kept[0], first[1] : first[1] + kept[1]]
            there = kept
        block = tf.maximum(1, tf.reduce_min(there // wanted))
        blocks = there // block
        picture = tf.image.resize(picture[: blocks[0] * block, : blocks[1] * block], blocks, "area")
        return tf.saturate_cast(tf.round(tf.image.resize(picture, wanted)), tf.uint8)

    def _scaled_down(self, data: Any, wanted: Any) -> Any:
        """All of a picture; a JPEG that is at least twice too large is scaled down while it is decoded."""
        import tensorflow as tf

        def decoded(ratio: int) -> Any:
            # Which reads PNG and GIF, too; with the exact way back from frequencies, not TensorFlow's usual one.
            return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

        def step() -> Any:
            scale = tf.reduce_min(tf.image.extract_jpeg_shape(data)[:2] // wanted)
            return tf.reduce_sum(tf.cast(scale >= tf.constant([2, 4, 8]), tf.int32))

        number = tf.cond(tf.io.is_jpeg(data), step, lambda: tf.constant(0))
        return tf.switch_case(number, [lambda ratio=ratio: decoded(ratio) for ratio in (1, 2, 4, 8)])


def _open_up(folder: Path) -> None:
    """Let converters see into what Keras has XLA compile, which is grouped convolutions.

    Such functions are never inlined, and neither tf2onnx nor LiteRT has an operation for a call. TensorFlow itself
    needs XLA for them on processors, so the SavedModel for users is left as it is.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    held = {field.name: value for field, value in model.meta_graphs[0].graph_def.ListFields()}
    for function in held["library"].function:
        for attributes in (function.attr, *(node.attr for node in function.node_def)):
            if _COMPILED in attributes:
                del attributes[_COMPILED]
    file.write_bytes(model.SerializeToString())


def _of_all_classes(probabilities: Any) -> Any:
    import tensorflow as tf

    return tf.concat([1 - probabilities, probabilities], -1) if probabilities.shape[-1] == 1 else probabilities
