"""Step 2: what a large network makes of every picture, for several crops of each.

    python tools/pretrain/teacher.py WORK [--weights FILE] [--tap conv_pw_12_relu] [--side 128] [--views 2]

The teacher is MobileNet 1.0 with ImageNet's weights. For each view WORK gets the pooled features of the tap,
standardised, and its feature map, reduced to its principal components and scaled to variance one as a whole: float16,
a row for each picture. A view that is there is not computed again.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from common import boxes, crop, write_array
from rich.progress import track

from headstart.features.convert import export_openvino
from headstart.features.runtime import OpenVINORuntime
from headstart.models.assemble import build_network
from headstart.models.backbones import find_backbone

COMPONENTS = 128
_SAMPLE = 4096
_BATCH = 64


def build_teacher(weights: str, tap: str, side: int) -> keras.Model:
    """From uint8 pixels to feature maps."""
    backbone = find_backbone("mobilenet")
    network = build_network(backbone, weights, side, tap)
    pixels = keras.Input((side, side, 3))
    return keras.Model(pixels, network.model(backbone.preprocess(pixels)))


def look(runtime: OpenVINORuntime, pictures: np.ndarray, places: np.ndarray, side: int) -> list[np.ndarray]:
    """What the teacher makes of the crops of some pictures, float32."""
    views = np.stack([crop(picture, place, side) for picture, place in zip(pictures, places, strict=True)])
    return runtime(views)


def standardised(teacher: keras.Model, maps: np.ndarray) -> keras.Model:
    """The teacher, ending in standardised pooled features and in principal components of its map."""
    cells = maps.reshape(-1, maps.shape[-1]).astype(np.float64)
    mean = cells.mean(0)
    values, vectors = np.linalg.eigh(np.cov(cells.T))
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    # The fourth root of the variance: halfway between components as large as they are and all of the same size.
    kernel = vectors / values**0.25
    kernel /= np.sqrt(np.mean(np.var((cells - mean) @ kernel, axis=0)))
    pooled = maps.mean((1, 2), dtype=np.float64)
    features = teacher.output
    project = keras.layers.Conv2D(COMPONENTS, 1, name="components")
    scale = keras.layers.Normalization(mean=pooled.mean(0), variance=pooled.var(0) + 1e-6, name="standardise")
    ends = [scale(keras.layers.GlobalAveragePooling2D()(features)), project(features)]
    project.set_weights([kernel[None, None].astype(np.float32), (-mean @ kernel).astype(np.float32)])
    return keras.Model(teacher.input, ends)


def load(model: keras.Model) -> OpenVINORuntime:
    """On OpenVINO, several times as fast as in Keras."""
    with tempfile.TemporaryDirectory() as folder:
        export_openvino(model, Path(folder) / "teacher.xml")
        return OpenVINORuntime(Path(folder) / "teacher.xml", at_most=_BATCH, pixels=True)


def main() -> None:
    """Compute the views that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--tap", default="conv_pw_12_relu")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--views", type=int, default=2)
    arguments = parser.parse_args()
    pictures = np.load(arguments.work / "train_pictures.npy", mmap_mode="r")
    teacher = build_teacher(arguments.weights, arguments.tap, arguments.side)
    sample = np.sort(np.random.default_rng(0).permutation(len(pictures))[:_SAMPLE])
    (maps,) = look(load(teacher), pictures[sample], boxes(0, len(pictures), pictures.shape[1])[sample], arguments.side)
    runtime = load(standardised(teacher, maps))
    for view in range(arguments.views):
        file = arguments.work / f"pooled_{view}.npy"
        if not file.exists():
            _write_view(arguments, pictures, runtime, view)


def _write_view(arguments: argparse.Namespace, pictures: np.ndarray, runtime: OpenVINORuntime, view: int) -> None:
    places = boxes(view, len(pictures), pictures.shape[1])
    pooled, maps = [], []
    for start in track(range(0, len(pictures), _BATCH), description=f"view {view}"):
        rows = slice(start, start + _BATCH)
        found = look(runtime, pictures[rows], places[rows], arguments.side)
        for kept, array in zip((pooled, maps), found, strict=True):
            kept.append(array.astype(np.float16))
    write_array(arguments.work / f"maps_{view}.npy", np.concatenate(maps))
    write_array(arguments.work / f"pooled_{view}.npy", np.concatenate(pooled))


if __name__ == "__main__":
    main()
