"""How near extraction comes to what the machine can do: `extract` from JPEG files against its two raw halves.

    python benchmarks/extraction.py DATA [--backbones mobilenet_v2,inception_v3] [--slice 128] [--slices 0] [--plain]

The pictures are taken in slices. For every slice in turn, on all cores, with random weights:

    runtime    OpenVINO alone on as many pictures in memory, in whichever of its ways a short trial found the fastest
    decoding   plain OpenCV reading, decoding and resizing the files of the slice, one thread for each core
    headstart  extraction of the slice into an empty store, with all it does: digests, checks, checksums, writing
    Keras      with --plain, `predict` on the slice, fed by Keras' own loader, made before the clock starts

Decoding and running take turns on the same cores, so the ideal is the sum of both their times, and the share of it is
that sum over headstart's time. Every slice has been read once before, and a first slice is not counted. Prints a table
in Markdown: medians over the slices; nothing else should run on the machine meanwhile.
"""

import argparse
import importlib
import itertools
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import in_turn, timed
from report import Report, figure, parser, table

WAYS = [*itertools.product(("LATENCY", "THROUGHPUT"), (8, 32)), ("THROUGHPUT", 1), ("THROUGHPUT", 4)]
TRIAL_PICTURES, TRIAL_TURNS = 32, 3


class RawRuntime:
    """OpenVINO and nothing else, in one of its ways: how it uses the cores, and how many pictures it gets at once."""

    def __init__(self, model: Path, side: int, hint: str, batch: int):
        from headstart.loading import load_openvino

        openvino = load_openvino()
        core = openvino.Core()
        graph = core.read_model(model)
        steps = openvino.preprocess.PrePostProcessor(graph)
        steps.input().tensor().set_element_type(openvino.Type.u8)
        graph = steps.build()
        graph.reshape([batch, side, side, 3])
        settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
        self._queue = openvino.AsyncInferQueue(core.compile_model(graph, "CPU", settings))
        self._batch = batch

    def seconds(self, pixels: np.ndarray) -> float:
        """For these pictures: whole batches are run, and what is too much is not counted."""
        batches = -(-len(pixels) // self._batch)
        whole = np.resize(pixels, (batches * self._batch, *pixels.shape[1:]))
        pieces = np.split(whole, batches)

        def run() -> None:
            for piece in pieces:
                self._queue.start_async({0: piece}, share_inputs=True)
            self._queue.wait_all()

        return timed(run) * len(pixels) / len(whole)


def fastest(model: Path, side: int) -> tuple[str, RawRuntime]:
    """The way of OpenVINO that a short trial finds the fastest; the first turn of it is not counted."""
    ways = {f"{hint.lower()}, {batch} at once": RawRuntime(model, side, hint, batch) for hint, batch in WAYS}
    pixels = noise(TRIAL_PICTURES, side)
    turns = [
        in_turn({name: lambda way=way: way.seconds(pixels) for name, way in ways.items()}, turn)
        for turn in range(TRIAL_TURNS)
    ]
    best = min(ways, key=lambda name: min(turn[name] for turn in turns[1:]))
    return best, ways[best]


def noise(count: int, side: int) -> np.ndarray:
    """Pictures in memory; what they show does not change what they cost."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def decode_raw(path: str, side: int) -> None:
    """What decoding takes without asking what a file is."""
    data = np.fromfile(path, np.uint8)
    cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), (side, side), interpolation=cv2.INTER_AREA)


def extract_to(folder: Path, paths: list[str], side: int, runtime: Any) -> float:
    """Seconds of headstart from files to features in a store that did not exist before."""
    from headstart.features.extract import extract
    from headstart.features.store import Store
    from headstart.images.decode import DecodeRecipe

    store = Store(folder)
    store.prepare()

    def run() -> None:
        space = store.space({"benchmark": 1}, {})
        done = extract(paths, DecodeRecipe(side, side, "crop"), lambda: runtime, space, store.stat_cache)
        assert 0 < done.extracted == len(paths) - done.reused - len(done.quarantined), done

    return timed(run)


def predict_from(folder: Path, paths: list[str], model: Any, side: int) -> float:
    """Seconds of Keras' `predict` on what its own loader reads."""
    import keras

    for number, path in enumerate(paths):
        (folder / f"{number:05d}{Path(path).suffix.lower()}").symlink_to(Path(path).resolve())
    dataset = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(side, side), batch_size=32, shuffle=False, verbose=False
    )
    return timed(lambda: model.predict(dataset, verbose=0)) * len(paths) / len(dataset.file_paths)


@dataclass(frozen=True)
class Contest:
    """What is needed to let all run on one slice.

    Attributes:
        raw: OpenVINO alone.
        runtime: what headstart makes of it.
        model: the same for Keras' `predict`; None to leave it out.
        side: of the pictures, in pixels.
        pool: threads for raw decoding.
    """

    raw: RawRuntime
    runtime: Any
    model: Any
    side: int
    pool: ThreadPoolExecutor

    def seconds(self, paths: list[str], turn: int) -> dict[str, float]:
        """Of each, for the pictures of one slice."""
        pixels = noise(len(paths), self.side)
        for path in paths:
            Path(path).read_bytes()  # from now on in the operating system's memory, for everybody
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "pictures"
            place.mkdir()
            runs: dict[str, Callable[[], float]] = {
                "runtime": lambda: self.raw.seconds(pixels),
                "decoding": lambda: timed(lambda: list(self.pool.map(lambda p: decode_raw(p, self.side), paths))),
                "headstart": lambda: extract_to(Path(folder) / "store", paths, self.side, self.runtime),
            }
            if self.model is not None:
                runs["Keras"] = lambda: predict_from(place, paths, self.model, self.side)
            return in_turn(runs, turn)


def slices(data: str, size: int, most: int) -> Iterator[list[str]]:
    """The pictures of a folder, mixed, in slices of one size; the first of them comes twice."""
    from headstart.images.sources import list_any

    paths = [picture.path for picture in list_any([data])]
    mixed = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    pieces = [mixed[start : start + size] for start in range(0, len(mixed) - size + 1, size)] or [mixed]
    yield pieces[0]
    yield from pieces[: most or None]


def measure(name: str, arguments: argparse.Namespace) -> tuple[str, list[dict[str, float]]]:
    """Seconds of each, slice by slice, for one backbone; and which way of OpenVINO they are compared with."""
    import keras

    from headstart.features.convert import choose_runtime
    from headstart.features.store import Store
    from headstart.models.backbones import find_backbone
    from headstart.models.cut import fingerprint

    backbone = find_backbone(name)
    side = backbone.size
    pixels = keras.Input((side, side, 3))
    keras.utils.set_random_seed(0)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.build()(backbone.preprocess(pixels)))
    model = keras.Model(pixels, pooled)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        frozen = choose_runtime(model, fingerprint(model), Store(Path(folder)), lambda: noise(8, side), "f32")
        if frozen.converted is None:
            raise SystemExit(f"OpenVINO does not run {name} here, so there is nothing to compare with.")
        way, raw = fastest(frozen.converted, side)
        contest = Contest(raw, frozen.load(), model if arguments.plain else None, side, pool)
        rounds = []
        for turn, paths in enumerate(slices(arguments.data, arguments.slice, arguments.slices)):
            seconds = contest.seconds(paths, turn)
            rounds.append({"pictures": float(len(paths)), **seconds})
            told = ", ".join(f"{key} {value:.2f} s" for key, value in seconds.items())
            print(f"{name}, slice {turn}{'' if turn else ' (not counted)'}: {told}", file=sys.stderr, flush=True)
    return way, rounds[1:]


def row(name: str, way: str, rounds: list[dict[str, float]], report: Report) -> list[str]:
    """One line of the table."""

    def each(key: str) -> list[float]:
        return [seconds[key] for seconds in rounds]

    ideal = [runtime + decoding for runtime, decoding in zip(each("runtime"), each("decoding"), strict=True)]
    share = report.compare(f"extraction, {name}: speed of headstart", "its two raw halves", ideal, each("headstart"))
    speeds = {
        key: statistics.median(count / taken for count, taken in zip(each("pictures"), values, strict=True))
        for key, values in {**{key: each(key) for key in rounds[0]}, "ideal": ideal}.items()
    }
    cells = [f"{speeds[key]:,.0f}" for key in ("runtime", "decoding", "ideal", "headstart")]
    together = sum(ideal) / sum(each("headstart"))
    report.measured[name]["share of the ideal, all slices together"] = together
    cells += [figure(share.median), share.spread, figure(together)]
    if "Keras" in rounds[0]:
        reference = "Keras' predict and loader"
        times = report.compare(f"extraction, {name}: speed of headstart", reference, each("Keras"), each("headstart"))
        cells += [f"{speeds['Keras']:,.0f}", figure(times.median), times.spread]
    return [name, way, *cells, str(len(rounds))]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("--backbones", default="mobilenet_v2,inception_v3")
    options.add_argument("--slice", type=int, default=128, help="Pictures in each.")
    options.add_argument("--slices", type=int, default=0, help="How many are measured; 0 for all there are.")
    options.add_argument("--plain", action="store_true", help="Also Keras' predict with its own loader.")
    arguments = options.parse_args()
    from headstart.loading import load_keras

    if arguments.plain:  # TensorFlow as it is by itself, before headstart chooses anything for it
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        importlib.import_module("keras")
    load_keras("a benchmark", trains=arguments.plain)
    cv2.setNumThreads(1)
    report, rows = Report("extraction"), []
    for name in arguments.backbones.split(","):
        way, rounds = measure(name, arguments)
        report.measured[name] = {"way": way, "rounds": rounds}
        rows.append(row(name, way, rounds, report))
    columns = ["pictures a second", "OpenVINO's way", "runtime alone", "decoding alone", "ideal", "headstart"]
    columns += ["of the ideal", "smallest to largest", "of all slices together"]
    columns += ["Keras' predict", "times as fast", "smallest to largest"] if arguments.plain else []
    about = (
        f"{Path(arguments.data).name}, slices of {arguments.slice} pictures, random weights; medians over the slices."
    )
    report.text += [about, table([*columns, "slices"], rows)]
    report.publish(arguments.out)


if __name__ == "__main__":
    main()
