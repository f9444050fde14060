"""Step 1: Tiny ImageNet, or any folder of class folders in its layout, as two arrays.

    python tools/pretrain/pictures.py TINY_IMAGENET --out WORK

TINY_IMAGENET holds `wnids.txt`, `train/WNID/images/*.JPEG`, `val/images/*.JPEG` and `val/val_annotations.txt`. WORK
gets `train_pictures.npy` (uint8, `(n, 64, 64, 3)`, RGB) and `train_labels.npy`, and the same for `val`. 1.4 GB.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from common import write_array

SIDE = 64


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiny", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    classes = (arguments.tiny / "wnids.txt").read_text().split()
    for part, listed in {"train": _train(arguments.tiny, classes), "val": _val(arguments.tiny, classes)}.items():
        files, labels = zip(*listed, strict=True)
        write_array(arguments.out / f"{part}_pictures.npy", _read(files))
        write_array(arguments.out / f"{part}_labels.npy", np.array(labels, np.int32))
        print(f"{part}: {len(files):,} pictures of {len(set(labels))} classes")


def _train(tiny: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    found = ((file, label) for label, name in enumerate(classes) for file in (tiny / "train" / name).rglob("*.JPEG"))
    return sorted(found)


def _val(tiny: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    lines = (tiny / "val" / "val_annotations.txt").read_text().splitlines()
    named = (line.split("\t")[:2] for line in lines)
    return [(tiny / "val" / "images" / file, classes.index(name)) for file, name in named]


def _read(files: Sequence[Path]) -> np.ndarray:
    pictures = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for number, file in enumerate(files):
        found = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        if found is None or found.shape != pictures.shape[1:]:
            raise SystemExit(f"{file} is no picture of {SIDE}x{SIDE} pixels")
        pictures[number] = found
    return pictures


if __name__ == "__main__":
    main()
