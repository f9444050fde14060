"""The stage of a head that is solved on kept features."""

import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from headstart.models.cut import Parts, split
from headstart.models.graft import graft_head
from headstart.models.heads import CLASSIFIER, LANDMARKS, add_head
from headstart.progress import bar, waiting
from headstart.specs import HeadSpec
from headstart.training.cross_validation import Estimate
from headstart.training.new_columns import solve_new_columns
from headstart.training.rows import Stored
from headstart.training.session import Cut, Session, Stage, finish
from headstart.training.solve import (
    STEPS,
    BestHead,
    KernelHead,
    LinearHead,
    single_unit,
    solve_best,
    solve_kernel,
    solve_linear,
)


def solve_stage(session: Session, head: HeadSpec) -> Stage:
    """Freeze the backbone, solve the head on its features, and put the solution into a model.

    Args:
        session: the training.
        head: `linear`, `kernel` or `auto`.
    """
    started = time.perf_counter()
    cut = session.keep(session.for_head())
    solution, details = _solve(session, cut, head)
    solved, head = _as_model(session, cut, solution)
    model = session.assemble(head)
    graft_head(model, solved)
    cut = replace(cut, parts=Parts(cut.parts.frozen, solved))
    history = [{"tried": value, "cross_validated_loss": loss} for value, loss in solution.tried.items()]
    return finish(
        session,
        "head",
        model,
        cut,
        head,
        history=history,
        chosen_on_val=False,
        interrupted=False,
        seconds=time.perf_counter() - started,
        details=details,
    )


def extend_stage(session: Session, old_kernel: np.ndarray, old_bias: np.ndarray) -> Stage:
    """Put new classes behind those of a classifier that stays as it is, and solve for them alone.

    Pictures of classes that the classifier has already are not learned from.

    Args:
        session: the training; its network ends where the classifier begins.
        old_kernel: float32 `(width, old classes)`.
        old_bias: float32 `(old classes,)`.
    """
    started = time.perf_counter()
    session.draw("none", "frozen")
    head, old = HeadSpec("linear"), len(old_bias)
    model = session.assemble(head)
    cut = session.keep(split(model))
    train = session.side("train")
    new = np.flatnonzero(train.labels >= old)
    (vectors,) = cut.features.read([train.paths[int(row)] for row in new])
    arguments = (vectors.reshape(len(new), -1), train.labels[new] - old, old_kernel, old_bias)
    with waiting("solving the new classes", session.show):
        kernel, bias = solve_new_columns(*arguments, session.classes - old, session.recipe.seed)
    model.get_layer(CLASSIFIER).set_weights([np.hstack([old_kernel, kernel]), np.concatenate([old_bias, bias])])
    return finish(
        session,
        "head",
        model,
        cut,
        head,
        history=[],
        chosen_on_val=False,
        interrupted=False,
        seconds=time.perf_counter() - started,
        details={"old_classes": old, "new_classes": session.classes - old},
    )


def _solve(session: Session, cut: Cut, head: HeadSpec) -> tuple[LinearHead | KernelHead, dict[str, Any]]:
    train, seed = session.side("train"), session.recipe.seed
    with bar("solving the head", STEPS[head.kind], "fits", session.show) as advance:
        arguments = (Stored(cut.features, train.paths), train.labels, session.classes)
        groups = train.groups
        if head.kind == "auto":
            best = solve_best(*arguments, head.landmarks, seed, advance, groups)
            return best.chosen, _details(best.chosen) | _compared(best)
        if head.kind == "kernel":
            kernel = solve_kernel(*arguments, head.landmarks, seed, advance, groups)
            return kernel, _details(kernel)
        linear = solve_linear(*arguments, seed, advance, groups)
        return linear, _details(linear)


def _as_model(session: Session, cut: Cut, solution: LinearHead | KernelHead) -> tuple[keras.Model, HeadSpec]:
    """The head alone, from pooled features to probabilities, and what it is."""
    (width,) = cut.parts.frontier[0]
    head, weights = HeadSpec("linear"), [solution.kernel, solution.bias]
    if isinstance(solution, KernelHead):
        landmarks = len(solution.landmark_bias)
        head = HeadSpec(f"kernel:{landmarks}", "kernel", landmarks=landmarks)
    if session.recipe.output == "sigmoid":
        weights = list(single_unit(solution.kernel, solution.bias))
    features = keras.Input((width,), name="frontier")
    model = keras.Model(features, add_head([features], head, session.classes, session.recipe.output))
    if isinstance(solution, KernelHead):
        model.get_layer(LANDMARKS).set_weights([solution.landmark_kernel, solution.landmark_bias])
    model.get_layer(CLASSIFIER).set_weights(weights)
    return model, head


def _details(solution: LinearHead | KernelHead) -> dict[str, Any]:
    details: dict[str, Any] = {"penalty": solution.penalty}
    if isinstance(solution, KernelHead):
        details |= {"gamma": solution.gamma, "landmarks": len(solution.landmark_bias)}
    return details


def _compared(best: BestHead) -> dict[str, Any]:
    return {"cross_validated": {"linear": _plain(best.linear), "kernel": _plain(best.kernel)}}


def _plain(estimate: Estimate) -> dict[str, float | None]:
    known = len(estimate.losses) > 0
    return {"accuracy": estimate.accuracy if known else None, "loss": estimate.loss if known else None}
