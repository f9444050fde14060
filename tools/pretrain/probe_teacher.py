"""Which size the teacher should look at: a logistic regression on its pooled features, for several sizes.

    python tools/pretrain/probe_teacher.py WORK [--weights FILE] [--tap conv_pw_12_relu]

Takes 75 pictures of each of 40 classes, a third of them to test on; prints a table in Markdown.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from common import VALIDATION, boxes
from sklearn.linear_model import LogisticRegression
from teacher import build_teacher, load, look

SIZES = (96, 128, 160, 224)
_CLASSES = 40
_OF_EACH = 75


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--tap", default="conv_pw_12_relu")
    arguments = parser.parse_args()
    pictures = np.load(arguments.work / "train_pictures.npy", mmap_mode="r")
    labels = np.load(arguments.work / "train_labels.npy")
    classes = np.random.default_rng(0).permutation(labels.max() + 1)[:_CLASSES]
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:_OF_EACH] for label in classes]))
    places = boxes(VALIDATION, len(chosen), pictures.shape[1])
    tested = np.arange(len(chosen)) % 3 == 0
    print("| teacher at | accuracy | pictures a second |\n|---|---|---|")
    for side in SIZES:
        runtime = load(build_teacher(arguments.weights, arguments.tap, side))
        started = time.perf_counter()
        (maps,) = look(runtime, pictures[chosen], places, side)
        rate = len(chosen) / (time.perf_counter() - started)
        features = maps.mean((1, 2))
        features = (features - features.mean(0)) / (features.std(0) + 1e-3)
        probe = LogisticRegression(C=1e-3, max_iter=300).fit(features[~tested], labels[chosen][~tested])
        print(f"| {side} px | {probe.score(features[tested], labels[chosen][tested]):.3f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
