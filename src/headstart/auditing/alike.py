"""Which of many pictures look alike, without comparing each with each.

Perceptual hashes of 64 bits that differ in up to seven of them agree, in at least one of four bands of 16 bits, in all
bits but one (the pigeonhole principle; Norouzi, Punjani and Fleet, Fast Search in Hamming Space with Multi-Index
Hashing, CVPR 2012). So for each band the hashes are sorted, and each is compared with those that have its own band, or
one of the 16 that differ in one bit. Where thousands share a band, only the nearest in the order are looked at, which
bounds the work whatever the pictures: alike pictures still meet, one by one, as links of a chain.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.progress import Advance

MOST_BITS = 7
"""Hashes that differ in more bits are not compared any further."""

STEPS = 2 * 4 * 17
"""What `advance` is told of, one by one."""

_BAND = 16
_MASKS = np.array([0, *(1 << bit for bit in range(_BAND))], np.uint64)
_REACH = 16  # neighbours in the order looked at on either side
_CHUNK = 20_000
_LEVELS, _CONTRASTS = 4.0, 0.3  # what thumbnails may differ by: grey levels, or a share of their contrast


@dataclass(frozen=True)
class Alike:
    """Pictures that look alike.

    Attributes:
        groups: integer `(pictures,)`; pictures with the same number belong together.
        first: integer `(links,)`, by which picture the links that make the groups begin.
        second: integer `(links,)`, by which they end.
        mirrored: bool `(links,)`, whether the one looks like the mirror image of the other.
    """

    groups: np.ndarray
    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray


def find_alike(
    hashes: np.ndarray, mirrored: np.ndarray, thumbnails: np.ndarray, advance: Advance = lambda count: None
) -> Alike:
    """Group pictures that look alike, also when mirrored.

    Candidates by their hashes are confirmed by comparing thumbnails: what differs, root mean square, must be small
    beside the contrast of both.

    Args:
        hashes: uint64 `(pictures,)`.
        mirrored: uint64 `(pictures,)`, of the mirror images.
        thumbnails: uint8 `(pictures, rows, columns, 3)`.
        advance: told of every step of the search.
    """
    count = len(hashes)
    groups = np.arange(count)
    links: list[np.ndarray] = []
    for is_mirrored, asked in ((False, hashes), (True, mirrored)):
        for lookup in _lookups(hashes):
            for mask in _MASKS:
                found = [
                    _confirmed(pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]], thumbnails, is_mirrored)
                    for pairs in lookup(asked, mask)
                ]
                pairs = np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), int)
                if len(pairs):
                    links.append(np.column_stack([pairs, np.full(len(pairs), is_mirrored)]))
                    groups = _merge(groups, pairs)
                advance(1)
    made = np.concatenate(links) if links else np.zeros((0, 3), int)
    return Alike(groups, made[:, 0], made[:, 1], made[:, 2].astype(bool))


_Lookup = Callable[[np.ndarray, np.uint64], Iterator[np.ndarray]]


def _lookups(hashes: np.ndarray) -> Iterator[_Lookup]:
    """For each band, what finds the pictures whose hashes are near others in all but that band's masked bits."""
    for band in range(64 // _BAND):
        turn = np.uint64(band * _BAND)
        keys = _turned(hashes, turn)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        yield lambda asked, mask, order=order, keys=keys, turn=turn: _near(  # type: ignore[misc]
            _turned(asked, turn), mask, order, keys
        )


def _turned(hashes: np.ndarray, turn: np.uint64) -> np.ndarray:
    """Hashes with another band in front."""
    return hashes if turn == 0 else np.asarray((hashes << turn) | (hashes >> (np.uint64(64) - turn)))


def _near(asked: np.ndarray, mask: np.uint64, order: np.ndarray, keys: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of pictures, integer `(pairs, 2)`, the lower number first: those asked for and those in the same band."""
    low_bits = np.uint64(64 - _BAND)
    rest = np.uint64((1 << (64 - _BAND)) - 1)
    # Asked in their own order, searches of neighbours hit the same part of the memory.
    rows = np.argsort(asked, kind="stable")
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        wanted = asked[chunk] ^ (mask << low_bits)
        place = np.searchsorted(keys, wanted)
        first = np.maximum(np.searchsorted(keys, wanted & ~rest), place - _REACH)
        last = np.minimum(np.searchsorted(keys, wanted | rest, side="right"), place + _REACH + 1)
        counts = last - first
        asking = np.repeat(np.arange(len(chunk)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        neighbours = first[asking] + offsets
        close = np.bitwise_count(asked[chunk][asking] ^ keys[neighbours]) <= MOST_BITS
        pairs = np.column_stack([chunk[asking[close]], order[neighbours[close]]])
        yield np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)


def _confirmed(pairs: np.ndarray, thumbnails: np.ndarray, is_mirrored: bool) -> np.ndarray:
    """The pairs whose thumbnails agree."""
    good = [pairs[:0]]
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        ones, others = (thumbnails[part[:, side]].astype(np.float32) for side in (0, 1))
        if is_mirrored:
            others = others[:, :, ::-1]
        contrast = np.minimum(*(pixels.std(axis=(1, 2, 3)) for pixels in (ones, others)))
        apart = np.sqrt(np.square(ones - others).mean(axis=(1, 2, 3)))
        good.append(part[apart <= np.maximum(_LEVELS, _CONTRASTS * contrast)])
    return np.concatenate(good)


def _merge(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Groups once pictures are linked: each group is called by a number of its own."""
    ones, others = groups[pairs[:, 0]], groups[pairs[:, 1]]
    size = len(groups)
    graph = coo_array((np.ones(len(pairs), bool), (ones, others)), shape=(size, size))
    _, merged = connected_components(graph, directed=False)
    return np.asarray(merged[groups])
