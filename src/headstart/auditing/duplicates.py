"""Pictures that are there more than once: the same bytes, or nearly the same picture."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from headstart.auditing.findings import Check, Finding
from headstart.auditing.subject import Subject

_RANKS = ("across sides", "different labels", "others")


def exact(subject: Subject) -> Check:
    """Files with the same bytes."""
    rows = subject.good
    findings = _grouped(subject, rows, subject.likeness.exact, lambda number: "exact")
    return _check(
        subject,
        "exact",
        "Exact duplicates",
        "The same file more than once. Across sides the figures measure memory; with different labels one is wrong.",
        findings,
    )


def near(subject: Subject) -> Check:
    """Pictures that look alike: encoded again, resized, mirrored."""
    likeness = subject.likeness
    contents = np.zeros(likeness.near.max(initial=0) + 1, int)
    _, first = np.unique(likeness.exact, return_index=True)
    np.add.at(contents, likeness.near[first], 1)
    rows = subject.good[contents[likeness.near[subject.good]] > 1]
    findings = _grouped(
        subject, rows, likeness.near, lambda number: "mirrored" if number in likeness.mirrored else "near"
    )
    return _check(
        subject,
        "near",
        "Near duplicates",
        "The same picture encoded again, resized, slightly changed or mirrored, or two of one burst. Look before you "
        "remove any.",
        findings,
    )


def _grouped(subject: Subject, rows: np.ndarray, numbers: np.ndarray, kind_of: Callable[[int], str]) -> list[Finding]:
    """A finding for every number that more than one of the rows have, the worst first."""
    order = rows[np.argsort(numbers[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    found: list[tuple[int, Finding]] = []
    for group in np.split(order, starts[1:]):
        if len(group) > 1 and any(subject.sides[row] != "new" for row in group):
            found.append(_finding(subject, group.tolist(), kind_of(int(numbers[group[0]]))))
    found.sort(key=lambda item: item[0])
    return [
        Finding(one.kind, one.pictures, one.why, {"group": number, **one.figures})
        for number, (_, one) in enumerate(found, start=1)
    ]


def _finding(subject: Subject, rows: list[int], kind: str) -> tuple[int, Finding]:
    learned = [row for row in rows if subject.sides[row] == "train"]
    others = [row for row in rows if subject.sides[row] not in ("train", None)]
    labels = {subject.pictures[row].label for row in rows} - {None}
    rank = 0 if learned and others else 1 if len(labels) > 1 else 2
    # The first two are those that show what is wrong.
    shown = learned[:1] + others[:1] if rank == 0 else _of_two_labels(subject, rows) if rank == 1 else []
    ordered = [*shown, *(row for row in rows if row not in shown)]
    why = _RANKS[rank] + (" and different labels" if rank == 0 and len(labels) > 1 else "")
    if rank == 2:
        sides = sorted({str(subject.sides[row]) for row in rows})
        why = "same side and label" if len(sides) == 1 else f"on {' and '.join(sides)}"
    return rank, Finding(kind, tuple(map(subject.pictured, ordered)), why, {"rank": _RANKS[rank], "size": len(rows)})


def _of_two_labels(subject: Subject, rows: Sequence[int]) -> list[int]:
    other = next(row for row in rows if subject.pictures[row].label != subject.pictures[rows[0]].label)
    return [rows[0], other]


def _check(subject: Subject, name: str, title: str, meaning: str, findings: list[Finding]) -> Check:
    ranks = Counter(finding.figures["rank"] for finding in findings)
    torn = sum("different labels" in finding.why for finding in findings)
    summary = "None were found."
    if findings:
        summary = f"{len(findings):,} groups: {ranks[_RANKS[0]]:,} across sides, {torn:,} with different labels."
    return Check(name, title, meaning, summary, tuple(findings), len(findings))
