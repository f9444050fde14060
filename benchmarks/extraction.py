"""How near extraction comes to what the machine can do: `extract` from JPEG files against its two raw halves.

    python benchmarks/extraction.py DATA [--backbones mobilenet_v2,inception_v3] [--runs 3] [--plain]

Measured in turn in one process, on all cores, with random weights: the runtime alone on pixels in memory (the best of
OpenVINO's ways to run it), plain OpenCV reading, decoding and resizing the files on as many threads as there are cores,
and headstart's extraction of the same files into an empty store, with all it does besides: digests, checks, checksums,
writing. The ideal is 1 / (1 / runtime + 1 / decoding). With `--plain`, Keras' `predict`, fed by its own loader.
Prints a table in Markdown of medians; nothing else should run on the machine meanwhile.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import described, per_second

from headstart.features.extract import extract
from headstart.features.runtime import BATCH
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.sources import list_any
from headstart.loading import load_keras, load_openvino

RAW_SECONDS = 8.0


def raw_runtime(model: Path, side: int) -> dict[str, float]:
    """Pictures a second of OpenVINO alone, for each of its ways: one batch at a time, and several at once."""
    openvino = load_openvino()
    found = {}
    for hint in ("LATENCY", "THROUGHPUT"):
        for batch in (8, BATCH):
            core = openvino.Core()
            graph = core.read_model(model)
            steps = openvino.preprocess.PrePostProcessor(graph)
            steps.input().tensor().set_element_type(openvino.Type.u8)
            graph = steps.build()
            graph.reshape([batch, side, side, 3])
            settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
            queue = openvino.AsyncInferQueue(core.compile_model(graph, "CPU", settings))
            pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)

            def one(queue: Any = queue, pixels: np.ndarray = pixels) -> None:
                queue.start_async({0: pixels}, share_inputs=True)

            found[f"{hint.lower()} {batch}"] = per_second(one, queue.wait_all, batch, RAW_SECONDS)
    return found


def raw_decoding(paths: list[str], side: int) -> float:
    """Pictures a second that OpenCV reads, decodes and resizes, one thread for each core."""

    def one(path: str) -> None:
        data = np.fromfile(path, np.uint8)
        cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), (side, side), interpolation=cv2.INTER_AREA)

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(one, paths))
        return len(paths) / (time.perf_counter() - started)


def headstarts(paths: list[str], side: int, load: Callable[[], Any]) -> float:
    """Pictures a second from files to features on disk."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        runtime = load()
        started = time.perf_counter()
        space = store.space({"benchmark": 1}, {})
        done = extract(paths, DecodeRecipe(side, side, "crop"), lambda: runtime, space, store.stat_cache)
        assert done.extracted == len(paths) - done.reused - len(done.quarantined), done
        return len(done.digests) / (time.perf_counter() - started)


def plain_keras(data: Path, model: Any, side: int) -> float:
    """Pictures a second of Keras' `predict` on what its own loader reads."""
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        data, labels=None, image_size=(side, side), batch_size=32, shuffle=False, verbose=False
    )
    model.predict(np.zeros((32, side, side, 3), np.float32), verbose=0)
    started = time.perf_counter()
    return len(model.predict(dataset, verbose=0)) / (time.perf_counter() - started)


def measure(data: Path, name: str, runs: int, plain: bool) -> list[str]:
    """One row of the table, and what lies behind it on stderr."""
    load_keras("benchmark")
    import keras

    from headstart.features.convert import choose_runtime
    from headstart.models.backbones import find_backbone
    from headstart.models.cut import fingerprint

    paths = [picture.path for picture in list_any([data])]
    backbone = find_backbone(name)
    side = backbone.size
    pixels = keras.Input((side, side, 3))
    keras.utils.set_random_seed(0)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.build()(backbone.preprocess(pixels)))
    model = keras.Model(pixels, pooled)
    samples = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)
    rows: dict[str, list[float]] = {"runtime": [], "decoding": [], "headstart": [], "ideal": [], "keras": []}
    with tempfile.TemporaryDirectory() as folder:
        frozen = choose_runtime(model, fingerprint(model), Store(Path(folder)), lambda: samples, "f32")
        assert frozen.converted is not None
        for _ in range(runs):
            ways = raw_runtime(frozen.converted, side)
            print(name, {way: round(speed, 1) for way, speed in ways.items()}, flush=True)
            rows["runtime"].append(max(ways.values()))
            rows["decoding"].append(raw_decoding(paths, side))
            rows["ideal"].append(1 / (1 / rows["runtime"][-1] + 1 / rows["decoding"][-1]))
            rows["headstart"].append(headstarts(paths, side, frozen.load))
            if plain:
                rows["keras"].append(plain_keras(data, model, side))
            print({key: round(speeds[-1], 1) for key, speeds in rows.items() if speeds}, flush=True)
    mid = {key: statistics.median(speeds) for key, speeds in rows.items() if speeds}
    share = statistics.median(h / i for h, i in zip(rows["headstart"], rows["ideal"], strict=True))
    cells = [f"{mid[key]:,.0f}" for key in ("runtime", "decoding", "ideal", "headstart")] + [f"{share:.2f}"]
    if plain:
        times = statistics.median(h / k for h, k in zip(rows["headstart"], rows["keras"], strict=True))
        cells += [f"{mid['keras']:,.0f}", f"{times:.1f}"]
    return [name, *cells]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbones", default="mobilenet_v2,inception_v3")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="also Keras' predict with its own loader")
    arguments = parser.parse_args()
    columns = ["pictures a second", "runtime alone", "decoding alone", "ideal", "headstart", "of the ideal"]
    columns += ["Keras predict", "times as fast"] if arguments.plain else []
    rows = [measure(arguments.data, name, arguments.runs, arguments.plain) for name in arguments.backbones.split(",")]
    print(f"\n{arguments.data.name}; medians of {arguments.runs}; {described()}\n")
    print("|", " | ".join(columns), "|\n|" + "---|" * len(columns))
    for row in rows:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
