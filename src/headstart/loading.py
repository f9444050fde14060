"""Importing what is heavy: only when it is needed, quietly, and with an answer when it is not there."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from headstart.errors import InputError, MissingExtraError

_BACKEND_HINT = "Install that backend, or unset KERAS_BACKEND for TensorFlow."


def load_keras(what: str) -> None:
    """Import Keras with its backend.

    TensorFlow is the backend unless `KERAS_BACKEND` or Keras' own configuration names another one.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: if it is not installed.
        InputError: if the chosen backend is not installed.
    """
    if sys.modules.get("keras") is not None:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if platform.machine() in ("x86_64", "AMD64"):
        # TensorFlow has oneDNN's convolutions off where there is no AVX-512; they are faster there, too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with _without_stderr():
            import keras  # noqa: F401
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("keras", "tensorflow"):
            raise MissingExtraError(what, "train") from error
        raise InputError(f"Keras cannot be loaded with {_backend()}: {error}. {_BACKEND_HINT}") from error
    except ValueError as error:
        raise InputError(f"Keras cannot be loaded with {_backend()}: {error} {_BACKEND_HINT}") from error


def _backend() -> str:
    return f"KERAS_BACKEND={os.environ.get('KERAS_BACKEND', '')}"


def require_audit(what: str) -> None:
    """Make sure that what an audit needs is installed, without importing it.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: if it is not.
    """
    if any(find_spec(name) is None for name in ("imagehash", "cleanlab", "jinja2", "sklearn", "scipy")):
        raise MissingExtraError(what, "audit")


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    Unless told otherwise, OpenVINO reports every conversion of a model to its makers, and leaves files in the user's
    home for that. Where its telemetry cannot be imported, it does neither.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    module: ModuleType = openvino
    return module


@contextmanager
def _without_stderr() -> Iterator[None]:
    """TensorFlow's C++ prints remarks on the processor while it is imported, before any log level applies."""
    if sys.stderr is None:  # somebody has closed it
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
