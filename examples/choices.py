"""The command line that all examples share: where the pictures are, where the run goes, and what to change."""

import argparse
from typing import Any

_TEXTS = ("weights", "backbone", "tap", "unfreeze", "labels", "head_from")
_NUMBERS = ("image_size", "epochs", "batch_size", "seed")


def choices(doc: str | None, recipe: dict[str, Any]) -> dict[str, Any]:
    """What `headstart.train` is to be called with: an example's recipe, and what the command line changes in it.

    Args:
        doc: of the example; what `--help` shows.
        recipe: choices of `headstart.Recipe`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of class folders, or of train and val folders of them")
    parser.add_argument("out", help="folder to create for the result")
    parser.add_argument("--from", dest="from_run", metavar="RUN")
    for name in _TEXTS:
        parser.add_argument(f"--{name.replace('_', '-')}")
    for name in _NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    return recipe | given
