"""Other ways to the same end, where they are installed: fastai, timm, and scikit-learn on features of PyTorch.

    python benchmarks/peers.py DATA --python OTHER/bin/python [--backbone mobilenet_v2] [--pretrained] [--runs 2]

They are no dependencies of headstart: each runs as a process of another environment, whose interpreter is given
(pip install fastai timm scikit-learn torch torchvision). What cannot be imported there has a row that says why.

    fastai        a learner with the backbone frozen, its head trained for some epochs
    timm          the backbone frozen inside the model, one linear layer trained for some epochs by a plain loop
    scikit-learn  features of the frozen backbone, computed once, and a logistic regression

Without --pretrained nothing is downloaded, weights are random everywhere, and only the seconds mean something. All take
the pictures at 224 px without augmentation. headstart runs in turn with them, `--strategy head` with an empty store.
Prints a table in Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from machine import Spent, headstart, in_turn, spent
from report import Report, parser, table

TIMM_NAMES = {"mobilenet_v2": "mobilenetv2_100", "resnet50": "resnet50", "inception_v3": "inception_v3"}
SIDE = 224
REFERENCE = "headstart, cold"


def with_fastai(arguments: argparse.Namespace) -> float:
    """Validation accuracy of a frozen backbone with fastai's own head."""
    from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Resize, accuracy, vision_learner

    loaders = ImageDataLoaders.from_folder(
        arguments.data, valid="val", item_tfms=Resize(SIDE), bs=32, num_workers=os.cpu_count()
    )
    learner = vision_learner(
        loaders,
        TIMM_NAMES[arguments.backbone],
        pretrained=arguments.pretrained,
        metrics=accuracy,
        loss_func=CrossEntropyLossFlat(),
    )
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(arguments.epochs)
        return float(learner.validate()[1])


def with_timm(arguments: argparse.Namespace) -> float:
    """Validation accuracy of one linear layer behind a frozen network, trained as the documentation shows."""
    import timm
    import torch

    train, val = _loaders(arguments, shuffle=True)
    name = TIMM_NAMES[arguments.backbone]
    model = timm.create_model(name, pretrained=arguments.pretrained, num_classes=len(train.dataset.classes))
    model.requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.SGD(model.get_classifier().parameters(), lr=1e-2, momentum=0.9, nesterov=True)
    for _ in range(arguments.epochs):
        model.eval()  # frozen BatchNorm stays on its moving statistics
        for pixels, labels in train:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(pixels), labels).backward()
            optimizer.step()
    right = 0
    with torch.inference_mode():
        for pixels, labels in val:
            right += int((model(pixels).argmax(1) == labels).sum())
    return right / len(val.dataset)


def with_sklearn(arguments: argparse.Namespace) -> float:
    """Validation accuracy of a logistic regression on features that are computed once."""
    import numpy as np
    import timm
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = timm.create_model(TIMM_NAMES[arguments.backbone], pretrained=arguments.pretrained, num_classes=0).eval()
    sides = []
    with torch.inference_mode():
        for loader in _loaders(arguments, shuffle=False):
            pairs = [(model(pixels).numpy(), labels.numpy()) for pixels, labels in loader]
            sides.append(tuple(np.concatenate(column) for column in zip(*pairs, strict=True)))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*sides[0])
    return float(classifier.score(*sides[1]))


def _loaders(arguments: argparse.Namespace, shuffle: bool) -> list[Any]:
    """Of both sides, as timm prepares pictures for a network."""
    import timm
    import torch
    from torchvision.datasets import ImageFolder

    model = timm.create_model(TIMM_NAMES[arguments.backbone], pretrained=False)
    settings = timm.data.resolve_data_config({"input_size": (3, SIDE, SIDE), "crop_pct": 1.0}, model=model)
    prepare = timm.data.create_transform(**settings)
    return [
        torch.utils.data.DataLoader(
            ImageFolder(Path(arguments.data) / side, prepare),
            batch_size=32,
            shuffle=shuffle and side == "train",
            num_workers=os.cpu_count() or 1,
        )
        for side in ("train", "val")
    ]


PEERS = {"fastai": with_fastai, "timm": with_timm, "scikit-learn": with_sklearn}
IMPORTS = {
    "fastai": "fastai.vision.all, timm",
    "timm": "timm, torchvision",
    "scikit-learn": "sklearn, timm, torchvision",
}


def missing(python: str, name: str) -> str | None:
    """Why a peer cannot run there, in one line; None if it can."""
    try:
        done = subprocess.run([python, "-c", f"import {IMPORTS[name]}"], capture_output=True, text=True)
    except OSError as error:
        return f"{python}: {error.strerror}"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it cannot be imported"])[-1]


def one_round(arguments: argparse.Namespace, names: list[str], turn: int) -> dict[str, Spent]:
    """Headstart and those peers that are there, each in a new process."""
    pretrained = ["--pretrained"] if arguments.pretrained else []
    same = ["--backbone", arguments.backbone]
    with tempfile.TemporaryDirectory() as folder:
        weights = ("--weights", "imagenet" if arguments.pretrained else "none")
        own = headstart(
            *("train", arguments.data, "--strategy", "head", *same, *weights, "--image-size", SIDE),
            *("--out", f"{folder}/run", "--json"),
        )
        contestants = {REFERENCE: lambda: spent(own, f"{folder}/store")}
        for name in names:
            peer = [arguments.python, __file__, arguments.data, "--one", name, *same, *pretrained]
            peer += ["--epochs", str(arguments.epochs)]
            contestants[name] = lambda peer=peer: spent(peer)
        return in_turn(contestants, turn)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data", help="with train/ and val/")
    options.add_argument("--python", default=sys.executable, help="The interpreter of the environment that has them.")
    options.add_argument("--backbone", default="mobilenet_v2", choices=TIMM_NAMES)
    options.add_argument("--pretrained", action="store_true", help="With their makers' weights, downloaded by each.")
    options.add_argument("--epochs", type=int, default=5, help="Of those that train by epochs.")
    options.add_argument("--runs", type=int, default=2)
    options.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.one:
        with redirect_stdout(sys.stderr):  # whatever they say besides
            accuracy = PEERS[arguments.one](arguments)
        print(json.dumps({"accuracy": accuracy}))
        return
    reasons = {name: missing(arguments.python, name) for name in PEERS}
    there = [name for name, reason in reasons.items() if reason is None]
    rounds = [one_round(arguments, there, turn) for turn in range(arguments.runs)] if there else []
    report, rows = Report("peers"), []
    for name in [REFERENCE, *PEERS]:
        if reason := reasons.get(name):
            rows.append([name, "", "", "", f"not measured: {reason}"])
        elif rounds:
            rows.append(_row(name, rounds, arguments, report))
    weights = "pretrained weights" if arguments.pretrained else "random weights, so accuracies mean nothing"
    report.text += [
        f"{Path(arguments.data).name}, {arguments.backbone} at {SIDE} px, {weights}; medians of {len(rounds)} rounds.",
        table(["", "accuracy", "seconds", "headstart is times as fast", "smallest to largest"], rows),
    ]
    report.measured["rounds"] = [{name: done.seconds for name, done in each.items()} for each in rounds]
    report.measured["missing"] = {name: reason for name, reason in reasons.items() if reason}
    report.publish(arguments.out)


def _row(name: str, rounds: list[dict[str, Spent]], arguments: argparse.Namespace, report: Report) -> list[str]:
    seconds = {way: [each[way].seconds for each in rounds] for way in (name, REFERENCE)}
    accuracy = statistics.median(float(json.loads(each[name].output)["accuracy"]) for each in rounds)
    cells = [name, f"{accuracy:.4f}" if arguments.pretrained else "", f"{statistics.median(seconds[name]):.1f}"]
    if name == REFERENCE:
        return [*cells, "1.0", ""]
    what = f"solved head, {arguments.backbone}: speed of {REFERENCE}"
    found = report.compare(what, name, seconds[name], seconds[REFERENCE])
    return [*cells, f"{found.median:.1f}", found.spread]


if __name__ == "__main__":
    main()
