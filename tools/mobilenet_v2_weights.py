"""Weights of a trained MobileNetV2 where Keras' own cannot be fetched: those that the npm package nsfwjs brings.

    npm pack nsfwjs@4.4.0
    python tools/mobilenet_v2_weights.py nsfwjs-4.4.0.tgz mobilenet_v2.weights.h5
    headstart train DATA --backbone mobilenet_v2 --weights mobilenet_v2.weights.h5

The package (MIT, Infinite Red, Inc.) tells indecent pictures from decent ones by the MobileNetV2 of Keras Applications,
trained on from ImageNet's weights, and keeps it in the layers format of TensorFlow.js: a manifest of names, shapes and
ranges, and all weights in eight bits. For trying things on a network that has learned something; whoever wants to train
a classifier should take ImageNet's.
"""

import base64
import re
import sys
import tarfile
from pathlib import Path

import numpy as np

FOLDER = "package/dist/models/mobilenet_v2"
NUMBER = r"-?[\d.]+(?:e-?\d+)?"
WEIGHT = re.compile(
    rf'name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32",quantization:{{min:({NUMBER}),scale:({NUMBER}),dtype:"uint8"}}'
)
PACKED = re.compile(r'"([A-Za-z0-9+/]{1000,}={0,2})"')


def read(tarball: Path) -> dict[str, np.ndarray]:
    """The weights in the package, float32, by the names that Keras gave them."""
    with tarfile.open(tarball) as package:
        manifest, packed = (
            package.extractfile(f"{FOLDER}/{name}.min.js").read().decode() for name in ("model", "group1-shard1of1")
        )
    content = np.frombuffer(base64.b64decode(PACKED.search(packed)[1]), np.uint8)
    weights, start = {}, 0
    for name, sides, least, scale in WEIGHT.findall(manifest):
        shape = tuple(int(side) for side in sides.split(","))
        steps = content[start : start + np.prod(shape)].reshape(shape)
        weights[name.replace("/depthwise_kernel", "/kernel")] = (steps * float(scale) + float(least)).astype(np.float32)
        start += steps.size
    if start != len(content):
        raise SystemExit(f"{tarball} holds {len(content)} bytes of weights, and {start} of them have names.")
    return weights


def for_minus_one_to_one(weights: dict[str, np.ndarray]) -> None:
    """Let the first layer take pixels from -1 to 1, as Keras Applications gives them, instead of 0 to 1."""
    kernel = weights["Conv1/kernel"] / 2
    weights["Conv1/kernel"] = kernel
    weights["bn_Conv1/moving_mean"] = weights["bn_Conv1/moving_mean"] - kernel.sum((0, 1, 2))


def main(tarball: str, file: str) -> None:
    """Write the weights as Keras does for `MobileNetV2(include_top=False)`."""
    import keras

    weights = read(Path(tarball))
    for_minus_one_to_one(weights)
    model = keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights=None)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    model.save_weights(file)
    print(f"{file}: {len(model.weights)} weights, {model.count_params():,} numbers")


if __name__ == "__main__":
    main(*sys.argv[1:])
