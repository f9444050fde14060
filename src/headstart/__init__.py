"""Transfer learning for image classification on Keras 3.

    import headstart as hs

    run = hs.train("photos/", backbone="mobilenet_v2", out="run")
    run.predict("new.jpg")                  # also in a new process, without Keras: hs.load("run").predict("new.jpg")
    run.model                               # a plain keras.Model
    parts = hs.split(model)                 # parts.frozen, parts.trainable; hs.join(parts) puts them together

Importing headstart imports nothing else before it is used. `train`, `split`, `join` and `backbones` need
`headstart[train]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.answers import Evaluation, Prediction
    from headstart.api import (
        audit,
        compare,
        cross_validate,
        evaluate,
        explain,
        export,
        export_features,
        load,
        report,
        resume,
        train,
    )
    from headstart.auditing.findings import Audit
    from headstart.bundle import Run
    from headstart.cluster.engine import RayEngine
    from headstart.comparing.comparison import Comparison
    from headstart.errors import HeadstartError, InputError
    from headstart.models.backbones import backbones
    from headstart.models.cut import Parts, join, split
    from headstart.recipe import Recipe

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "Comparison",
    "Evaluation",
    "HeadstartError",
    "InputError",
    "Parts",
    "Prediction",
    "RayEngine",
    "Recipe",
    "Run",
    "audit",
    "backbones",
    "compare",
    "cross_validate",
    "evaluate",
    "explain",
    "export",
    "export_features",
    "join",
    "load",
    "report",
    "resume",
    "split",
    "train",
]

_AT_HOME = {
    "Audit": "auditing.findings",
    "Comparison": "comparing.comparison",
    "Evaluation": "answers",
    "HeadstartError": "errors",
    "InputError": "errors",
    "Prediction": "answers",
    "RayEngine": "cluster.engine",
    "Recipe": "recipe",
    "Run": "bundle",
}
_NEED_KERAS = {"Parts": "models.cut", "backbones": "models.backbones", "join": "models.cut", "split": "models.cut"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    if name in _NEED_KERAS:
        from headstart.loading import load_keras

        load_keras(f"headstart.{name}")
    home = _NEED_KERAS.get(name) or _AT_HOME.get(name, "api")
    found = globals()[name] = getattr(import_module(f"headstart.{home}"), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
