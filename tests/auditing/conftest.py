"""Data with something wrong in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.auditing.findings import Audit
from tests.conftest import write_picture


def patchwork(seed: int, size: tuple[int, int] = (60, 60)) -> np.ndarray:
    """A picture of random patches, uint8 RGB, unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((size[0] // 6, size[1] // 6, 1), np.uint8)))


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """Folders train and val with classes cat and dog, of which no two pictures are alike: 12 and 6 of each."""
    for first, (side, count) in enumerate((("train", 12), ("val", 6))):
        for second, label in enumerate(("cat", "dog")):
            for number in range(count):
                path = tmp_path / "data" / side / label / f"{number:02d}.png"
                write_picture(path, patchwork(1000 * first + 100 * second + number))
    return tmp_path / "data"


@pytest.fixture
def plain_audit() -> Callable[..., Audit]:
    """An audit without features."""

    def make(data: Path, **choices: object) -> Audit:
        return headstart.audit(data, features=False, progress=False, **choices)

    return make


def copy(source: Path, *places: Path) -> None:
    """Copy a file to other places."""
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
