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

from headstart.errors import RecipeError
from headstart.evaluation.evaluate import figures
from headstart.evaluation.paired import PairedDifference, paired_difference
from headstart.models.cut import split
from headstart.models.graft import continue_from, graft_head
from headstart.recipe import DEFAULT_UNFREEZE
from headstart.specs import HeadSpec, parse_head
from headstart.training.fitted import fit_stage
from headstart.training.session import Session, Stage, finish, judge, judge_in_f32
from headstart.training.solved import extend_stage, solve_stage

log = logging.getLogger(__name__)


_SHARES = (0.75, 0.5, 0.25)
_WORTH_A_WORD = 0.01


@dataclass(frozen=True)
class Outcome:
    """What a strategy has come to.

    Attributes:
        kept: the stage whose weights the model has.
        stages: all of them, in the order they were run.
        difference: of the fine-tuned model over what it began from, on the validation pictures; None where there are
            not two to compare.
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
        begin_head: what that model ends in, or what its head is grafted onto.
    """
    strategy = session.recipe.strategy
    if strategy != "head":  # a folder that cannot be written is no surprise to spring after an hour
        session.prepare_places({"auto": "finetune"}.get(strategy, strategy))
    prepare(session)
    if session.extended is not None:
        stage = extend_stage(session, *session.extended)
        return Outcome(stage, (stage,))
    if strategy == "auto":
        return _head_then_finetune(session)
    if strategy == "finetune" and begin is not None:
        return _finetune_further(session, begin, begin_head or HeadSpec("linear"))
    stage = {"head": _head, "finetune": _finetune, "scratch": _scratch}[strategy](session)
    return Outcome(stage, (stage,))


def prepare(session: Session) -> None:
    """Measure what the recipe wants to know of the training pictures before anything is frozen."""
    if session.recipe.standardise:
        session.team.in_turn(session.standardise)
    if session.recipe.batchnorm == "adapt" and session.recipe.strategy != "scratch":
        session.team.in_turn(session.adapt)


def as_saved(session: Session, outcome: Outcome) -> Outcome:
    """The outcome with the figures of the model as it is saved, where features were computed less exactly.

    A warning says so if that costs the model more than a hundredth of the validation pictures.
    """
    kept = outcome.kept
    if not kept.cut.frozen.runtime.rounds:
        return outcome
    exact = judge_in_f32(session, kept)
    before, after = (_merit(session, stage)[0] for stage in (kept, exact))
    if after < before - _WORTH_A_WORD:
        log.warning(
            "trained on features in bf16, the model has %.4f of the validation pictures right in bf16 and %.4f in f32, "
            "which is how it is saved. --precision f32 trains it in f32.",
            *(before, after),
        )
    return replace(outcome, kept=replace(exact, details=kept.details | {"accuracy_bf16": before}))


def _head(session: Session) -> Stage:
    head = parse_head(session.recipe.head)
    if head.is_solved:
        return solve_stage(session, head)
    session.draw("none", "frozen")
    return fit_stage(session, "head", session.assemble(head), head)


def _finetune(session: Session) -> Stage:
    head = _not_auto(parse_head(session.recipe.head))
    _unfreeze(session)
    return fit_stage(session, "finetune", session.assemble(head), head)


def _scratch(session: Session) -> Stage:
    head = _not_auto(parse_head(session.recipe.head))
    session.draw("all", "trainable")  # statistics that were never estimated cannot be frozen
    return fit_stage(session, "scratch", session.assemble(head), head)


def _not_auto(head: HeadSpec) -> HeadSpec:
    """A head that is fitted cannot be chosen by solving it."""
    return HeadSpec("linear") if head.kind == "auto" else head


def _head_then_finetune(session: Session) -> Outcome:
    head = _head(session)
    if head.interrupted:
        return Outcome(head, (head,))
    _unfreeze(session)
    try:
        tuned = fit_stage(session, "finetune", head.model, head.head)
    except KeyboardInterrupt:  # before there was anything better: the head is not lost for that
        session.draw("none", "frozen")
        head.model.set_weights(head.weights)
        head = replace(head, interrupted=True)
        return Outcome(head, (head,))
    return _better_of(session, head, tuned)


def _finetune_further(session: Session, begin: keras.Model, head: HeadSpec) -> Outcome:
    """Go on from a finished model, or from its head on a fresh network."""
    _unfreeze(session)
    model = _begun(session, head, begin)
    cut = session.keep(split(model))
    untouched = {"history": [], "chosen_on_val": False, "interrupted": False, "seconds": 0.0}
    start = finish(session, "start", model, cut, head, **untouched)
    return _better_of(session, start, fit_stage(session, "finetune", model, head, cut))


def _better_of(session: Session, before: Stage, tuned: Stage) -> Outcome:
    """Keep the fine-tuned model, or an average on the way to it, if it is better than what it began from."""
    tuned = _best_mix(session, tuned, before)
    labels = session.side("val").labels
    difference = paired_difference(tuned.probabilities["val"], before.probabilities["val"], labels)
    if _merit(session, tuned) > _merit(session, before):
        return Outcome(tuned, (before, tuned), difference)
    if before.name == "head":
        session.draw("none", "frozen")
    before.model.set_weights(before.weights)
    return Outcome(before, (before, tuned), difference)


def _best_mix(session: Session, tuned: Stage, before: Stage) -> Stage:
    """Of the models between the one it began from and the fine-tuned one, the best on the validation pictures.

    The weights of both are averaged, which is often better than either, and keeps more of what the pretrained network
    knew (WiSE-FT: Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022, arXiv 2109.01903).
    """
    mixes = [tuned]
    for share in _SHARES:
        weights = [share * new + (1 - share) * old for new, old in zip(tuned.weights, before.weights, strict=True)]
        tuned.model.set_weights(weights)
        details = tuned.details | {"share_of_finetuned": share}
        mixes.append(replace(tuned, weights=weights, probabilities=judge(session, tuned.cut), details=details))
    best = max(mixes, key=lambda stage: _merit(session, stage))
    tuned.model.set_weights(best.weights)
    return best


def _unfreeze(session: Session) -> None:
    unfreeze, batchnorm = session.recipe.unfreeze or DEFAULT_UNFREEZE, session.recipe.batchnorm
    session.draw(unfreeze, batchnorm)
    if not any(network.model.trainable_variables for network in session.networks):
        raise RecipeError(
            [
                f"unfreeze {unfreeze!r} with batchnorm {batchnorm} trains no weight of {session.recipe.backbone}. "
                f"headstart layers {session.recipe.backbones[0]} --unfreeze {unfreeze} shows what lies there."
            ]
        )


def _merit(session: Session, stage: Stage) -> tuple[float, float]:
    """More right, and of two with as many right the one with the lower loss."""
    labels = session.side("val").labels
    found = figures(stage.probabilities["val"], labels, [str(number) for number in range(session.classes)])
    return found.accuracy, -found.loss


def _begun(session: Session, head: HeadSpec, begin: keras.Model) -> keras.Model:
    model = session.assemble(head)
    if session.recipe.from_run is not None:
        continue_from(model, begin)
        return model
    loaded, left = graft_head(model, begin)
    log.warning("from the head of %s: %s.", session.recipe.head_from, _listed(loaded, left))
    return model


def _listed(loaded: list[str], left: list[Any]) -> str:
    said = f"loaded {', '.join(loaded) or 'nothing'}"
    return f"{said}; new: {', '.join(map(str, left))}" if left else said
