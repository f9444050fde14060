"""What an accelerator does for headstart, on whatever backend KERAS_BACKEND names; it runs on a processor, too.

    python benchmarks/accelerator.py --data FOLDER [--parts train,features,ray,decode,frozen] [--weights FILE]

FOLDER has folders of classes in train/ and val/. The parts, each a table in Markdown:

    train      whole trainings on an empty and on a warm store, in f32 and bf16, and on the processor for comparison
    features   how far features are from those that the processor computes in f32
    ray        features from a worker of a Ray cluster that has the accelerator, against those of this process
    decode     pictures decoded per second, as extraction does it
    frozen     pictures per second through frozen parts with random weights, from pixels in memory to features in memory

Every number is of one run; nothing else should use the machine meanwhile.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = "nano:32/256/1024,mobilenet_v2:32/256/1024,inception_v3:32/256,efficientnet_v2_b0:32/256,convnext_tiny:256"
PRECISIONS = ("f32", "bf16")
ON_PROCESSOR = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
PARITY_PICTURES = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train/ and val/")
    parser.add_argument("--decode", help="folder of pictures to decode; --data by default")
    parser.add_argument("--parts", default="train,features,ray,decode,frozen")
    parser.add_argument("--networks", default=NETWORKS, help="name:batch/batch,...")
    parser.add_argument("--backbone", default="nano", help="for train and features")
    parser.add_argument("--weights", default="imagenet", help="of that backbone")
    parser.add_argument("--strategies", default="head,finetune")
    parser.add_argument("--epochs", default="5")
    parser.add_argument("--on", default="device,processor", help="for train")
    parser.add_argument("--stores", default="empty,warm", help="for train")
    parser.add_argument("--seconds", type=float, default=2.0, help="per number of frozen and decode")
    parser.add_argument("--features-into", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="f32", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.features_into:
        np.save(options.features_into, features(options))
        return
    # Children first: once this process has the accelerator, it has the memory, too.
    parts = {"train": trainings, "features": parity, "ray": on_ray, "decode": decoding, "frozen": frozen_parts}
    for name in [part for part in parts if part in options.parts.split(",")]:
        print(f"\n## {name}\n", flush=True)
        parts[name](options)
    print(f"\n{where()}")


def where() -> str:
    """Backend, its device, processor cores and date."""
    import keras

    backend = keras.config.backend()
    if backend == "jax":
        import jax

        device = jax.devices()[0].device_kind
    elif backend == "torch":
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    else:
        device = keras.distribution.list_devices()[0]
    return f"{backend} on {device}, {os.cpu_count()} cores, {datetime.now(UTC).date()}"


def trainings(options: argparse.Namespace) -> None:
    """Whole trainings, each in a new process."""
    print("| strategy | precision | on | store | seconds | in all | accuracy | accuracy in bf16 |")
    print("|---|---|---|---|---|---|---|---|")
    for strategy in options.strategies.split(","):
        for place, precision in (("device", "f32"), ("device", "bf16"), ("processor", "f32")):
            if place not in options.on.split(","):
                continue
            with tempfile.TemporaryDirectory() as folder:
                for store in options.stores.split(","):
                    environment = ON_PROCESSOR if place == "processor" else {}
                    found = train(options, strategy, precision, Path(folder), environment)
                    cells = [strategy, precision, place, store, *found]
                    print(f"| {' | '.join(cells)} |", flush=True)


def train(
    options: argparse.Namespace, strategy: str, precision: str, folder: Path, environment: dict[str, str]
) -> list[str]:
    """Train once; the seconds that headstart counts and those of the whole process, and the accuracies."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    command = [sys.executable, "-c", "from headstart.cli.main import cli; cli()", "train", options.data, "--json"]
    command += ["--out", str(out), "--backbone", options.backbone, "--weights", options.weights]
    command += ["--strategy", strategy, "--precision", precision, "--epochs", options.epochs]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | environment | {"HEADSTART_STORE": str(folder / "store")},
    )
    whole = time.perf_counter() - started
    if done.returncode:
        return [done.stderr.strip().splitlines()[-1][:200], "", "", ""]
    metrics: dict[str, Any] = json.loads(done.stdout)
    in_bf16 = metrics.get("accuracy_bf16")
    return [
        f"{metrics['seconds']:.1f}",
        f"{whole:.1f}",
        f"{metrics['accuracy']:.4f}",
        "" if in_bf16 is None else f"{in_bf16:.4f}",
    ]


def parity(options: argparse.Namespace) -> None:
    """Features of the same pictures here and on the processor, each in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        exact = _features_of(options, "f32", Path(folder) / "exact.npy", ON_PROCESSOR)
        print(
            "| precision | norm of the difference over norm | largest difference over largest feature |\n|---|---|---|"
        )
        for precision in PRECISIONS:
            found = _features_of(options, precision, Path(folder) / f"{precision}.npy", {})
            error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
            largest = float(np.abs(found - exact).max() / np.abs(exact).max())
            print(f"| {precision} | {error:.2g} | {largest:.2g} |", flush=True)


def _features_of(options: argparse.Namespace, precision: str, file: Path, environment: dict[str, str]) -> np.ndarray:
    command = [sys.executable, __file__, "--features-into", str(file), "--precision", precision]
    command += ["--data", options.data, "--backbone", options.backbone, "--weights", options.weights]
    subprocess.run(command, check=True, env=os.environ | environment)
    found: np.ndarray = np.load(file)
    return found


def on_ray(options: argparse.Namespace) -> None:
    """The same features twice, each time by a new process with an empty store."""
    print("| precision | this process, s | worker, s | features | that differ | largest difference |")
    print("|---|---|---|---|---|---|")
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            found = [_exported(options, precision, engine, Path(folder)) for engine in ("local", "ray")]
        (mine, seconds), (others, seconds_there) = found
        differing, largest = np.count_nonzero(mine != others), np.abs(mine - others).max()
        cells = [
            precision,
            f"{seconds:.1f}",
            f"{seconds_there:.1f}",
            f"{mine.size:,}",
            f"{differing:,}",
            f"{largest:.2g}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def _exported(options: argparse.Namespace, precision: str, engine: str, folder: Path) -> tuple[np.ndarray, float]:
    """Features `(pictures, width)` and the seconds of the whole command."""
    file = folder / f"{engine}.npz"
    command = [sys.executable, "-c", "from headstart.cli.main import cli; cli()", "export-features", options.data]
    command += ["--out", str(file), "--backbone", options.backbone, "--weights", options.weights]
    command += ["--precision", precision, "--engine", engine]
    with _timed() as taken:
        subprocess.run(command, check=True, env=os.environ | {"HEADSTART_STORE": str(folder / f"store-{engine}")})
    with np.load(file) as found:
        return np.concatenate([found[name] for name in sorted(found.files) if "features" in name]), taken[0]


def features(options: argparse.Namespace) -> np.ndarray:
    """Pooled features of a few pictures, float32 `(pictures, width)`."""
    from headstart.features.runtime import KerasRuntime
    from headstart.images.decode import DecodeRecipe
    from headstart.models.backbones import find_backbone

    side = find_backbone(options.backbone).size
    pixels = _pixels(_files(options.data)[:: len(_files(options.data)) // PARITY_PICTURES], DecodeRecipe(side, side))
    model = pooled(options.backbone, options.weights, options.precision)
    return KerasRuntime(model, PARITY_PICTURES)(pixels)[0]


def pooled(name: str, weights: str, precision: str) -> Any:
    """A frozen part as strategy head cuts it: preprocessing, network, pooling."""
    import keras

    from headstart.features.accelerator import in_bfloat16
    from headstart.models.assemble import assemble, build_network
    from headstart.models.backbones import find_backbone
    from headstart.models.cut import split
    from headstart.models.freeze import Freezer
    from headstart.specs import HeadSpec

    keras.utils.set_random_seed(0)
    backbone = find_backbone(name)
    network = build_network(backbone, weights, backbone.size)
    Freezer(network.model).apply(len(network.model.layers), "frozen")
    frozen = split(assemble([network], backbone.size, HeadSpec("linear"), 2)).frozen
    return in_bfloat16(frozen) if precision == "bf16" else frozen


def decoding(options: argparse.Namespace) -> None:
    """As extraction does it, and alone: on threads, on processes, from files in the computer's memory."""
    from headstart.features.extract import load_pictures
    from headstart.images.decode import DecodeRecipe

    files = _files(options.decode or options.data)[:1000]
    contents = [Path(file).read_bytes() for file in files]
    size = sum(map(len, contents)) / len(files) / 1000
    print(f"{len(files)} files of {size:.0f} kB on average\n\n| size | how | pictures per second |\n|---|---|---|")
    for side in (112, 224, 299):
        speed = _rate(options.seconds, len(files), lambda side=side: load_pictures(files, DecodeRecipe(side, side)))
        print(f"| {side} | extraction | {speed:,.0f} |", flush=True)
    for pool, workers in itertools.product((ThreadPoolExecutor, ProcessPoolExecutor), (1, 4, os.cpu_count())):
        with pool(workers) as running:
            list(running.map(_decode, contents))
            speed = _rate(options.seconds, len(files), lambda on=running: on.map(_decode, contents, chunksize=20))
        kind = "threads" if pool is ThreadPoolExecutor else "processes"
        print(f"| 224 | {workers} {kind} | {speed:,.0f} |", flush=True)


def _rate(seconds: float, count: int, run: Callable[[], Iterable[Any]]) -> float:
    turns, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        turns += 1
        for _ in run():
            pass
    return turns * count / (time.perf_counter() - started)


def _decode(content: bytes) -> int:
    """The pixels stay where they are: what it costs to hand them over is another matter."""
    from headstart.images.decode import DecodeRecipe, decode

    return decode(content, DecodeRecipe(224, 224)).nbytes


def frozen_parts(options: argparse.Namespace) -> None:
    """Pixels in the computer's memory to features in the computer's memory, with what that takes on the way."""
    print("| network | size | batch | f32 | bf16 | times as fast | compiling |\n|---|---|---|---|---|---|---|")
    for name, batches in (entry.split(":") for entry in options.networks.split(",")):
        models = {precision: pooled(name, "none", precision) for precision in PRECISIONS}
        side = models["f32"].inputs[0].shape[1]
        for batch in map(int, batches.split("/")):
            found = [speed(models[precision], side, batch, options.seconds) for precision in PRECISIONS]
            (f32, first), (bf16, second) = found
            cells = [name, str(side), str(batch), f"{f32:,.0f}", f"{bf16:,.0f}", f"{bf16 / f32:.1f}"]
            print(f"| {' | '.join([*cells, f'{first:.0f} s, {second:.0f} s'])} |", flush=True)


def speed(model: Any, side: int, batch: int, seconds: float) -> tuple[float, float]:
    """Pictures per second once it is compiled, and the seconds that the first batch took."""
    from headstart.features.runtime import KerasRuntime

    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (batch, side, side, 3), np.uint8) for _ in range(3)]
    runtime = KerasRuntime(model, batch)
    with _timed() as first:
        runtime(pixels[0])
    runtime(pixels[1])
    runs, started = 0, time.perf_counter()
    while runs < 3 or time.perf_counter() - started < seconds:
        runtime(pixels[runs % len(pixels)])
        runs += 1
    return runs * batch / (time.perf_counter() - started), first[0]


@contextmanager
def _timed() -> Iterator[list[float]]:
    taken = [0.0]
    started = time.perf_counter()
    yield taken
    taken[0] = time.perf_counter() - started


def _files(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())


def _pixels(files: list[str], recipe: Any) -> np.ndarray:
    from headstart.features.extract import load_pictures

    return np.stack([content for _, content in load_pictures(files, recipe) if isinstance(content, np.ndarray)])


if __name__ == "__main__":
    main()
