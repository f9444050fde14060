"""Who goes on to more pictures, and who is recommended in the end: decided by figures alone.

It is a race (Maron and Moore, Hoeffding Races, NIPS 1993) on samples that double as in successive halving (Jamieson
and Talwalkar, AISTATS 2016): out is who can no longer win, however many that are. Half of them, whatever the figures
say, would be chance where several are equally good.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from headstart.comparing.judging import Verdict
from headstart.evaluation.paired import difference_of_hits

AS_FAST = 1.1
"""What differs in speed by less is equally fast: measured twice, it may be the other way round."""

_NEARLY_ALL = 1.5  # where all pictures are no more than this times those of a round, it has all of them


def sizes(first: int, total: int) -> Iterator[int]:
    """How many pictures each round has: twice as many as the one before, and all of them in the end."""
    count = first
    while count * _NEARLY_ALL < total:
        yield count
        count *= 2
    yield total


def best_of(verdicts: Sequence[Verdict]) -> int:
    """The place of the most accurate; of equally accurate ones that with the lowest log loss."""
    return max(range(len(verdicts)), key=lambda place: (verdicts[place].accuracy, -verdicts[place].loss))


def hopeless(verdicts: Sequence[Verdict], speeds: Sequence[float], share: float) -> dict[int, int]:
    """Who cannot win any more, and whom that is due to.

    To win is to be the cheapest that is not clearly worse than the best. So out is who is clearly worse already; and
    who is not faster than another and, even if it is as good as the top of the interval says, would not be
    clearly better than that on all pictures, where the interval is narrower.

    Args:
        verdicts: on the same pictures.
        speeds: pictures a second.
        share: of all pictures that these are, above 0, at most 1.

    Returns:
        For each place that is out, that of the one that beats it.
    """
    best = best_of(verdicts)
    out = {place: best for place in range(len(verdicts)) if _is_worse(verdicts[place], verdicts[best])}
    good = [place for place in range(len(verdicts)) if place not in out]
    for place in good:
        faster = [other for other in good if speeds[other] >= AS_FAST * speeds[place]]
        beaten = [other for other in faster if not _may_beat(verdicts[place], verdicts[other], share)]
        if beaten:
            out[place] = max(beaten, key=lambda other: verdicts[other].accuracy)
    return out


def recommended(verdicts: Sequence[Verdict], speeds: Sequence[float]) -> int:
    """The place of the fastest that is not clearly worse than the best; of equally fast ones the most accurate."""
    best = verdicts[best_of(verdicts)]
    good = [place for place, verdict in enumerate(verdicts) if not _is_worse(verdict, best)]
    fastest = max(speeds[place] for place in good)
    fast = [place for place in good if AS_FAST * speeds[place] > fastest]
    return fast[best_of([verdicts[place] for place in fast])]


def _is_worse(one: Verdict, other: Verdict) -> bool:
    return difference_of_hits(one.hits, other.hits).high < 0


def _may_beat(one: Verdict, other: Verdict, share: float) -> bool:
    apart = difference_of_hits(one.hits, other.hits)
    reach = (apart.high - apart.low) / 2 * float(np.sqrt(share))
    return apart.high >= reach
