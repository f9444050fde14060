"""Importing what is heavy: only when it is needed, quietly, and with an answer when it is not there."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader, find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from headstart.errors import HeadstartError, InputError, MissingExtraError

_EXTRAS = {"tensorflow": "train", "jax": "jax", "torch": "torch"}
"""The extra of headstart that brings each backend of Keras."""

_DRIVERS = ("/proc/driver/nvidia", "/dev/kfd", "/dev/accel0")  # of GPUs and TPUs that TensorFlow can use


def load_keras(what: str, trains: bool = True, bare: bool = False) -> None:
    """Import Keras with its backend.

    TensorFlow is the backend unless `KERAS_BACKEND` or Keras' own configuration names another one. What only builds,
    runs and saves models gets Keras on OpenVINO, which takes a third of the time and of the memory; it cannot train,
    and a process has one backend, so this is for commands and not for whoever may train later.

    Args:
        what: what needs it, for the message.
        trains: whether gradients are needed, now or later in this process.
        bare: whether TensorFlow stays out of a process that computes with another backend; Keras would import it to
            set a seed, and it talks.

    Raises:
        MissingExtraError: if it is not installed.
        InputError: if the chosen backend is not installed.
    """
    if sys.modules.get("keras") is not None:
        return
    spare = not trains and _may_choose_backend()
    if spare:
        load_openvino()
        os.environ["KERAS_BACKEND"] = "openvino"
    if spare or (bare and _backend() not in ("", "tensorflow")):
        sys.meta_path.insert(0, _NoTensorFlow())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if platform.machine() in ("x86_64", "AMD64"):
        # TensorFlow has oneDNN's convolutions off where there is no AVX-512; they are faster there, too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with without_stderr(), _sparing_imports(spare):
            import keras  # noqa: F401
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "keras":
            raise MissingExtraError(what, _EXTRAS.get(_backend(), "train")) from error
        if missing == "tensorflow":
            raise _without_tensorflow(what) from error
        raise _unusable(str(error)) from error
    except ValueError as error:
        raise _unusable(str(error)) from error


def share_accelerators() -> None:
    """Have Keras' backend, once it is loaded, take memory of a GPU as it needs it, and leave the rest to others.

    TensorFlow takes all of it otherwise, and JAX three quarters: nothing to speak of would be left to a worker beside
    the process that asked for it. Whoever has chosen is left alone.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


class _NoTensorFlow(MetaPathFinder):
    """Keeps Keras from importing TensorFlow only to see whether something is a tensor of it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """See `importlib.abc.MetaPathFinder`."""
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"no {name} in a process that computes with another backend", name=name)


class _OnlyWhatIsUsed(MetaPathFinder):
    """While Keras is imported: what it offers to work with is not there, and scipy.signal comes when it is used.

    Args:
        spare: whether that is all that it offers; else JAX alone, which it imports to mend it, whoever computes.
    """

    _OFFERS = ("pandas", "requests", "sklearn")

    def __init__(self, spare: bool):
        self._spare = spare
        self._absent = (*self._OFFERS * spare, *("jax",) * (_configured_backend() != "jax"))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name in self._absent:
            raise ModuleNotFoundError(f"{name} is not imported for Keras' sake", name=name)
        if name != "scipy.signal" or not self._spare:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _sparing_imports(spare: bool) -> Iterator[None]:
    """Spare a process that only runs models 1.5 of 2.5 seconds of importing Keras, and any other one JAX beside it."""
    finder = _OnlyWhatIsUsed(spare)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _may_choose_backend() -> bool:
    """Whether nobody has chosen a backend, and TensorFlow, which stands for that, would find no accelerator."""
    if "KERAS_BACKEND" in os.environ or "tensorflow" in sys.modules or not has_openvino():
        return False
    if _configured_backend() != "tensorflow":
        return False
    return platform.system() != "Darwin" and not any(Path(driver).exists() for driver in _DRIVERS)


def _configured_backend() -> str:
    """What Keras is going to compute with, as its own configuration says it where the environment does not."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    configured = "tensorflow"
    with suppress(OSError, ValueError, AttributeError):
        configured = str(json.loads((home / "keras.json").read_text()).get("backend", configured))
    return _backend() or configured


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND", "")


def _without_tensorflow(what: str) -> HeadstartError:
    """What to say where Keras looks for TensorFlow in vain: another backend may be there."""
    there = [backend for backend in ("jax", "torch") if is_installed(backend)]
    if not there:
        return MissingExtraError(what, "train")
    return InputError(
        f"Keras computes with TensorFlow, which is not installed, unless KERAS_BACKEND names another backend; "
        f"{there[0]} is installed. Set KERAS_BACKEND={there[0]}, or: pip install 'headstart[train]'"
    )


def _unusable(reason: str) -> InputError:
    backend = _backend()
    if backend in _EXTRAS:
        hint = f"Install it with: pip install 'headstart[{_EXTRAS[backend]}]', or unset KERAS_BACKEND for TensorFlow."
    else:
        hint = f"KERAS_BACKEND may be {', '.join(_EXTRAS)}; unset it for TensorFlow."
    return InputError(f"Keras cannot be loaded with KERAS_BACKEND={backend}: {reason.rstrip('.')}. {hint}")


def has_openvino() -> bool:
    """Whether OpenVINO is installed; there are machines that it is not made for."""
    return is_installed("openvino")


def is_installed(module: str) -> bool:
    """Whether a module is there to be imported; it is not imported for that."""
    return sys.modules.get(module) is not None or (module not in sys.modules and find_spec(module) is not None)


def require_audit(what: str) -> None:
    """Make sure that what an audit needs is installed, without importing it.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: if it is not.
    """
    if any(find_spec(name) is None for name in ("imagehash", "cleanlab", "sklearn", "scipy")):
        raise MissingExtraError(what, "audit")


def require_serve(what: str) -> None:
    """Make sure that what a server needs is installed, without importing it.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: if it is not.
    """
    needed = ("starlette", "uvicorn", "httptools", "msgspec", "python_multipart", "prometheus_client")
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError(what, "serve")


def load_tensorboard(what: str) -> None:
    """Import TensorBoard without the TensorFlow that it would import to open files, in a quarter of the time.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: if it is not installed.
    """
    if not (is_installed("tensorboard") and is_installed("tensorboardX")):
        raise MissingExtraError(what, "tensorboard")
    finder = _NoTensorFlow()
    sys.meta_path.insert(0, finder)
    try:
        from tensorboard.compat import tf

        tf.__version__  # noqa: B018 what it takes for TensorFlow is decided when that is first used
    finally:
        sys.meta_path.remove(finder)


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, and without its converter until somebody asks for that.

    Unless told otherwise, OpenVINO reports every conversion of a model to its makers, and leaves files in the user's
    home for that. Where its telemetry cannot be imported, it does neither. The converter takes two thirds of the time
    that importing OpenVINO takes.

    Raises:
        HeadstartError: if it is not installed.
    """
    if not has_openvino():
        raise HeadstartError("OpenVINO is not installed. Install it with: pip install openvino")
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        _import_openvino()
    import openvino

    module: ModuleType = openvino
    return module


def _import_openvino() -> None:
    finder = _NoConverter()
    sys.meta_path.insert(0, finder)
    try:
        import openvino
    finally:
        sys.meta_path.remove(finder)
    openvino.__getattr__ = _converter


class _NoConverter(MetaPathFinder):
    """Lets OpenVINO do without its converter, as it does where that is not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """See `importlib.abc.MetaPathFinder`."""
        if name == "openvino.tools.ovc":
            raise ModuleNotFoundError(f"no {name} before it is asked for", name=name)


def _converter(name: str) -> Any:
    """What OpenVINO's module gives for what it lacks."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    import openvino
    from openvino.tools.ovc import convert_model

    openvino.convert_model = convert_model
    return convert_model


@contextmanager
def without_stderr() -> Iterator[None]:
    """Keep quiet what writes to the terminal past Python while the block runs.

    TensorFlow's C++ prints remarks on the processor while it is imported, before any log level applies, and Ray's C++
    on its log level.
    """
    with _silenced(sys.stderr, 2):
        yield


@contextmanager
def without_stdout() -> Iterator[None]:
    """The same for the standard output: Gloo greets there when processes first meet, and `--json` prints one object."""
    with _silenced(sys.stdout, 1):
        yield


@contextmanager
def _silenced(stream: TextIO | None, number: int) -> Iterator[None]:
    if stream is None:  # somebody has closed it
        yield
        return
    stream.flush()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)
