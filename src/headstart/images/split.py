"""Which pictures are kept aside for validation.

The side follows from the picture's content and the seed alone. So exact duplicates land on the same side, a
renamed picture stays where it was, and adding pictures moves (nearly) nobody across.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from headstart.images.sources import Side


def split_by_content(labels: Sequence[str], digests: Sequence[str], fraction: float, seed: int) -> list[Side]:
    """Assign each picture to `train` or `val`, class by class.

    Each content draws a number from 0 to 1 and goes to `val` when it is below `fraction`. In a small class chance
    could leave a side empty or lopsided, so the share of `val` is held between half and one and a half times
    `fraction`, and neither side is left without a picture; only there can growth move a picture.

    Args:
        labels: the class of each picture.
        digests: the digest of each picture's bytes.
        fraction: the share of validation pictures, above 0 and below 1.
        seed: another seed gives another split.

    Returns:
        The side of each picture, in the order given. A class of which there is only one content has it on `train`.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    for label, digest in zip(labels, digests, strict=True):
        by_class[label].add(digest)
    chosen = {label: _choose(contents, fraction, seed) for label, contents in by_class.items()}
    return ["val" if digest in chosen[label] else "train" for label, digest in zip(labels, digests, strict=True)]


def _choose(contents: set[str], fraction: float, seed: int) -> set[str]:
    draws = sorted((_draw(digest, seed), digest) for digest in contents)
    below = int(np.searchsorted([draw for draw, _ in draws], fraction))
    expected = fraction * len(draws)
    low = max(1, int(np.floor(expected / 2)))
    high = min(len(draws) - 1, int(np.ceil(expected * 1.5)))
    count = max(min(below, high), min(low, high))
    return {digest for _, digest in draws[:count]}


def _draw(digest: str, seed: int) -> float:
    """A number in [0, 1) that is the same for this content and seed on every machine."""
    mixed = hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest()
    return int.from_bytes(mixed, "big") / 2**64
