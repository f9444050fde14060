"""How near the exports of a RUN are to it, how large and how fast: each format of several backbones.

    python benchmarks/exports.py DATA nano mobilenet_v2 inception_v3@128 --weights none

Trains a head on a few pictures of DATA with each backbone (`NAME` or `NAME@PIXELS`), exports it in every format, in f32
and f16 unless told otherwise, and prints a table. A format that is refused is told, with why. For the accuracy of int8
take all pictures.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES = {
    "f32": ["keras", "saved_model", "onnx", "openvino", "litert"],
    "f16": ["onnx", "openvino", "litert"],
    "int8": ["openvino", "litert"],
}


def _few(data: Path, folder: Path, count: int) -> Path:
    """Links to so many pictures of each class for each side."""
    for side in ("train", "val"):
        for kind in sorted((data / side).iterdir()):
            (folder / side / kind.name).mkdir(parents=True)
            pictures = sorted(kind.iterdir())
            for picture in random.Random(0).sample(pictures, min(count, len(pictures))):
                os.symlink(picture, folder / side / kind.name / picture.name)
    return folder


def main() -> None:
    """Train, export, print."""
    parser = argparse.ArgumentParser(prog="exports.py", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder with train/ and val/ folders of class folders")
    parser.add_argument("backbones", nargs="+", help="NAME or NAME@PIXELS")
    parser.add_argument("--weights", default="none", help="as of `headstart train`")
    parser.add_argument("--pictures", type=int, default=8, help="of each class and side")
    parser.add_argument("--head", default="auto", help="as of `headstart train`")
    parser.add_argument("--precision", action="append", choices=CASES, help="may be given several times")
    given = parser.parse_args()
    import headstart as hs

    print("| backbone | format | precision | MB | largest difference | accuracy | pictures/s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        data = _few(given.data.resolve(), Path(temporary) / "data", given.pictures)
        for number, wanted in enumerate(given.backbones):
            name, _, pixels = wanted.partition("@")
            choices = {"weights": "imagenet" if name == "nano" else given.weights, "head": given.head}
            size = int(pixels) if pixels else None
            out = Path(temporary) / f"run{number}"
            run = hs.train(data, backbone=name, image_size=size, strategy="head", out=out, progress=False, **choices)
            for precision, formats in [
                (precision, CASES[precision]) for precision in given.precision or ("f32", "f16")
            ]:
                started = time.perf_counter()
                for row in _exported(hs, run, formats, precision):
                    print(f"| {wanted} | {row}", flush=True)
                print(f"{wanted} in {precision}: {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _exported(hs: Any, run: Any, formats: list[str], precision: str) -> list[str]:
    """Rows of the table; where one format is refused, each by itself."""
    try:
        found = hs.export(run, formats, precision=precision, max_drop=100, force=True, progress=False)
    except hs.HeadstartError as error:
        if len(formats) == 1:
            return [f"{formats[0]} | {precision} | {error} |"]
        return [row for form in formats for row in _exported(hs, run, [form], precision)]
    return [_row(done) for done in found]


def _row(done: Any) -> str:
    accuracy = "" if done.accuracy is None else f"{done.accuracy.before:.4f} to {done.accuracy.after:.4f}"
    compared = done.compared
    return (
        f"{done.format} | {done.precision} | {done.bytes / 1e6:.1f} | {compared.largest_difference:.1e} | {accuracy} | "
        f"{compared.pictures_per_second:,.0f} |"
    )


if __name__ == "__main__":
    main()
