"""headstart's head strategy against five epochs of plain Keras: whole processes, in turn, in one run.

    KERAS_HOME=... python benchmarks/head_against_keras.py DATA [--backbone mobilenet_0.25] [--runs 3] [--out FILE]

Cold is an empty store without a converted model, warm is the same command again. DATA holds train/ and val/. Prints a
table in Markdown: medians of seconds, and of the ratios of the rounds; nothing else should run on the machine.
"""

import argparse

from against_keras import measure, options
from machine import headstart, script


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__, "mobilenet_0.25", "imagenet", runs=3).parse_args()
    what = f"{arguments.backbone}, weights {arguments.weights}, `--strategy head`"
    measure("head", what, _plain, _headstart, 5, arguments).publish(arguments.out)


def _plain(data: str, arguments: argparse.Namespace) -> list[str]:
    return script("plain_keras.py", data, "--backbone", arguments.backbone, "--weights", arguments.weights)


def _headstart(data: str, arguments: argparse.Namespace) -> list[str]:
    network = ("--backbone", arguments.backbone, "--weights", arguments.weights)
    return headstart("train", data, *network, "--strategy", "head", "--json", "--out")


if __name__ == "__main__":
    main()
