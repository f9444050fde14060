"""Pictures that are worked on while Keras is still being imported and the network built.

Where the store remembers how the frozen part of the same recipe is run, features are computed and kept at once; where
it does not, the first pictures are decoded, as many as memory should be asked for. Either way nothing depends on it:
what was guessed wrongly is done anew.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from typing import Any

from headstart.errors import HeadstartError
from headstart.features.extract import Extraction, Loaded, extract, load_one
from headstart.features.keys import space_digest
from headstart.features.runtime import OPENVINO, OpenVINORuntime, Precision
from headstart.features.store import Store, write_atomically
from headstart.features.tuning import load_tuned
from headstart.images.decode import DecodeRecipe
from headstart.loading import has_openvino
from headstart.recipe import Recipe

_MOST_DECODED_BYTES = 128 << 20
_OF_THE_FROZEN_PART = (
    *("backbone", "weights", "tap", "include_top", "strategy", "unfreeze", "batchnorm", "head", "image_size", "fit"),
    *("precision", "output"),
)


def key_of(recipe: Recipe) -> str | None:
    """What the frozen part of a recipe is remembered by; None where it depends on more than the recipe says."""
    if recipe.strategy == "scratch" or recipe.batchnorm == "adapt" or recipe.standardise or recipe.extend_imagenet:
        return None
    if recipe.from_run is not None or recipe.head_from is not None or not has_openvino():
        return None
    chosen = {name: getattr(recipe, name) for name in _OF_THE_FROZEN_PART}
    home = os.environ.get("KERAS_HOME", "")
    return space_digest({**chosen, "home": home, "versions": [version("keras"), version("openvino")]})


@dataclass(frozen=True)
class Known:
    """How the frozen part of a recipe was run before.

    Attributes:
        identity: of the space of its features, see `Store.space`.
        about: what a person should be told of them.
        model: OpenVINO's form of it, relative to the store.
        precision: of the arithmetic.
    """

    identity: Mapping[str, Any]
    about: Mapping[str, Any]
    model: str
    precision: Precision

    @classmethod
    def of(cls, store: Store, key: str) -> "Known | None":
        """What the store remembers under a key; None if that is nothing, or nothing that can be used any more."""
        try:
            known = cls(**json.loads(_file(store, key).read_text()))
            usable = (store.root / known.model).is_file() and known.identity["name"] == OPENVINO
            return known if usable and known.precision in ("f32", "bf16") else None
        except (OSError, TypeError, KeyError, ValueError):
            return None

    def remember(self, store: Store, key: str) -> None:
        """Write it down; losing it costs time only, so nobody is told of a failure."""
        with suppress(OSError):
            _file(store, key).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(_file(store, key), json.dumps(asdict(self)).encode())

    @staticmethod
    def is_there(store: Store, key: str) -> bool:
        """Whether anything is remembered under a key."""
        return _file(store, key).exists()


def _file(store: Store, key: str) -> Path:
    return store.root / "known" / f"{key}.json"


class Ahead:
    """Works on pictures in the background until somebody asks for them.

    Args:
        paths: the pictures.
        decode: how they will be decoded, as far as that is known.
        store: where features are kept.
        known: how they are computed, if that is known.
    """

    def __init__(self, paths: Sequence[str], decode: DecodeRecipe, store: Store, known: Known | None):
        self.decode = decode
        self._paths, self._store, self._known = list(paths), store, known
        self._enough = Event()
        self._decoded: dict[str, Future[Loaded]] = {}
        self._extraction: Extraction | None = None
        self._thread: Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        if known is None:
            self._decode_first()
        else:
            self._thread = Thread(target=self._extract, args=(known,), name="ahead", daemon=True)
            self._thread.start()

    def take(self, path: str) -> Loaded | None:
        """A picture that was decoded, or is being decoded now; None if somebody else has to do it. Only once."""
        waiting = self._decoded.pop(path, None)
        return None if waiting is None or waiting.cancel() else waiting.result()

    def extraction(self, identity: Mapping[str, Any]) -> Extraction | None:
        """What has become of the pictures so far, if their features are those of this space; ends the work on them.

        It knows the digests of those that it came to.
        """
        self.stop()
        if self._known is None or space_digest(self._known.identity) != space_digest(identity):
            return None
        return self._extraction

    def stop(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._enough.set()
        if self._thread is not None:
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._decoded.clear()

    def _decode_first(self) -> None:
        count = _MOST_DECODED_BYTES // (3 * self.decode.height * self.decode.width)
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ahead")
        self._decoded = {path: self._pool.submit(load_one, path, self.decode) for path in self._paths[:count]}

    def _extract(self, known: Known) -> None:
        def load() -> OpenVINORuntime:
            return load_tuned(self._store.root / known.model, known.precision, len(self._paths))

        # Whatever is wrong here will be wrong again where there is somebody to be told.
        with suppress(HeadstartError, OSError, RuntimeError, ValueError):
            space = self._store.space(known.identity, known.about)
            given = (self._paths, self.decode, load, space, self._store.stat_cache)
            self._extraction = extract(*given, enough=self._enough.is_set)
