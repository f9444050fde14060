"""What a RUN says of its pictures and of its training, and where the pictures are now."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headstart.bundle import Run
from headstart.errors import HeadstartError, RunError
from headstart.exporting.of_run import recipe_of
from headstart.images.archives import ArchiveError
from headstart.images.folders import class_entries, existing_folder
from headstart.images.pictures import SIDE_NAMES
from headstart.images.places import is_file
from headstart.images.tables import is_table


class Seen(NamedTuple):
    """A picture that the RUN was trained or judged with.

    Attributes:
        name: what its tables call it.
        side: `train`, `val` or `test`.
        label: its class.
        digest: of its bytes then.
        path: where it is now; None where it is not any more.
        predicted: what the RUN took it for; None for training pictures.
        probability: how sure it was of that; 0 for training pictures.
    """

    name: str
    side: str
    label: str
    digest: str
    path: str | None
    predicted: str | None = None
    probability: float = 0.0

    @property
    def is_mistaken(self) -> bool:
        """Whether the RUN took it for something else than it is."""
        return self.predicted is not None and self.predicted != self.label


@dataclass(frozen=True)
class Record:
    """What a RUN says.

    Attributes:
        run: the RUN.
        pictures: all of them.
        history: the rows of every stage, by its name: texts by column, empty ones left out.
    """

    run: Run
    pictures: tuple[Seen, ...]
    history: dict[str, list[dict[str, str]]]

    @property
    def recipe(self) -> dict[str, Any]:
        """The choices that it was trained with."""
        return recipe_of(self.run)

    @property
    def gone(self) -> int:
        """How many pictures are not where they were."""
        return sum(picture.path is None for picture in self.pictures)


def read_record(run: Run, data: str | None = None) -> Record:
    """Read the tables of a RUN.

    Args:
        run: the RUN.
        data: where the pictures are now; None for where they were.

    Raises:
        RunError: if a table is damaged.
    """
    bases = list(_bases(recipe_of(run), data))
    history: dict[str, list[dict[str, str]]] = {}
    judged: dict[tuple[str, str], tuple[str, float]] = {}
    pictures = []
    try:
        for row in _rows(run.path / "history.csv"):
            if not row["stage"].isidentifier():  # it is going to be the name of a folder
                raise ValueError(f"history.csv has a stage {row['stage']!r}")
            history.setdefault(row.pop("stage"), []).append({name: text for name, text in row.items() if text})
        for row in _rows(run.path / "predictions.csv"):
            judged[row["path"], row["side"]] = (row["predicted"], float(row["probability"]))
        for row in _rows(run.path / "splits.csv"):
            name, side = row["path"], row["side"]
            seen = Seen(name, side, row["label"], row["digest"], _find(name, bases), *judged.get((name, side), ()))
            pictures.append(seen)
    except (KeyError, ValueError) as error:
        raise RunError(f"the tables in {run.path} are damaged: {error}. Copy the whole RUN once more.") from None
    return Record(run, tuple(pictures), history)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table; of what there is no file, none."""
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.DictReader(file):
                if None in row or None in row.values():  # more or fewer cells than the header has
                    raise ValueError(f"{path.name} has rows of another length than its header")
                yield row
    except FileNotFoundError:
        return
    except (OSError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None


def _bases(recipe: dict[str, Any], data: str | None) -> Iterator[str]:
    """The folders that names of pictures may be below."""
    given = [data] if data is not None else [recipe.get(name) for name in ("data", "val", "test")]
    for place in given:
        if not isinstance(place, str):
            continue
        if is_table(place):
            yield os.path.dirname(place)
            continue
        try:
            root = existing_folder(place)
            yield os.fspath(root)
            # A lone train folder is one of class folders, and its pictures are called by their names below it.
            yield from (entry.path for entry in class_entries(root) if entry.name.lower() in SIDE_NAMES)
        except HeadstartError:
            continue


def _find(name: str, bases: list[str]) -> str | None:
    # Tables have an apostrophe before names that a spreadsheet would take for formulas.
    names = (name, name[1:]) if name.startswith("'") else (name,)
    for base in bases:
        for candidate in names:
            path = os.path.normpath(os.path.join(base, candidate))
            try:
                if is_file(path):
                    return path
            except (ArchiveError, OSError, ValueError):
                continue
    return None
