"""Heat maps on composites of a cat and a dog: whether they lie where the class is."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "heatmaps.py"


@pytest.fixture(scope="module")
def heatmaps():
    spec = importlib.util.spec_from_file_location("heatmaps", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_share_on_its_half_is_counted_for_either_side(heatmaps):
    left = np.zeros((3, 4, 4), np.float32)
    left[:2, :, 0] = 1
    found = heatmaps.shares(left, np.array([True, False, True]))
    np.testing.assert_allclose(found, [1, 0, 0], atol=0.02)


@pytest.mark.slow
def test_most_of_the_heat_lies_on_the_half_of_its_class(heatmaps, shared, real_head):
    run = real_head("cats_dogs")
    found = heatmaps.measured(str(run), str(shared / "data" / "cats_dogs"), 100, ["grad-cam", "occlusion"])
    assert found["pairs"] == 100
    for method in ("grad-cam", "occlusion"):
        assert len(found[method]["shares"]) == 200
        assert np.median(found[method]["shares"]) >= 0.7
