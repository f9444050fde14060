"""Verdicts and rows made up on the spot."""

import numpy as np

from headstart.comparing.comparison import Behind, Comparison, Row
from headstart.comparing.judging import Verdict
from headstart.evaluation.evaluate import share_interval


def verdict(hits: np.ndarray | list[bool], loss: float = 0.5) -> Verdict:
    """A verdict that says which pictures were right."""
    hits = np.asarray(hits, bool)
    low, high = share_interval(int(hits.sum()), len(hits))
    return Verdict(hits, float(hits.mean()), low, high, loss, len(hits))


def right(share: float, count: int = 500, seed: int = 0) -> Verdict:
    """A verdict with exactly this share of the pictures right, which ones is drawn."""
    order = np.random.default_rng(seed).permutation(count)
    return verdict(order < round(share * count))


def row(name: str, accuracy: float = 0.9, speed: float = 100.0, **others: object) -> Row:
    """A row of a leaderboard."""
    values: dict[str, object] = {
        "name": name,
        "backbones": tuple(name.split(" + ")),
        "weights": "imagenet",
        "image_size": 224,
        "accuracy": accuracy,
        "low": accuracy - 0.02,
        "high": min(1.0, accuracy + 0.02),
        "loss": 1 - accuracy,
        "pictures": 1000,
        "in_the_end": True,
        "behind": None,
        "pictures_per_second": speed,
        "parameters": 1_000_000,
        "bytes": 4_000_000,
        "extracted": 1000,
        "command": f"headstart train data --backbone {name} --strategy head --out RUN",
    }
    return Row(**{**values, **others})


def comparison(*rows: Row, recommended: str | None = None, **others: object) -> Comparison:
    """A comparison with these rows, the best first."""
    values: dict[str, object] = {
        "data": "photos",
        "pictures": 1000,
        "classes": 3,
        "rounds": (500, 1000),
        "rows": rows,
        "left_out": {},
        "not_cached": (),
        "quarantined": 0,
        "extracted": 2000,
        "reused": 0,
        "recommended": recommended or rows[0].name,
        "sentence": f"{rows[0].name}: take it.",
        "seconds": 1.5,
    }
    return Comparison(**{**values, **others})


def behind(name: str = "best", accuracy: float = -0.01) -> Behind:
    """So far behind that it may be chance."""
    return Behind(name, accuracy, accuracy - 0.02, accuracy + 0.02)
