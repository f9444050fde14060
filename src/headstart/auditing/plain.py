"""Checks that need only files and labels: what is broken, misnamed or left over; sizes, classes, groups."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.auditing.findings import Check, Finding, Pictured
from headstart.auditing.subject import Subject
from headstart.images.dataset import IMBALANCE

_SAME_FORMAT = {"MPO": "JPEG"}  # a JPEG with more pictures behind the first
_KINDS = {
    "the file is empty": "empty",
    "not a picture in a known format": "no picture",
    "cannot be read": "unreadable",
}
_LEAST_FACTORS = {"size": 3.0, "aspect": 2.0}  # what a picture must be off by at least, as a factor, to be odd
_SPREADS = 4.0  # robust standard deviations


def unreadable(subject: Subject) -> Check:
    """Files that cannot be decoded."""
    findings = []
    for row in np.flatnonzero(~subject.looks.decodable):
        reason = subject.looks.problem(int(row))
        kind = next((kind for start, kind in _KINDS.items() if reason.startswith(start)), "damaged")
        findings.append(Finding(kind, (subject.pictured(int(row)),), reason))
    kinds = Counter(finding.kind for finding in findings)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    return Check(
        "unreadable",
        "Broken files",
        "A training leaves these out. Replace or remove them.",
        f"{len(findings):,} files cannot be decoded: {listed}." if findings else "Every file can be decoded.",
        tuple(findings),
        len(findings),
    )


def formats(subject: Subject) -> Check:
    """Pictures whose names end as those of another format do."""
    known = {suffix: _SAME_FORMAT.get(form, form) for suffix, form in Image.registered_extensions().items()}
    findings = []
    for row in subject.good:
        found = subject.looks.records["format"][row].decode()
        suffix = Path(subject.pictures[row].path).suffix.lower()
        said = known.get(suffix)
        if said is not None and said != _SAME_FORMAT.get(found, found):
            why = f"called {suffix}, but it is {found}"
            findings.append(Finding("format", (subject.pictured(int(row)),), why, {"found": found}))
    return Check(
        "formats",
        "Wrong extensions",
        "headstart goes by content, so these do no harm here; other programs may drop them.",
        f"{len(findings):,} names end as another format's." if findings else "Names end as their formats do.",
        tuple(findings),
        len(findings),
    )


def skipped(subject: Subject) -> Check:
    """What was found, and is in no class."""
    findings = tuple(Finding("skipped", (Pictured(bad.path, bad.path),), bad.reason) for bad in subject.listing.skipped)
    return Check(
        "skipped",
        "Left over",
        "These are in no class, or no files at all, and are not used.",
        f"{len(findings):,} are not used." if findings else "Nothing is left over.",
        findings,
        len(findings),
    )


def sizes(subject: Subject) -> Check:
    """Pictures that are much larger or smaller, or of another shape, than the rest."""
    rows, records = subject.good, subject.looks.records
    height, width = (records[name][rows].astype(float) for name in ("height", "width"))
    findings: list[tuple[float, Finding]] = []
    measures = {
        "size": (np.sqrt(height * width), "larger", "smaller"),
        "aspect": (width / np.maximum(height, 1), "wider", "narrower"),
    }
    for kind, (values, more, less) in measures.items():
        factors, odd = _odd(values, _LEAST_FACTORS[kind])
        for place in np.flatnonzero(odd):
            factor = float(np.exp(abs(factors[place])))
            why = f"{factor:.1f} times {more if factors[place] > 0 else less} than the usual picture"
            figures = {"width": int(width[place]), "height": int(height[place])}
            why = f"{figures['width']}x{figures['height']}: {why}"
            findings.append((factor, Finding(kind, (subject.pictured(int(rows[place])),), why, figures)))
    findings.sort(key=lambda item: -item[0])
    usual = f"{np.median(width):.0f}x{np.median(height):.0f}" if len(rows) else "nothing"
    return Check(
        "sizes",
        "Odd sizes",
        "Often thumbnails, banners or screenshots that got in by accident.",
        f"The usual picture is {usual}; {len(findings):,} are far from it.",
        tuple(finding for _, finding in findings),
        len(findings),
    )


def _odd(values: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """How far each is from the median, as a logarithm, and whether that is far: by the spread, and by a factor."""
    logs = np.log(np.maximum(values, 1e-9))
    apart = logs - (np.median(logs) if len(logs) else 0.0)
    spread = 1.4826 * np.median(np.abs(apart)) if len(logs) else 0.0
    return apart, np.abs(apart) > max(np.log(least), _SPREADS * spread)


def imbalance(subject: Subject) -> Check:
    """Classes that have much fewer pictures to learn from than others."""
    counts = learned(subject)
    largest = max(counts.values(), default=0)
    few = [(count, name) for name, count in counts.items() if count and count * IMBALANCE <= largest]
    findings = tuple(
        Finding("class", (), f"{name!r} has {count:,} pictures to learn from", {"label": name, "pictures": count})
        for count, name in sorted(few)
    )
    present = [count for count in counts.values() if count]
    ratio = largest / min(present) if present else 1.0
    return Check(
        "imbalance",
        "Class imbalance",
        f"A class with {IMBALANCE} times fewer pictures than the largest is learned badly, and accuracy hardly shows "
        "it. Collect more of it, or train with --class-weights balanced.",
        f"The largest class has {ratio:.1f} times the pictures of the smallest.",
        findings,
        len(findings),
    )


def learned(subject: Subject) -> dict[str, int]:
    """How many pictures of each class there are to learn from."""
    if subject.dataset is not None:
        return subject.dataset.learned
    labels = Counter(subject.pictures[row].label for row in subject.good if subject.pictures[row].is_learnable)
    return {name: labels[name] for name in subject.listing.classes}


def groups(subject: Subject) -> Check | None:
    """Groups of which some pictures are learned from and others evaluated on; None where there are no groups."""
    if not any(picture.group for picture in subject.listing.pictures):
        return None
    divided = sorted(subject.dataset.divided_groups) if subject.dataset is not None else []
    members: dict[str, list[int]] = {name: [] for name in divided}
    for row, picture in enumerate(subject.listing.pictures):
        if picture.group in members and subject.sides[row] is not None:
            members[picture.group].append(row)
    findings = tuple(
        Finding(
            "divided",
            tuple(map(subject.pictured, _from_each_side(subject, rows))),
            f"{len(rows)} pictures of {name!r} are on both sides",
            {"group": name, "size": len(rows)},
        )
        for name, rows in members.items()
    )
    return Check(
        "groups",
        "Groups on both sides",
        "What is learned of a group is known on the other side already, so the figures flatter the model. Move it.",
        f"{len(findings):,} groups are both learned from and evaluated on." if findings else "No group is divided.",
        findings,
        len(findings),
    )


def _from_each_side(subject: Subject, rows: list[int]) -> list[int]:
    """One picture of each side, and then the others."""
    sides = [subject.sides[row] for row in rows]
    first = [row for place, row in enumerate(rows) if sides.index(sides[place]) == place]
    return [*first, *(row for row in rows if row not in first)]
