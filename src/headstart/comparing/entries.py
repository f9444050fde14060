"""What is compared: backbones, each with its weights and picture size, and the small language for a list of them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.errors import RecipeError
from headstart.recipe import Recipe

SAMPLE = 500
"""Pictures that all backbones are judged on first, where nobody says how many."""

CHOICES = ("labels", "label_pattern", "group_by", "val", "test", "split", "fold", "fit", "seed", "precision")
"""The fields of `Recipe` that all have in common, and that a training must share to be what was judged."""

ENTRY_FORM = "NAME[@PIXELS][:WEIGHTS]"

_ENTRY = re.compile(r"(?P<backbone>[^@:\s]+)(?:@(?P<size>[1-9][0-9]{0,4}))?(?::(?P<weights>\S.*))?")


@dataclass(frozen=True)
class Entry:
    """One backbone of a comparison.

    Attributes:
        backbone: its name in the registry.
        weights: `imagenet`, `none` or a file.
        size: rows and columns of the pictures; None for the backbone's native size.
    """

    backbone: str
    weights: str = Recipe.weights
    size: int | None = None

    def __str__(self) -> str:
        size = f"@{self.size}" if self.size else ""
        return f"{self.backbone}{size}{'' if self.weights == Recipe.weights else f':{self.weights}'}"


def parse_entries(given: str | Sequence[str], weights: str = Recipe.weights) -> tuple[Entry, ...]:
    """Read a list of backbones.

    Args:
        given: `NAME[@PIXELS][:WEIGHTS]`, several with commas between, or a sequence of such. WEIGHTS is `imagenet`,
            `none` or a file, and everything behind the first colon belongs to it.
        weights: for those that name none.

    Raises:
        RecipeError: if one cannot be read, or is there twice.
    """
    texts = [text.strip() for text in (given.split(",") if isinstance(given, str) else given)]
    entries, problems = [], []
    for text in texts:
        if match := _ENTRY.fullmatch(text):
            size = None if match["size"] is None else int(match["size"])
            entries.append(Entry(match["backbone"], match["weights"] or weights, size))
        else:
            problems.append(f"backbone {text!r} is not of the form {ENTRY_FORM}, as nano@160 or mobilenet_v2:none.")
    if problems:
        raise RecipeError(problems)
    refuse_twice(entries)
    return tuple(entries)


def refuse_twice(entries: Iterable[Entry]) -> None:
    """Refuse what is the same twice.

    Raises:
        RecipeError: naming it.
    """
    twice = [str(entry) for entry, count in Counter(entries).items() if count > 1]
    if twice:
        raise RecipeError([f"backbone {name} is named more than once; once is enough." for name in twice])
