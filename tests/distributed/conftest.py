"""What tests of several processes share: how they are started, and what JAX has compiled for one of them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

# Without TensorFlow, which one process alone would import for a seed: that takes longer than all of these trainings.
_START = (
    "import sys; from headstart import loading; sys.meta_path.insert(0, loading._NoTensorFlow()); "
    "from headstart.cli.main import cli; cli()"
)
HEADSTART = [sys.executable, "-c", _START]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where JAX keeps what it has compiled, so that every process after the first is quick."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def start(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a headstart command with JAX; what it prints is in pipes."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # networks this small are quick all the same

    def begin(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*HEADSTART, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    return begin


def done(process: "subprocess.Popen[str]") -> str:
    """What a command that ends well has printed."""
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return out
