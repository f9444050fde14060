"""Backends that are not installed, in new processes: what to install is said."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from headstart.errors import InputError, MissingExtraError

LOAD = (
    "import sys\n"
    "for name in sys.argv[1].split(): sys.modules[name] = None\n"
    "from headstart.errors import HeadstartError\n"
    "from headstart.loading import load_keras\n"
    "try: load_keras('training')\n"
    "except HeadstartError as error: print(type(error).__name__, error)\n"
)


def refused(missing: str, **environment: str) -> str:
    """What is said where some modules are missing."""
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, missing], capture_output=True, text=True, check=True, env=variables | environment
    )
    return done.stdout.strip()


def test_without_keras_the_extra_of_the_chosen_backend_is_named():
    for backend, extra in (("", "train"), ("tensorflow", "train"), ("jax", "jax"), ("torch", "torch")):
        environment = {"KERAS_BACKEND": backend} if backend else {}
        assert refused("keras", **environment) == f"MissingExtraError {MissingExtraError('training', extra)}"


def test_without_tensorflow_another_backend_that_is_there_is_named(tmp_path):
    assert refused("tensorflow jax torch") == f"MissingExtraError {MissingExtraError('training', 'train')}"
    (tmp_path / "torch.py").touch()
    assert refused("tensorflow jax", PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}") == (
        f"{InputError.__name__} Keras computes with TensorFlow, which is not installed, unless KERAS_BACKEND names "
        "another backend; torch is installed. Set KERAS_BACKEND=torch, or: pip install 'headstart[train]'"
    )


def test_a_chosen_backend_that_is_missing_is_named_with_what_to_install():
    said = refused("jax", KERAS_BACKEND="jax")
    assert said.startswith("InputError Keras cannot be loaded with KERAS_BACKEND=jax: ")
    assert said.endswith(". Install it with: pip install 'headstart[jax]', or unset KERAS_BACKEND for TensorFlow.")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_training_with_jax_ends_in_a_run(pictures, tmp_path):
    command = [sys.executable, "-c", "from headstart.cli.main import cli; cli()", "train", pictures(red=12, green=12)]
    command += ["--out", tmp_path / "run", "--backbone", "nano", "--image-size", "32", "--json"]
    command += ["--strategy", "finetune", "--epochs", "1", "--augment", "none"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] > 0
