"""The stage of a trainable part that is fitted: batches, optimizer, memory, and what is done when it runs out."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from headstart.distributed.data_parallel import devices, spread
from headstart.distributed.shares import Share
from headstart.errors import RecipeError
from headstart.features.accelerator import on_accelerator
from headstart.features.runtime import is_out_of_memory
from headstart.models.blocks import blocks
from headstart.models.cut import bytes_per_picture, split
from headstart.models.layers import leaves
from headstart.models.memory import available_memory, training_bytes
from headstart.specs import MIXING, HeadSpec, Op, Views, parse_augment, parse_ops
from headstart.training.batches import Batches, Kept, Source, Streamed
from headstart.training.fit import Fitted, fit
from headstart.training.mixed_precision import computing_in_16_bits
from headstart.training.objective import class_weights, make_objective
from headstart.training.optimizers import make_optimizer
from headstart.training.session import Cut, Session, Stage, finish
from headstart.training.state import Plan, read_state

log = logging.getLogger(__name__)

_NO_VIEWS = Views("none", "none")


def fit_stage(session: Session, name: str, model: keras.Model, head: HeadSpec, cut: Cut | None = None) -> Stage:
    """Cut a model as it is drawn, keep what its frozen part gives, and fit the rest.

    Args:
        session: the training.
        name: `head`, `finetune` or `scratch`.
        model: with the weights to begin with; they are changed.
        head: what it ends in.
        cut: the model's halves, where it has been cut already.

    Raises:
        MemoryError: if not even batches of one picture fit into memory.
    """
    started = time.perf_counter()
    cut = cut or session.keep(split(model))
    _refuse_boxes_of_vectors(session, name, cut)
    _say_the_price(session, name, cut)
    _say_what_is_not_written(session)
    session.prepare_places(name)
    views, source = _source(session, name, cut)
    begin = [np.array(weight) for weight in model.get_weights()]
    with session.team.together():
        state = read_state(session.places(name).state)
    fitting = state.progress.plan.batch_size if state else _fitting_batch(session, cut)
    batch_size = min(session.team.of_all(fitting))
    while True:
        try:
            fitted = _fit(session, name, cut, source, batch_size)
            break
        except Exception as error:
            if not is_out_of_memory(error) or batch_size == 1:
                raise
            if session.team.count > 1:  # the others may have had enough, and wait
                raise RecipeError([f"memory has run out with batches of {batch_size} pictures; give fewer."]) from error
            batch_size //= 2
            log.warning("memory has run out, so %s begins again with batches of %d pictures.", name, batch_size)
            session.places(name).state.unlink(missing_ok=True)
            model.set_weights(begin)
    if session.team.count > 1:
        session.team.refuse_different(model.get_weights(), "weights after training")
    details: dict[str, Any] = {
        "best_epoch": fitted.best_epoch,
        "epochs_run": len(fitted.rows),
        "batch_size": batch_size,
    }
    if name != "head":
        details |= {"augment": views.text, "trained_from": _first_trained(session)}
    return finish(
        session,
        name,
        model,
        cut,
        head,
        history=fitted.rows,
        chosen_on_val=True,
        interrupted=fitted.interrupted,
        seconds=time.perf_counter() - started,
        details=details,
    )


def _fit(session: Session, name: str, cut: Cut, source: Source, batch_size: int) -> Fitted:
    recipe, trainable = session.recipe, cut.parts.trainable
    objective = make_objective(recipe, session.classes)
    learned, judged = session.side("train"), session.side("val")
    weights = class_weights(learned.labels, session.classes) if recipe.class_weights == "balanced" else None
    targets = objective.targets(learned.labels)
    mixing = _mixing(name, recipe.augmentations, recipe.augment)
    share = Share(session.team, devices(session.team), batch_size)
    train = Batches(source, learned.paths, targets, batch_size, recipe.seed, weights, mixing, share)
    val = Batches(Kept([cut.features]), judged.paths, objective.targets(judged.labels), batch_size, share=share)
    real = share.real(train.pictures), share.real(val.pictures)
    in_16_bits = recipe.mixed_precision == "on" or (recipe.mixed_precision == "auto" and on_accelerator())
    with computing_in_16_bits(trainable, in_16_bits), spread(trainable, *real, share.devices) as model:
        return fit(
            model,
            make_objective(recipe, session.classes),  # anew, for its metric lies where the model does
            make_optimizer(recipe, name, len(train), _scales(session)),
            train,
            val,
            Plan(recipe.epochs, recipe.patience, batch_size, session.pictures()),
            session.places(name),
            {"head": "training the head", "finetune": "fine-tuning"}.get(name, "training"),
            session.show,
            lambda rows: session.on_epoch(name, rows),
            session.team,
        )


def _source(session: Session, name: str, cut: Cut) -> tuple[Views, Source]:
    """Where the training pictures' tensors come from: the centre view, kept random views, or the stream."""
    recipe, paths = session.recipe, session.side("train").paths
    asked = parse_augment(recipe.augment)
    if name == "head" and asked.mode == "auto":
        asked = _NO_VIEWS
    views = session.keeper.how_many_views(asked, cut.frozen, len(paths))
    views = Views(**session.team.of_all(asdict(views))[0])  # there may be less room where another process is
    ops = tuple(op for op in parse_ops(recipe.augmentations) if op.kind not in MIXING)
    if views.mode == "none" or not ops:
        return _NO_VIEWS, Kept([cut.features])
    if views.mode == "stream":
        return views, Streamed(session.keeper.decode, ops, recipe.seed, cut.frozen.runtime.load(recipe.batch_size))
    return views, Kept(session.keeper.views(cut.frozen, paths, ops, views.count), recipe.seed)


def _mixing(name: str, augmentations: str, augment: str) -> Sequence[Op]:
    if augment == "none":
        return ()
    return [op for op in parse_ops(augmentations) if op.kind in MIXING]


def _refuse_boxes_of_vectors(session: Session, name: str, cut: Cut) -> None:
    mixing = _mixing(name, session.recipe.augmentations, session.recipe.augment)
    if any(op.kind == "cutmix" for op in mixing) and any(len(shape) != 3 for shape in cut.parts.frontier):
        raise RecipeError(
            [
                "cutmix pastes boxes of pictures or feature maps, and what is kept here are vectors. Take mixup, or "
                "unfreeze layers before the pooling."
            ]
        )


def _scales(session: Session) -> dict[int, float]:
    """How much of the learning rate each variable of the backbones gets: less, block by block, away from the head."""
    decay = session.recipe.layer_decay
    if decay == 1:
        return {}
    scales: dict[int, float] = {}
    for network in session.networks:
        for depth, block in enumerate(reversed(blocks(network.model)), start=1):
            for layer in network.model.layers[block.first : block.last + 1]:
                scales |= {id(variable): decay**depth for leaf in leaves(layer) for variable in leaf.variables}
    return scales


def _say_what_is_not_written(session: Session) -> None:
    if session.recipe.tensorboard and keras.config.backend() != "tensorflow":
        log.warning("TensorBoard's logs are written by TensorFlow, which is not the backend here; there will be none.")


def _say_the_price(session: Session, name: str, cut: Cut) -> None:
    """What is kept and what is run again in every epoch, before it starts."""
    kept, run = len(cut.parts.frozen.layers), len(cut.parts.trainable.layers)
    log.info(
        "%s: %d layers run once per picture, %d in every epoch; %.1f kB are kept of each picture.",
        *(name, kept, run, bytes_per_picture(cut.frozen.model) / 1e3),
    )
    if session.recipe.batchnorm == "trainable" and name == "finetune":
        log.warning(
            "BatchNorm is trained in the whole network, so only %d of its layers run once per picture and %d run in "
            "every epoch. With --batchnorm frozen or adapt all layers that are not unfrozen would run once.",
            *(kept, run),
        )


def _fitting_batch(session: Session, cut: Cut) -> int:
    """The largest batch, not above the recipe's, that is estimated to fit into memory."""
    room, batch_size = available_memory(), session.recipe.batch_size
    needed = training_bytes(cut.parts.trainable, batch_size)
    log.info("training takes about %.1f GB with batches of %d pictures.", needed / 1e9, batch_size)
    while room is not None and needed > room and batch_size > 1:
        batch_size //= 2
        needed = training_bytes(cut.parts.trainable, batch_size)
        log.warning(
            "training would take more memory than the %.1f GB there are: batches of %d pictures, about %.1f GB.",
            *(room / 1e9, batch_size, needed / 1e9),
        )
    return batch_size


def _first_trained(session: Session) -> list[str]:
    """The name of the first trained layer of each network."""
    trained = ([layer.name for layer in n.model.layers if layer.trainable_variables] for n in session.networks)
    return [names[0] for names in trained if names]
