"""Which stages, when: what each strategy of the field is made of.

head       the head alone: solved where it is a convex problem, else fitted
finetune   head and unfrozen layers together: from a new head, a grafted one, or a finished run
scratch    everything, from random weights
auto       head first, fine-tuning from there, and the better of the two (LP-FT: Kumar et al., Fine-Tuning can
           Distort Pretrained Features, ICLR 2022, arXiv 2202.10054)
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

import keras

from headstart.evaluation.evaluate import figures
from headstart.evaluation.paired import PairedDifference, paired_difference
from headstart.models.graft import continue_from, graft_head
from headstart.recipe import DEFAULT_UNFREEZE, BatchNorm
from headstart.specs import HeadSpec, parse_head
from headstart.training.fitted import fit_stage
from headstart.training.session import Session, Stage, judge
from headstart.training.solved import extend_stage, solve_stage

log = logging.getLogger(__name__)


_SHARES = (0.75, 0.5, 0.25)


@dataclass(frozen=True)
class Outcome:
    """What a strategy has come to.

    Attributes:
        kept: the stage whose weights the model has.
        stages: all of them, in the order they were run.
        difference: of the fine-tuned model over the head alone on the validation pictures; None where there are not
            two to compare.
    """

    kept: Stage
    stages: tuple[Stage, ...]
    difference: PairedDifference | None = None

    @property
    def chosen_on_val(self) -> bool:
        """Whether the validation pictures decided anything, so that their figures are not clean."""
        return self.difference is not None or self.kept.chosen_on_val


def run_strategy(session: Session, begin: keras.Model | None = None, begin_head: HeadSpec | None = None) -> Outcome:
    """Train as the recipe says.

    Args:
        session: the training.
        begin: the model of a finished RUN to begin from.
        begin_head: what that model ends in.
    """
    strategy = session.recipe.strategy
    if session.recipe.batchnorm == "adapt" and strategy != "scratch":
        session.adapt()
    if session.extended is not None:
        stage = extend_stage(session, *session.extended)
        return Outcome(stage, (stage,))
    if strategy == "auto":
        return _head_then_finetune(session)
    stage = {"head": _head, "finetune": _finetune, "scratch": _scratch}[strategy](session, begin, begin_head)
    return Outcome(stage, (stage,))


def _head(session: Session, begin: keras.Model | None, begin_head: HeadSpec | None) -> Stage:
    head = begin_head or parse_head(session.recipe.head)
    if head.is_solved and begin is None:
        return solve_stage(session, head)
    session.draw("none", "frozen")
    return fit_stage(session, "head", _begun(session, head, begin), head)


def _finetune(session: Session, begin: keras.Model | None, begin_head: HeadSpec | None) -> Stage:
    head = begin_head or parse_head(session.recipe.head)
    head = HeadSpec("linear") if head.kind == "auto" else head
    _unfreeze(session)
    return fit_stage(session, "finetune", _begun(session, head, begin), head)


def _scratch(session: Session, begin: keras.Model | None, begin_head: HeadSpec | None) -> Stage:
    head = parse_head(session.recipe.head)
    head = HeadSpec("linear") if head.kind == "auto" else head
    session.draw("all", "trainable")  # statistics that were never estimated cannot be frozen
    return fit_stage(session, "scratch", session.assemble(head), head)


def _head_then_finetune(session: Session) -> Outcome:
    head = _head(session, None, None)
    if head.interrupted:
        return Outcome(head, (head,))
    _unfreeze(session)
    tuned = _best_mix(session, fit_stage(session, "finetune", head.model, head.head), head)
    labels = session.side("val").labels
    difference = paired_difference(tuned.probabilities["val"], head.probabilities["val"], labels)
    if _merit(session, tuned) > _merit(session, head):
        return Outcome(tuned, (head, tuned), difference)
    session.draw("none", "frozen")
    head.model.set_weights(head.weights)
    return Outcome(head, (head, tuned), difference)


def _best_mix(session: Session, tuned: Stage, head: Stage) -> Stage:
    """Of the models between head alone and fine-tuned, the best one on the validation pictures.

    The weights of both are averaged, which is often better than either, and keeps more of what the pretrained network
    knew (WiSE-FT: Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022, arXiv 2109.01903).
    """
    mixes = [tuned]
    for share in _SHARES:
        weights = [share * new + (1 - share) * old for new, old in zip(tuned.weights, head.weights, strict=True)]
        tuned.model.set_weights(weights)
        details = tuned.details | {"share_of_finetuned": share}
        mixes.append(replace(tuned, weights=weights, probabilities=judge(session, tuned.cut), details=details))
    best = max(mixes, key=lambda stage: _merit(session, stage))
    tuned.model.set_weights(best.weights)
    return best


def _unfreeze(session: Session) -> None:
    batchnorm: BatchNorm = session.recipe.batchnorm
    session.draw(session.recipe.unfreeze or DEFAULT_UNFREEZE, batchnorm)


def _merit(session: Session, stage: Stage) -> tuple[float, float]:
    """More right, and of two with as many right the one with the lower loss."""
    labels = session.side("val").labels
    found = figures(stage.probabilities["val"], labels, [str(number) for number in range(session.classes)])
    return found.accuracy, -found.loss


def _begun(session: Session, head: HeadSpec, begin: keras.Model | None) -> keras.Model:
    model = session.assemble(head)
    if begin is None:
        return model
    if session.recipe.from_run is not None:
        continue_from(model, begin)
        return model
    loaded, left = graft_head(model, begin)
    log.warning("from the head of %s: %s.", session.recipe.head_from, _listed(loaded, left))
    return model


def _listed(loaded: list[str], left: list[Any]) -> str:
    said = f"loaded {', '.join(loaded) or 'nothing'}"
    return f"{said}; new: {', '.join(map(str, left))}" if left else said
