"""What an audit has found: data alone, from which the table, the JSON, the CSV files and the page are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

SHOWN = 24
"""Findings of each check on the page, where nobody says how many."""

NEEDS_KERAS = "auditing with features (--no-features leaves them out)"
"""What an audit needs Keras for, in the words of an error."""

Where = Literal["train", "val", "test", "new"]
"""A side of the split, or `new` for pictures that the data was compared with."""


class Pictured(NamedTuple):
    """A picture in a finding.

    Attributes:
        path: where it is, see `headstart.images.places`.
        name: what tables call it by.
        label: its class; None where nobody said.
        side: where it is in the split; None for a file that is on no side.
    """

    path: str
    name: str
    label: str | None = None
    side: Where | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should look at.

    Attributes:
        kind: a word that tells it from other findings of the same check, as `mirrored`.
        pictures: those it is about, one or more; none for what is about a class or a group.
        why: what was found, in words.
        figures: the same as values, by name: the columns of a table.
    """

    kind: str
    pictures: tuple[Pictured, ...]
    why: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One question that was asked of the data, and the answer.

    Attributes:
        name: `unreadable`, `formats`, `skipped`, `exact`, `near`, `imbalance`, `sizes`, `groups`, `labels`, `outliers`,
            `shift`.
        title: the name for people.
        meaning: what it is about and what to do, in a sentence or two.
        summary: the answer in a sentence.
        findings: the worst first.
        found: how many there are to be looked at; the findings of a check that only describes count for nothing.
    """

    name: str
    title: str
    meaning: str
    summary: str
    findings: tuple[Finding, ...]
    found: int


@dataclass(frozen=True)
class Audit:
    """What is known of data before anything is learned from it.

    Attributes:
        data: what was given.
        files: how many there are, the skipped and the new ones among them.
        counts: pictures that can be decoded, by class and side.
        checks: the questions and answers, in the order in which they should be read.
        backbone: whose features were used; None where none were.
        refused: why this data could not be trained on as it is; empty where it could.
        seconds: how long it took.
    """

    data: str
    files: int
    counts: Mapping[str, Mapping[str, int]]
    checks: tuple[Check, ...]
    backbone: str | None
    refused: str
    seconds: float

    @property
    def found(self) -> int:
        """Findings of all checks together."""
        return sum(check.found for check in self.checks)

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: if it was not made.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "data": self.data,
            "files": self.files,
            "found": self.found,
            "backbone": self.backbone,
            "refused": self.refused,
            "seconds": self.seconds,
            "classes": {name: dict(sides) for name, sides in self.counts.items()},
            "checks": {check.name: _plain(check) for check in self.checks},
        }


def _plain(check: Check) -> dict[str, Any]:
    findings = [
        {
            "kind": finding.kind,
            "why": finding.why,
            **finding.figures,
            "pictures": [picture._asdict() for picture in finding.pictures],
        }
        for finding in check.findings
    ]
    return {"found": check.found, "summary": check.summary, "findings": findings}
