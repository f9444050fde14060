"""From a race that is over to the rows of a leaderboard, each with the command that trains it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.comparing.comparison import Behind, Row
from headstart.comparing.contenders import Contender, Workshop
from headstart.comparing.entries import CHOICES
from headstart.comparing.racing import best_of, recommended
from headstart.evaluation.paired import difference_of_hits
from headstart.recipe import Recipe


@dataclass(frozen=True)
class Leaderboard:
    """Who won.

    Attributes:
        rows: the best first: those that were there in the end, by accuracy, and then who was put out last.
        best: the first of them.
        choice: the one that is recommended.
    """

    rows: tuple[Row, ...]
    best: Row
    choice: Row


def rank(running: Sequence[Contender], out: Sequence[Contender], workshop: Workshop) -> Leaderboard:
    """Make the leaderboard.

    Args:
        running: those that were there in the end.
        out: the others, the last one that was put out first.
        workshop: where they were computed.
    """
    verdicts = [contender.verdict for contender in running]
    best = running[best_of(verdicts)]
    choice = running[recommended(verdicts, [contender.cost.pictures_per_second for contender in running])]
    ranked = sorted(running, key=lambda one: (one is not best, -one.verdict.accuracy, one.verdict.loss))
    rows = {id(one): _row(one, None if one is best else best, workshop) for one in ranked}
    rows |= {id(one): _row(one, one.beaten_by, workshop) for one in out}
    return Leaderboard(tuple(rows.values()), rows[id(best)], rows[id(choice)])


def _row(contender: Contender, ahead: Contender | None, workshop: Workshop) -> Row:
    verdict, cost = contender.verdict, contender.cost
    return Row(
        name=contender.name,
        backbones=tuple(member.backbone for member in contender.members),
        weights=contender.members[0].weights,
        image_size=workshop.size_of(contender.members[0]),
        accuracy=verdict.accuracy,
        low=verdict.low,
        high=verdict.high,
        loss=verdict.loss,
        pictures=verdict.judged,
        in_the_end=contender.beaten_by is None,
        behind=None if ahead is None else _behind(contender, ahead),
        pictures_per_second=cost.pictures_per_second,
        parameters=cost.parameters,
        bytes=cost.bytes,
        extracted=sum(workshop.computed[member].extracted for member in contender.members),
        command=_command(contender, workshop),
    )


def _behind(contender: Contender, ahead: Contender) -> Behind:
    apart = difference_of_hits(contender.verdict.hits, ahead.verdict.hits)
    return Behind(ahead.name, apart.accuracy, apart.low, apart.high)


def _command(contender: Contender, workshop: Workshop) -> str:
    """What trains the head that was judged, on the features that are kept."""
    recipe, members = workshop.recipe, contender.members
    names = ",".join(member.backbone for member in members)
    words = ["headstart", "train", recipe.data, "--ensemble" if contender.is_ensemble else "--backbone", names]
    if members[0].weights != Recipe.weights:
        words += ["--weights", members[0].weights]
    if workshop.size_of(members[0]) != max(workshop.native_size_of(member) for member in members):
        words += ["--image-size", str(workshop.size_of(members[0]))]
    words += ["--strategy", "head"]
    for name in CHOICES:
        if (value := getattr(recipe, name)) != getattr(Recipe, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join([*map(shlex.quote, words), "--out", "RUN"])
