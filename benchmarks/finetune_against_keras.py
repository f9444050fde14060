"""headstart's fine-tuning against plain Keras with the same layers trained: whole processes, in turn, in one run.

    python benchmarks/finetune_against_keras.py DATA [--backbone inception_v3] [--unfreeze 34] [--runs 1] [--out FILE]

Both train the last layers of the backbone and a dropout of 0.2 with one dense layer for five epochs by SGD in batches
of 16, without augmentation, BatchNorm frozen. Cold is an empty store without a converted model, warm is the same
command again. DATA holds train/ and val/. Prints a table in Markdown: medians of seconds, and of the ratios of the
rounds; nothing else should run on the machine meanwhile.
"""

import argparse

from against_keras import measure, options
from machine import headstart, script


def main() -> None:
    """Measure and print."""
    made = options(__doc__, "inception_v3", "none", runs=1)
    made.add_argument("--unfreeze", type=int, default=34)
    made.add_argument("--epochs", type=int, default=5)
    made.add_argument("--mixed-precision", default="auto", choices=["auto", "on", "off"])
    made.add_argument("--precision", default="auto", choices=["auto", "f32", "bf16"])
    arguments = made.parse_args()
    what = f"{arguments.backbone} `last:{arguments.unfreeze}`, weights {arguments.weights}"
    measure("finetune", what, _plain, _headstart, arguments.epochs, arguments).publish(arguments.out)


def _headstart(data: str, arguments: argparse.Namespace) -> list[str]:
    return headstart(
        *("train", data, "--backbone", arguments.backbone),
        *("--weights", arguments.weights, "--strategy", "finetune", "--unfreeze", f"last:{arguments.unfreeze}"),
        *("--head", "dropout:0.2", "--optimizer", "sgd", "--learning-rate", "1e-3", "--schedule", "constant"),
        *("--augment", "none", "--batch-size", "16", "--epochs", arguments.epochs, "--json"),
        *("--mixed-precision", arguments.mixed_precision, "--precision", arguments.precision, "--out"),
    )


def _plain(data: str, arguments: argparse.Namespace) -> list[str]:
    return script(
        *("plain_keras.py", data, "--backbone", arguments.backbone, "--weights", arguments.weights),
        *("--unfreeze", arguments.unfreeze, "--epochs", arguments.epochs),
    )


if __name__ == "__main__":
    main()
