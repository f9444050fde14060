"""The features that the frozen half of a finished RUN gives, from the store or by OpenVINO; without Keras."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.errors import RunError
from headstart.features.engine import LOCAL, Engine, OpenVINOFile, Work
from headstart.features.extract import Extraction
from headstart.features.keys import file_digest, space_identity
from headstart.features.runtime import MODEL_FILE, openvino_identity
from headstart.features.store import Store
from headstart.loading import load_openvino
from headstart.progress import bar
from headstart.records import recipe_of

_SUFFIXES = (".xml", ".bin")


def keep_of_run(run: Run, paths: Sequence[str], store: Store, show: bool = False, engine: Engine = LOCAL) -> Extraction:
    """Make sure that the store has what the frozen half of a RUN gives for pictures.

    What its training kept is found again, as long as the store and OpenVINO are those of the training.

    Args:
        run: the RUN.
        paths: the pictures.
        store: where features are kept.
        show: whether to draw a progress bar.
        engine: who runs it over the pictures.

    Raises:
        RunError: if the RUN has no frozen half, or it is damaged.
        HeadstartError: if OpenVINO is not installed.
        StorageError: if the store cannot be written.
    """
    files = run.runtime_files()
    if len(files) < 2:
        raise RunError(f"{run.path} has no frozen half: all of it was trained, or Keras alone can run it.")
    frozen = files[0]
    about = _about(run, frozen)
    identity = space_identity(_digest(run, frozen, store), run.decode_recipe, openvino_identity(run.precision))
    space = store.space(identity, about)
    work = Work(OpenVINOFile(frozen, run.precision), run.decode_recipe, space)
    with bar("extracting features", len(paths), "pictures", show) as advance:
        return engine.extract(paths, work, store.stat_cache, advance)


def _digest(run: Run, frozen: Path, store: Store) -> str:
    """Of the frozen half: what its training called it, if the store has the very same file under that name.

    A RUN may come from anywhere; what it calls itself must not decide what trainings find in the store.
    """
    written = {suffix: file_digest(frozen.with_suffix(suffix)) for suffix in _SUFFIXES}
    called = str(run.about.get("frozen_part"))
    if re.fullmatch("[0-9a-f]+", called):
        kept = store.converted(called) / version("openvino") / MODEL_FILE
        if all(_digest_of(kept.with_suffix(suffix)) == written[suffix] for suffix in _SUFFIXES):
            return called
    return f"{written['.xml']}-{written['.bin']}"


def _digest_of(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None


def _about(run: Run, frozen: Path) -> dict[str, Any]:
    """What a person is told of these features, as `Keeper` says it."""
    recipe = recipe_of(run)
    outputs = load_openvino().Core().read_model(frozen).outputs
    shapes = [[size.get_length() for size in list(port.partial_shape)[1:]] for port in outputs]
    return {
        "backbone": recipe.backbone,
        "weights": recipe.weights,
        "image_size": run.decode_recipe.height,
        "frontier": shapes,
        "view": "centre",
        "bytes_per_picture": 4 * sum(int(np.prod(shape)) for shape in shapes),
        "runtime": "openvino",
        "precision": run.precision,
    }
