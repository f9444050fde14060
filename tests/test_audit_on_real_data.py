"""What an audit finds of what was planted among real pictures; `benchmarks/audit_on_flowers.py` plants it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "audit_on_flowers.py"


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["nano", "mobilenet_0.25"])
def test_what_is_planted_among_flowers_is_found(shared, imagenet_home, backbone):
    environment = {**os.environ, "KERAS_HOME": str(imagenet_home)}
    command = [sys.executable, SCRIPT, shared / "data" / "flowers", "--backbones", backbone, "--seeds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr
    untouched, planted = json.loads(done.stdout)
    assert planted["exact"]["found"] == 20
    assert planted["near"]["found"] >= 18
    assert planted["wrong"]["found"] >= 20
    # What flowers hold themselves: two photographs are on both sides, and one is there in two renderings.
    assert (untouched["exact"]["others"], untouched["near"]["others"]) == (2, 1)
    assert (planted["exact"]["others"], planted["near"]["others"]) == (2, 1)
    assert untouched["wrong"]["others"] <= 170
    assert "no more than chance" in untouched["shift"]
