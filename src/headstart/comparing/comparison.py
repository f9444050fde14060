"""What a comparison has found: data alone, from which the table, the JSON, the CSV file and the page are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Behind:
    """How far a backbone is behind another on the same pictures.

    Attributes:
        name: of the other.
        accuracy: its own accuracy less that of the other, -1 to 1.
        low: lower end of the 95 % interval of that.
        high: upper end.
    """

    name: str
    accuracy: float
    low: float
    high: float

    @property
    def in_words(self) -> str:
        """The difference with its interval."""
        return f"{self.accuracy:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


@dataclass(frozen=True)
class Row:
    """One backbone, or an ensemble of two.

    Attributes:
        name: what a person calls it.
        backbones: the names in the registry.
        weights: `imagenet`, `none` or a file.
        image_size: rows and columns of the pictures.
        accuracy: share of pictures that heads get right which have not seen them, 0 to 1.
        low: lower end of its 95 % interval.
        high: upper end.
        loss: mean cross-entropy of these in nats.
        pictures: how many it was judged on.
        in_the_end: whether these were all, so that it could still win in the last round.
        behind: the one it is compared with: the best of all, or who put it out; None for the best.
        pictures_per_second: of the frozen part on this machine.
        parameters: of the backbone.
        bytes: what its weights take in a file.
        extracted: passes of pictures through the frozen part; the others were in the store.
        command: what trains it.
    """

    name: str
    backbones: tuple[str, ...]
    weights: str
    image_size: int
    accuracy: float
    low: float
    high: float
    loss: float
    pictures: int
    in_the_end: bool
    behind: Behind | None
    pictures_per_second: float
    parameters: int
    bytes: int
    extracted: int
    command: str

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        content = dict(vars(self))
        content["backbones"] = list(self.backbones)
        content["behind"] = None if self.behind is None else dict(vars(self.behind))
        return content


@dataclass(frozen=True)
class Comparison:
    """A leaderboard of backbones on the pictures to learn from.

    Attributes:
        data: what was given.
        pictures: to learn from, which all are judged on in the end who can still win; those for validation and
            testing were not looked at.
        classes: how many of them have pictures.
        rounds: pictures in each round.
        rows: the best first: those that could still win in the end, by accuracy; then who was put out last.
        left_out: by name, why a backbone could not be compared.
        not_cached: backbones that were left out because their ImageNet weights are not on this machine.
        quarantined: files that could not be decoded.
        extracted: passes of pictures through frozen parts.
        reused: pictures whose features were in the store, for each of the backbones.
        recommended: the name of the fastest that is not clearly worse than the best.
        sentence: the recommendation in words.
        seconds: how long it took.
    """

    data: str
    pictures: int
    classes: int
    rounds: tuple[int, ...]
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    not_cached: tuple[str, ...]
    quarantined: int
    extracted: int
    reused: int
    recommended: str
    sentence: str
    seconds: float

    @property
    def choice(self) -> Row:
        """The row that is recommended."""
        return self.row(self.recommended)

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        content = dict(vars(self))
        content["rows"] = [row.to_dict() for row in self.rows]
        for name in ("rounds", "not_cached"):
            content[name] = list(content[name])
        return {**content, "left_out": dict(self.left_out), "command": self.choice.command}


def in_words(rows: Sequence[Row], choice: Row) -> str:
    """The recommendation, with what is given up for it.

    Args:
        rows: the leaderboard.
        choice: the fastest of those that are not clearly worse than the first.
    """
    figures = (
        f"{choice.name}: {choice.accuracy:.4f} of {choice.pictures:,} pictures right (95 % interval {choice.low:.4f} "
        f"to {choice.high:.4f}) at {choice.pictures_per_second:,.0f} pictures a second"
    )
    if len(rows) == 1:
        return f"{figures}; there was nothing to compare it with."
    if choice.behind is not None:
        return (
            f"{figures}, {_times(choice, rows[0])} as fast as {rows[0].name}, which has {rows[0].accuracy:.4f}: the "
            f"difference of {choice.behind.in_words} may be chance."
        )
    faster = [row for row in rows if row.in_the_end and row.pictures_per_second > choice.pictures_per_second]
    if not faster:
        return f"{figures}; it is the most accurate, and nothing faster is as good."
    other = max(faster, key=lambda row: row.accuracy)
    assert other.behind is not None, "who is not the best is behind it"
    return (
        f"{figures}; it is the most accurate. {other.name} is {_times(other, choice)} as fast and has "
        f"{other.accuracy:.4f}, a difference of {other.behind.in_words}."
    )


def _times(one: Row, other: Row) -> str:
    return f"{one.pictures_per_second / other.pictures_per_second:.1f} times"
