"""What the figures of a RUN mean: whether to trust it, why it errs, what to try next. Rules, with their thresholds."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from headstart.evaluation.evaluate import share_interval
from headstart.evaluation.selective import abstain_for
from headstart.images.dataset import IMBALANCE
from headstart.images.pictures import SIDE_WORDS
from headstart.reporting.commands import audit_command, changed_command
from headstart.reporting.gathered import Gathered, Panel
from headstart.texts import short

Tone = Literal["good", "note", "care", "bad"]

WIDE = 0.10
"""An interval of the accuracy that is wider than this leaves open what the model is worth."""

HALF = 0.5
"""With a lower accuracy it is wrong more often than right."""

FEW = 10
"""With fewer pictures of a class than this nothing can be said of it."""

LEAKY = 0.01
"""More of the pictures than this were trained on: the figures are not those of new pictures."""

UNCALIBRATED = 0.05
"""A calibration error above this is worth a word, once there are pictures enough to see it."""

ENOUGH_TO_CALIBRATE = 200

APART = 0.10
"""Training and validation accuracy that are further apart than this: it has learned pictures by heart."""

TELLING = 0.25
"""A confusion that is more than this share of all mistakes says something; of two classes there are but two, so"""

TELLING_OF_TWO = 0.75
"""then more."""

PRECISE = 0.95
"""The precision for which it is said what answering only when sure comes to."""

SUGGESTED = ("nano", "mobilenet_v2", "efficientnet_v2_b0")
"""Backbones worth comparing with: one that needs nothing, one that is quick, one that is good."""

SURE = 0.9
"""Mistakes with more confidence than this are worth a count."""


class Remark(NamedTuple):
    """One thing to know.

    Attributes:
        tone: whether it speaks for the model, says something of it, asks for care, or forbids to rely on it.
        text: a sentence or two.
    """

    tone: Tone
    text: str


class Step(NamedTuple):
    """One thing to try.

    Attributes:
        text: what and why.
        command: what to type; empty where there is nothing to.
    """

    text: str
    command: str = ""


@dataclass(frozen=True)
class Verdict:
    """What to think of a model.

    Attributes:
        tone: `good`, or the worst of those of `trust` if that is `care` or `bad`.
        headline: the same in a few words.
        summary: how often it is right, and how sure that is.
        trust: what speaks for and against its figures.
        errors: why it errs.
        steps: what to try next, what matters most first.
    """

    tone: Tone
    headline: str
    summary: str
    trust: tuple[Remark, ...]
    errors: tuple[Remark, ...]
    steps: tuple[Step, ...]


_HEADLINES: dict[Tone, str] = {
    "good": "Its figures can be trusted",
    "note": "Its figures can be trusted",
    "care": "To be used with care",
    "bad": "Not to be relied on yet",
}


def judge(found: Gathered) -> Verdict:
    """Weigh what was gathered."""
    trust = tuple(_trust(found))
    tones = {remark.tone for remark in trust}
    tone: Tone = "bad" if "bad" in tones else "care" if "care" in tones else "good"
    return Verdict(tone, _HEADLINES[tone], _summary(found), trust, tuple(_errors(found)), tuple(_steps(found)))


def _summary(found: Gathered) -> str:
    panel = found.cleanest
    figures, (most, share) = panel.figures, panel.largest_share
    return (
        f"It has {panel.right:,} of {figures.n:,} {_kind(panel)} pictures right: accuracy {figures.accuracy:.4f}, and "
        f"on more pictures like these between {figures.accuracy_low:.3f} and {figures.accuracy_high:.3f} (95 % "
        f"interval). Always answering {_quoted(found, most)} would give {share:.3f}."
    )


def _trust(found: Gathered) -> Iterator[Remark]:
    yield from _of_learning(found)
    yield from _of_these_pictures(found)
    yield from _of_the_data(found)
    yield from _of_calibration(found)


def _of_learning(found: Gathered) -> Iterator[Remark]:
    panel = found.cleanest
    figures, (_, share) = panel.figures, panel.largest_share
    if found.metrics.get("interrupted"):
        yield Remark("care", "The training was interrupted: this is the best it had come to, not its end.")
    if figures.accuracy_low <= share:
        yield Remark("bad", "It may be no better than naming the most frequent class each time.")
    elif figures.accuracy < HALF:
        yield Remark("care", "It is wrong more often than right, though better than guessing.")
    if figures.accuracy_high - figures.accuracy_low > WIDE:
        yield Remark(
            "care",
            f"{figures.n:,} pictures are few to judge it by: its accuracy may be anything from "
            f"{figures.accuracy_low:.2f} to {figures.accuracy_high:.2f}.",
        )
    else:
        yield Remark("good", f"{figures.n:,} pictures are enough to know its accuracy to {_reach(panel):.3f}.")


def _of_these_pictures(found: Gathered) -> Iterator[Remark]:
    chosen = bool(found.metrics.get("chosen_on_these_pictures"))
    if "test" in found.panels:
        val, test = found.val.figures, found.panels["test"].figures
        yield Remark("good", f"Nothing was chosen on the {test.n:,} test pictures, so their figures are clean.")
        if test.accuracy_high < val.accuracy:
            yield Remark(
                "care",
                f"It is worse on test pictures ({test.accuracy:.3f}) than on validation pictures ({val.accuracy:.3f}), "
                "by more than chance: expect the former.",
            )
    elif chosen:
        yield Remark(
            "care",
            "When to stop, or what to keep, was chosen on these pictures, so the figures flatter it a little, and "
            "there are no test pictures to check them on.",
        )
    else:
        yield Remark("good", "Nothing was chosen on these pictures, so the figures are clean.")
    expected = _cross_validated(found)
    if expected > found.val.figures.accuracy_high:
        yield Remark(
            "care",
            f"In cross-validation it had {expected:.3f} of its training pictures right: validation pictures are of "
            "another kind, or training pictures repeat each other.",
        )
    if "temperature" in found.metrics:
        yield Remark("good", "Its probabilities were calibrated on the validation pictures.")


def _cross_validated(found: Gathered) -> float:
    """The accuracy that the solved head had on training pictures that were held out; 0 where none was solved."""
    stage = (found.metrics.get("stages") or {}).get("head", {})
    return max((float(each["accuracy"]) for each in stage.get("cross_validated", {}).values()), default=0.0)


def _of_the_data(found: Gathered) -> Iterator[Remark]:
    shared = sum(sum(member.side != "train" for member in members) for members in found.split.shared)
    judged = sum(panel.figures.n for panel in found.panels.values())
    if shared:
        matters = shared > LEAKY * judged
        yield Remark(
            "bad" if matters else "note",
            f"{_count(shared, 'picture')} it is judged by {_was(shared)} trained on, too: "
            + ("on those it is no wonder that it is right." if matters else "too few to matter here."),
        )
    few = [name for name, figures in found.cleanest.figures.per_class.items() if 0 < figures.n < FEW]
    if few:
        listed = ", ".join(f"“{short(name)}”" for name in few[:3]) + (f" and {len(few) - 3} more" * (len(few) > 3))
        yield Remark("care", f"Fewer than {FEW} {_kind(found.cleanest)} pictures of {listed}: no verdict on these.")
    if found.quarantined:
        count = len(found.quarantined)
        yield Remark("care", f"{_count(count, 'file')} could not be used and {_was(count)} left out.")


def _of_calibration(found: Gathered) -> Iterator[Remark]:
    panel = found.cleanest
    error, n = panel.figures.calibration_error, panel.figures.n
    if panel.side == "val":  # where the temperature was fitted on them, that flatters it
        error = found.metrics.get("calibration_error_held_out", error)
    if n < ENOUGH_TO_CALIBRATE:
        return
    if error > UNCALIBRATED:
        is_vain = panel.mean_confidence > panel.figures.accuracy
        more = "surer than it should be" if is_vain else "less sure than it could be"
        yield Remark("care", f"Its probabilities are off by {error:.3f} on average: it is {more}.")
    else:
        yield Remark("good", f"Its probabilities can be taken at their word (calibration error {error:.3f}).")


def _errors(found: Gathered) -> Iterator[Remark]:
    panel = found.val
    wrong = panel.figures.n - panel.right
    if not wrong:
        yield Remark("note", "It makes no mistake on the validation pictures. Are they really others?")
        return
    yield from _of_confusions(found, wrong)
    yield from _of_confidence(panel, wrong)
    if found.suspects:
        yield Remark(
            "care",
            f"{_count(len(found.suspects), 'picture')} may have a wrong label, so not all mistakes need be its own.",
        )
    yield from _of_fitting(found)


def _of_confusions(found: Gathered, wrong: int) -> Iterator[Remark]:
    panel, pair = found.val, found.val.pairs[0]
    if pair.n >= max(2, (TELLING if len(found.classes) > 2 else TELLING_OF_TWO) * wrong):
        yield Remark(
            "care",
            f"{pair.n:,} of {wrong:,} mistakes are {_quoted(found, pair.true)} taken for "
            f"{_quoted(found, pair.predicted)}.",
        )
    known = [(name, figures) for name, figures in panel.figures.per_class.items() if figures.recall is not None]
    name, worst = min(known, key=lambda item: item[1].recall or 0.0)
    _, high = share_interval(round((worst.recall or 0.0) * worst.n), worst.n)
    if high < panel.figures.accuracy:
        yield Remark(
            "care",
            f"“{short(name)}” is found least: {worst.recall:.3f} of its {worst.n:,} pictures, of which it saw "
            f"{found.learned.get(name, 0):,} in training.",
        )
    largest = max(found.learned.values(), default=0)
    rare = [name for name, count in found.learned.items() if 0 < count * IMBALANCE <= largest]
    if rare:
        rarest = min(rare, key=lambda name: found.learned[name])
        yield Remark(
            "care",
            f"{_count(len(rare), 'class', 'classes')} with few training pictures, “{short(rarest)}” with "
            f"{found.learned[rarest]:,} where the largest has {largest:,}.",
        )


def _of_confidence(panel: Panel, wrong: int) -> Iterator[Remark]:
    sure = sum(case.probability > SURE for case in panel.mistakes)
    yield Remark(
        "care" if sure else "note",
        f"{sure:,} of {wrong:,} mistakes were made with more than {SURE:.0%} confidence."
        if sure
        else f"No mistake was made with more than {SURE:.0%} confidence.",
    )
    second = panel.figures.top_k.get("2")
    if second is not None:
        rescued = round((second - panel.figures.accuracy) * panel.figures.n)
        yield Remark("note", f"In {rescued:,} of {wrong:,} mistakes the second most probable class is the true one.")
    abstention = abstain_for(panel.judged.probabilities, panel.judged.labels, PRECISE)
    if abstention is not None and panel.figures.accuracy < PRECISE:
        yield Remark(
            "note",
            f"Asked to answer only from a confidence of {abstention.threshold:.2f} on, it answers "
            f"{abstention.coverage:.0%} of the pictures and has {abstention.precision:.1%} of these right.",
        )


def _of_fitting(found: Gathered) -> Iterator[Remark]:
    rows = [row for row in found.history.get(str(found.metrics.get("kept")), []) if "val_accuracy" in row]
    if rows and rows[-1].get("accuracy", 0.0) - rows[-1]["val_accuracy"] > APART:
        yield Remark(
            "care",
            f"In the last epoch it had {rows[-1]['accuracy']:.3f} of the training pictures right and "
            f"{rows[-1]['val_accuracy']:.3f} of the validation pictures: it learns pictures by heart.",
        )


def _steps(found: Gathered) -> Iterator[Step]:
    recipe, metrics = found.recipe, found.metrics
    if metrics.get("interrupted"):
        yield Step("Let the training end.", f"headstart train --resume {shlex.quote(str(metrics.get('run', 'RUN')))}")
    differs = _cross_validated(found) > found.val.figures.accuracy_high
    if found.split.shared or found.suspects or found.quarantined or differs:
        yield Step(
            "Look at duplicates, likely wrong labels and files that were left out; mend them and train again.",
            audit_command(recipe),
        )
    yield from _steps_to_know_more(found)
    yield from _steps_to_be_better(found)
    run = shlex.quote(str(metrics.get("run", "RUN")))
    yield Step("Try it on pictures it has never seen; nothing says more.", f"headstart predict {run} PICTURES")


def _steps_to_know_more(found: Gathered) -> Iterator[Step]:
    recipe, metrics, figures = found.recipe, found.metrics, found.cleanest.figures
    own_split = recipe.fold is None and not isinstance(recipe.val, str) and not found.split.by_folders
    if figures.accuracy_high - figures.accuracy_low > WIDE and own_split:
        yield from _training("Judge it by all pictures, each held out once.", changed_command(recipe), " --folds 5")
    if metrics.get("chosen_on_these_pictures") and "test" not in found.panels:
        yield from _training("Keep test pictures aside on which nothing is chosen.", changed_command(recipe, test=0.2))
    if figures.n >= ENOUGH_TO_CALIBRATE and figures.calibration_error > UNCALIBRATED and not recipe.calibrate:
        command = changed_command(recipe, calibrate=True)
        yield from _training("Make its probabilities say how sure it can be.", command)


def _steps_to_be_better(found: Gathered) -> Iterator[Step]:
    recipe = found.recipe
    if found.val.right == found.val.figures.n:
        return
    largest = max(found.learned.values(), default=0)
    if any(0 < count * IMBALANCE <= largest for count in found.learned.values()) and recipe.class_weights == "none":
        command = changed_command(recipe, strategy="finetune", class_weights="balanced")
        yield from _training("Give rare classes more weight, or, better, more pictures.", command)
    if recipe.strategy == "head":
        command = changed_command(recipe, strategy="auto")
        yield from _training("See whether fine-tuning helps; what is no better is not kept.", command)
    backbones = sorted({*recipe.backbones, *SUGGESTED})
    yield Step(
        "See whether another backbone suits these pictures better; most of that is computed once.",
        f"headstart compare {shlex.quote(recipe.data)} --backbones {','.join(backbones)}",
    )


def _training(text: str, command: str | None, more: str = "") -> Iterator[Step]:
    """A training to try, where the recipe allows it."""
    if command is not None:
        yield Step(text, command + more)


def _reach(panel: Panel) -> float:
    figures = panel.figures
    return max(figures.accuracy_high - figures.accuracy, figures.accuracy - figures.accuracy_low)


def _kind(panel: Panel) -> str:
    return SIDE_WORDS[panel.side]


def _quoted(found: Gathered, number: int) -> str:
    return f"“{short(found.classes[number])}”"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
