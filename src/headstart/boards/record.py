"""What a RUN says of its pictures and of its training, and where the pictures are now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from headstart.bundle import Run
from headstart.errors import DataError, RunError
from headstart.images.pictures import SIDE_NAMES, Side
from headstart.images.places import is_there
from headstart.records import find_pictures, read_table, recipe_of
from headstart.run_files import HISTORY, PREDICTIONS, SPLITS


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
    side: Side
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
        return recipe_of(self.run).to_dict()

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
    find = _finder(run, data)
    history: dict[str, list[dict[str, str]]] = {}
    judged: dict[tuple[str, str], tuple[str, float]] = {}
    pictures = []
    try:
        for row in read_table(run, HISTORY):
            if not row["stage"].isidentifier():  # it is going to be the name of a folder
                raise ValueError(f"{HISTORY} has a stage {row['stage']!r}")
            history.setdefault(row.pop("stage"), []).append({name: text for name, text in row.items() if text})
        for row in read_table(run, PREDICTIONS):
            judged[row["path"], row["side"]] = (row["predicted"], float(row["probability"]))
        for row in read_table(run, SPLITS):
            name, side = row["path"], SIDE_NAMES[row["side"]]
            seen = Seen(name, side, row["label"], row["digest"], find(name, side), *judged.get((name, side), ()))
            pictures.append(seen)
    except (KeyError, ValueError) as error:
        raise RunError(f"the tables in {run.path} are damaged: {error}. Copy the whole RUN once more.") from None
    return Record(run, tuple(pictures), history)


def _finder(run: Run, data: str | None) -> Callable[[str, Side], str | None]:
    """From the name of a picture to where it is; to None where it is not any more."""
    try:
        place = find_pictures(run, data)
    except DataError:  # none of them is
        return lambda name, side: None
    return lambda name, side: path if is_there(path := place(name, side)) else None
