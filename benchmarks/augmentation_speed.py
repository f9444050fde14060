"""What random views cost: headstart's, while a picture is decoded, against Keras' layers on batches of decoded ones.

    python benchmarks/augmentation_speed.py FOLDER [--pictures 256] [--rounds 5]

Each line is a median over rounds in which everything is measured in turn, in one process. headstart's views run on as
many threads as there are cores, Keras' layers on TensorFlow's own threads; what a view adds is its time less that of
decoding the centre.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headstart.images.decode import DecodeRecipe, decode
from headstart.images.views import View
from headstart.specs import parse_ops

SIZE = 224
BATCH = 32
SAME = "flip,rotate,colour"
VIEWS = ["flip,crop", SAME, "flip,crop,rotate,colour", "randaugment"]
CENTRE = "decoding the centre"
KERAS = "Keras: flip, rotation, brightness, contrast, saturation"
KERAS_ZOOM = "Keras: flip, zoom (for crop)"


def headstart_decodes(files: list[bytes], pool: ThreadPoolExecutor, ops: str | None) -> Callable[[], None]:
    """Decode every file, to a random view or to that of the centre."""
    recipe = DecodeRecipe(SIZE, SIZE)
    view = None if ops is None else View(parse_ops(ops), 0, 0)

    def run() -> None:
        for _ in pool.map(lambda data: decode(data, recipe, view), files):
            pass

    return run


def keras_changes(pictures: np.ndarray, layers: list[Any]) -> Callable[[], None]:
    """Send every picture through random layers, compiled by TensorFlow."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input(pictures.shape[1:], dtype="uint8"), *layers])
    compiled = tf.function(lambda batch: model(batch, training=True))

    def run() -> None:
        for start in range(0, len(pictures), BATCH):
            np.asarray(compiled(pictures[start : start + BATCH]))

    return run


def milliseconds(run: Callable[[], None], pictures: int) -> float:
    """Wall time per picture."""
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000 / pictures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    from keras import layers

    paths = sorted(path for path in arguments.folder.rglob("*") if path.is_file())[: arguments.pictures]
    files = [path.read_bytes() for path in paths]
    pictures = np.stack([decode(data, DecodeRecipe(SIZE, SIZE)) for data in files])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {CENTRE: headstart_decodes(files, pool, None)}
        runs |= {f"headstart: {ops}": headstart_decodes(files, pool, ops) for ops in VIEWS}
        jitter = [layers.RandomBrightness(0.2), layers.RandomContrast(0.2), layers.RandomSaturation((0.4, 0.6))]
        runs[KERAS] = keras_changes(
            pictures, [layers.RandomFlip("horizontal"), layers.RandomRotation(15 / 360), *jitter]
        )
        runs[KERAS_ZOOM] = keras_changes(
            pictures, [layers.RandomFlip("horizontal"), layers.RandomZoom((-0.3, 0), (-0.3, 0))]
        )
        for run in runs.values():
            run()
        rounds = [{name: milliseconds(run, len(files)) for name, run in runs.items()} for _ in range(arguments.rounds)]
    median = {name: statistics.median(found[name] for found in rounds) for name in runs}
    added = {name: value - (0 if name.startswith("Keras") else median[CENTRE]) for name, value in median.items()}
    print(f"{len(files)} pictures at {SIZE} px, {os.cpu_count()} cores, medians of {len(rounds)} rounds\n")
    print("| | ms per picture | added by the view | of Keras' flip to saturation |\n|---|---|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.3f} | {added[name]:.3f} | {added[name] / added[KERAS]:.2f} |")


if __name__ == "__main__":
    main()
