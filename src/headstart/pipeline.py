"""The whole flow, from a folder of pictures to a RUN: read it aloud."""

import tempfile
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import keras
import numpy as np

from headstart.bundle import Run, claim, new_run
from headstart.errors import DataError
from headstart.evaluation.evaluate import figures
from headstart.features.convert import PROBE_PICTURES, FrozenRuntime, choose_runtime
from headstart.features.extract import Extraction, extract, load_pictures
from headstart.features.runtime import KerasRuntime
from headstart.features.store import Store
from headstart.handover import (
    check_models,
    predict_from_features,
    write_metrics,
    write_models,
    write_provenance,
    write_tables,
)
from headstart.images.dataset import make_dataset
from headstart.images.decode import DecodeRecipe
from headstart.images.sources import Listing, Quarantined, list_labelled
from headstart.models.assemble import assemble
from headstart.models.backbones import backbones, find_backbone
from headstart.models.cut import Parts, bytes_per_picture, fingerprint, join, split
from headstart.progress import bar, waiting
from headstart.recipe import Recipe, parse_head
from headstart.training.strategies import train_head

_USUAL_SHARE = 0.2


def train(recipe: Recipe, show: bool = False) -> Run:
    """Train a classifier.

    Args:
        recipe: every choice.
        show: whether to draw progress bars on a terminal.

    Returns:
        The RUN that was written.

    Raises:
        InputError: if anything that was given cannot be used; what was computed by then is in the store.
    """
    started = time.perf_counter()
    recipe.check(backbones())
    listing = list_labelled(recipe.data, recipe.val if isinstance(recipe.val, str) else None)
    place = claim(recipe.out or Path(tempfile.mkdtemp(prefix="headstart-")) / "run", recipe.data)
    out = recipe.out or str(place)
    store = Store()
    store.prepare()

    keras.utils.set_random_seed(recipe.seed)
    backbone = find_backbone(recipe.backbone)
    size = recipe.image_size or backbone.size
    decode = DecodeRecipe(size, size, recipe.fit)
    with waiting(f"preparing {backbone.name}", show):
        model = assemble(backbone, recipe.weights, size, parse_head(recipe.head), len(listing.classes))
        parts = split(model)
        frozen_digest = fingerprint(parts.frozen)
        runtime = choose_runtime(
            parts.frozen, frozen_digest, store, lambda: _samples(listing, decode), recipe.precision
        )
    features = _extract(listing, decode, parts, frozen_digest, runtime, store, recipe, show)
    share = recipe.val if isinstance(recipe.val, float) else _USUAL_SHARE
    data = make_dataset(listing, features.digests, share, recipe.seed)
    data.warn_of_leaks()

    trained = train_head(parts, features, data.side("train"), data.side("val"), recipe, show)
    head = KerasRuntime(parts.trainable, traced=False)
    probabilities = {side: predict_from_features(head, features, data.side(side)) for side in data.evaluated_sides}
    results = {side: figures(rows, data.side(side).labels, data.classes) for side, rows in probabilities.items()}

    with waiting("writing and checking the run", show), new_run(place) as folder:
        joined = join(parts, name=f"headstart_{recipe.backbone}")
        write_models(folder, joined, parts, runtime)
        checked = check_models(folder, data.side("val"), probabilities["val"], decode, runtime)
        write_tables(folder, data, trained, [*listing.skipped, *features.quarantined], probabilities)
        write_provenance(folder, recipe, data, decode, runtime, frozen_digest)
        cost = {"seconds": time.perf_counter() - started, "precision": runtime.identity.precision, "run": out}
        write_metrics(folder, recipe, joined, features, data, results, trained, listing.skipped, checked | cost)
    return Run(out)


def _extract(
    listing: Listing,
    decode: DecodeRecipe,
    parts: Parts,
    frozen_digest: str,
    runtime: FrozenRuntime,
    store: Store,
    recipe: Recipe,
    show: bool,
) -> Extraction:
    identity = {"frozen": frozen_digest, "decode": decode.identity(), "view": "centre", **asdict(runtime.identity)}
    about = {
        "backbone": recipe.backbone,
        "weights": recipe.weights,
        "image_size": decode.height,
        "frontier": [list(shape) for shape in parts.frontier],
        "bytes_per_picture": bytes_per_picture(parts.frozen),
        "runtime": runtime.identity.name,
        "precision": runtime.identity.precision,
    }
    paths = [picture.path for picture in listing.pictures]
    with bar("extracting features", len(paths), "pictures", show) as advance:
        features = extract(paths, decode, runtime.load, store.space(identity, about), store.stat_cache, advance)
    if recipe.strict and features.quarantined:
        first = features.quarantined[0]
        raise DataError(
            f"{len(features.quarantined)} files cannot be decoded, the first is {first.path}: {first.reason}. "
            "Remove them, or leave --strict out to train without them."
        )
    return features


def _samples(listing: Listing, decode: DecodeRecipe) -> np.ndarray:
    """A few of the user's own pictures, from all over the listing."""
    spread = [listing.pictures[i].path for i in np.random.default_rng(0).permutation(len(listing.pictures))]
    decoded = (content for _, content in load_pictures(spread, decode) if not isinstance(content, Quarantined))
    samples = list(islice(decoded, PROBE_PICTURES))
    if not samples:
        raise DataError(f"none of the {len(spread)} files in {listing.root} is a picture that can be decoded.")
    return np.stack(samples)
