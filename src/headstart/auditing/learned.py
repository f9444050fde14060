"""Checks that need features: labels that are likely wrong, pictures unlike all others, sides that differ."""

import numpy as np
from threadpoolctl import threadpool_limits

from headstart.auditing.domains import Separation, separate
from headstart.auditing.findings import Check, Finding, Where
from headstart.auditing.subject import Subject
from headstart.auditing.vectors import Vectors
from headstart.progress import bar
from headstart.training.cross_validation import FOLDS, assign_folds
from headstart.training.kernel import unit_length
from headstart.training.rows import in_pieces
from headstart.training.solve import STEPS, held_out_probabilities

NEIGHBOURS = 10
"""A picture is as far from the others as from this many of the nearest on average."""

FAR = 4.0
"""Robust standard deviations beyond which a picture is an outlier."""

GIVEAWAYS = 50
"""Pictures named for each comparison of sides, at most."""

_LEAST_SPREAD = 0.02  # of the logarithm: where all distances are nearly the same, a little more is nothing odd
_REFERENCES = 5000  # pictures that distances are measured to; beyond that, all of them tell hardly more
_FEWEST = 20  # pictures without which nothing is worth estimating


def labels(subject: Subject, vectors: Vectors, seed: int) -> Check:
    """Labels that are likely wrong: confident learning (Northcutt, Jiang and Chuang, JAIR 2021), by cleanlab.

    Probabilities are those of a head that has not seen the picture, nor anything that looks like it, nor its group.
    """
    rows = vectors.rows[[subject.sides[row] != "new" for row in vectors.rows]]
    names = [str(subject.pictures[row].label) for row in rows]
    present, numbers = np.unique(np.array(names, str), return_inverse=True)
    folds = assign_folds(numbers, seed, subject.units[rows])
    held = np.flatnonzero(folds >= 0)
    findings: list[Finding] = []
    summary = "There are too few pictures to tell."
    if len(held) >= _FEWEST and len(np.unique(numbers[held])) > 1:
        with bar("looking for wrong labels", STEPS["auto"] + FOLDS, "fits", subject.show) as advance:
            said = held_out_probabilities(vectors.of(rows), numbers, folds, seed, advance)
        suspects = held[_suspects(numbers[held], said[held])]
        # Where its own class is the most probable one all the same, it is unsure, but of no other class.
        suspects = suspects[said[suspects].argmax(axis=1) != numbers[suspects]]
        findings = [_label_finding(subject, int(rows[i]), numbers[i], said[i], present) for i in suspects]
        summary = f"{len(findings):,} of {len(held):,} labels are likely wrong."
    return Check(
        "labels",
        "Likely label errors",
        "Heads that had not seen these pictures are sure of another class. Some are wrong labels, some hard pictures: "
        "look at them one by one.",
        summary,
        tuple(findings),
        len(findings),
    )


def _suspects(numbers: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The places of labels with issues, the worst first."""
    from cleanlab.filter import find_label_issues

    # Of cleanlab's filters this had the fewest false alarms: docs/design/audit.md.
    how = {"filter_by": "low_self_confidence", "return_indices_ranked_by": "self_confidence"}
    return np.asarray(find_label_issues(numbers, said, n_jobs=1, **how), dtype=int)


def _label_finding(subject: Subject, row: int, own: int, said: np.ndarray, names: np.ndarray) -> Finding:
    rival = int(said.argmax())
    figures = {
        "suggested": str(names[rival]),
        "probability": round(float(said[own]), 4),
        "suggested_probability": round(float(said[rival]), 4),
    }
    why = f"{str(names[own])!r} has {said[own]:.0%}, {str(names[rival])!r} {said[rival]:.0%}"
    return Finding("label", (subject.pictured(row),), why, figures)


def outliers(subject: Subject, vectors: Vectors, seed: int) -> Check:
    """Pictures far from all others in the features.

    The distance is that to the nearest few of at most so many others, drawn at random (Sugiyama and Borgwardt, Rapid
    Distance-Based Outlier Detection via Sampling, NIPS 2013). Its logarithm is compared with that of all pictures, by
    median and median absolute deviation.
    """
    rows = vectors.rows[[subject.sides[row] != "new" for row in vectors.rows]]
    findings: list[Finding] = []
    summary = "There are too few pictures to tell."
    if len(rows) >= _FEWEST:
        distances = np.log(_distances(vectors, rows, subject.likeness.near, seed))
        middle = np.median(distances)
        spread = max(1.4826 * float(np.median(np.abs(distances - middle))), _LEAST_SPREAD)
        far = (distances - middle) / spread
        order = np.argsort(-far, kind="stable")
        for place in order[far[order] > FAR]:
            why = f"{np.exp(distances[place] - middle):.1f} times as far from its neighbours as is usual"
            figures = {"deviations": round(float(far[place]), 2)}
            findings.append(Finding("outlier", (subject.pictured(int(rows[place])),), why, figures))
        summary = f"{len(findings):,} of {len(rows):,} are unlike all others."
    return Check(
        "outliers",
        "Outliers",
        "Unlike all other pictures, whatever their class: wrong crops, logos, screenshots, or the one rare case.",
        summary,
        tuple(findings),
        len(findings),
    )


def _distances(vectors: Vectors, rows: np.ndarray, near: np.ndarray, seed: int) -> np.ndarray:
    """Mean distance to the nearest references that are not the picture itself nor look like it, float `(rows,)`."""
    from sklearn.neighbors import NearestNeighbors

    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_REFERENCES])
    # One of each that look alike: copies keep each other company, and are outliers all the same.
    _, first = np.unique(near[rows[drawn]], return_index=True)
    references = rows[drawn[np.sort(first)]]
    wanted = min(NEIGHBOURS, len(references) - 1)
    if wanted < 1:
        return np.ones(len(rows))
    found = np.zeros(len(rows))
    with threadpool_limits(1):
        model = NearestNeighbors(algorithm="brute").fit(_units(vectors, references))
        for piece in in_pieces(np.arange(len(rows))):
            apart, which = model.kneighbors(_units(vectors, rows[piece]), wanted + 1)
            own = near[references[which]] == near[rows[piece]][:, None]
            own[~own.any(axis=1), -1] = True  # one is left out of each, the farthest where none is its own
            found[piece] = apart[~own].reshape(len(piece), wanted).mean(axis=1)
    return np.maximum(found, 1e-6)


def _units(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    return unit_length(np.asarray(vectors.of(rows), np.float32))


def shift(subject: Subject, vectors: Vectors, seed: int) -> Check:
    """Whether training pictures can be told from validation, test and new ones, and by which."""
    findings: list[Finding] = []
    sentences: list[str] = []
    found = 0
    learned_from = _on(subject, vectors, "train")
    others: tuple[Where, ...] = ("val", "test", "new")
    for other in others:
        rows = _on(subject, vectors, other)
        if not len(rows):
            continue
        if min(len(rows), len(learned_from)) < _FEWEST:
            sentences.append(f"Too few pictures to compare train with {other}.")
            continue
        with bar(f"comparing train with {other}", FOLDS, "fits", subject.show) as advance:
            apart = separate(vectors.of, learned_from, rows, subject.units, seed, advance)
        sentences.append(f"Train and {other}: {apart.in_words}.")
        found += apart.is_shift
        findings += _giveaways(subject, apart, other)
    return Check(
        "shift",
        "Shift between sides",
        "If a classifier can tell the sides apart, what is measured on one does not hold for the other. The pictures "
        "that give it away come first; another mix of classes is a shift, too.",
        " ".join(sentences) or "There is nothing to compare.",
        tuple(findings),
        found,
    )


def _on(subject: Subject, vectors: Vectors, side: Where) -> np.ndarray:
    return vectors.rows[[subject.sides[row] == side for row in vectors.rows]]


def _giveaways(subject: Subject, apart: Separation, other: Where) -> list[Finding]:
    if not apart.is_shift:
        return []
    figures = {"against": other, "auc": round(apart.auc, 4), "low": round(apart.low, 4), "high": round(apart.high, 4)}
    return [
        Finding(
            f"train/{other}",
            (subject.pictured(row),),
            f"told from train with {probability:.0%}",
            {**figures, "probability": round(probability, 4)},
        )
        for row, probability in apart.giveaways(GIVEAWAYS)
    ]
