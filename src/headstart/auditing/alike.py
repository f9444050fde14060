"""Which of many pictures look alike, without comparing each with each.

Perceptual hashes of 64 bits that differ in up to seven of them agree, in at least one of four bands of 16 bits, in all
bits but one (the pigeonhole principle; Norouzi, Punjani and Fleet, Fast Search in Hamming Space with Multi-Index
Hashing, CVPR 2012). So for each band the hashes are sorted, and each is compared with those that have its own band, or
one of the 16 that differ in one bit. Where thousands share a band, only the nearest in the order are looked at, and a
picture that was compared in vain too often asks no more, which bounds the work whatever the pictures: alike ones still
meet, one by one, as links of a chain.
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
_FEW = 4  # candidates of one picture compared at a time
_PATIENCE = 24  # comparisons in vain after which a picture asks no more
_CHUNK = 20_000
_LEVELS, _CONTRASTS = 4.0, 0.3  # what thumbnails may differ by: grey levels, or a share of their contrast
_EXPOSURES = (0.7, 1.4)  # pictures may be so much darker or brighter
_BLANK = 10.0  # grey levels of contrast, below which brightness is all there is to compare


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
    search = _Search(thumbnails)
    for is_mirrored, asked in ((False, hashes), (True, mirrored)):
        for lookup in _lookups(hashes):
            for mask in _MASKS:
                for pairs, bits in lookup(asked, mask):
                    search.try_out(pairs, bits, is_mirrored)
                advance(1)
    return search.result()


class _Search:
    """What has been found so far, and how often pictures have been compared in vain."""

    def __init__(self, thumbnails: np.ndarray):
        self._thumbnails = thumbnails
        self._groups = np.arange(len(thumbnails))
        self._in_vain = np.zeros(len(thumbnails), np.int32)
        self._links = [np.zeros((0, 3), int)]

    def result(self) -> Alike:
        """The groups, and the links that made them."""
        links = np.concatenate(self._links)
        return Alike(self._groups, links[:, 0], links[:, 1], links[:, 2].astype(bool))

    def try_out(self, pairs: np.ndarray, bits: np.ndarray, is_mirrored: bool) -> None:
        """Compare the thumbnails of candidates, integer `(pairs, 2)`: who asks and who answers; link those that agree.

        Where there are many, only the nearest few of each are compared, and none of those that were compared so
        often in vain that they must look like anything.
        """
        pairs = self._worth_trying(pairs, bits)
        agreed = _agree(pairs, self._thumbnails, is_mirrored)
        self._in_vain += np.bincount(pairs[~agreed, 0], minlength=len(self._in_vain)).astype(np.int32)
        links = pairs[agreed]
        if len(links):
            self._links.append(np.column_stack([links, np.full(len(links), is_mirrored)]))
            self._groups = _merged(self._groups, links)

    def _worth_trying(self, pairs: np.ndarray, bits: np.ndarray) -> np.ndarray:
        ones, others = self._groups[pairs[:, 0]], self._groups[pairs[:, 1]]
        useful = (ones != others) & (self._in_vain[pairs[:, 0]] < _PATIENCE)
        pairs, bits = pairs[useful], bits[useful]
        order = np.lexsort((bits, pairs[:, 0]))
        pairs = pairs[order]
        rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
        return pairs[rank < _FEW]


_Lookup = Callable[[np.ndarray, np.uint64], Iterator[tuple[np.ndarray, np.ndarray]]]


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


def _near(
    asked: np.ndarray, mask: np.uint64, order: np.ndarray, keys: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of pictures, integer `(pairs, 2)`, who asks and who is in the band asked for, and the bits that differ."""
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
        bits = np.bitwise_count(asked[chunk][asking] ^ keys[neighbours])
        close = bits <= MOST_BITS
        yield np.column_stack([chunk[asking[close]], order[neighbours[close]]]), bits[close]


def _agree(pairs: np.ndarray, thumbnails: np.ndarray, is_mirrored: bool) -> np.ndarray:
    """Bool `(pairs,)`: whether the thumbnails agree."""
    agreed = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        ones, others = (thumbnails[pairs[part, side]].astype(np.float32) for side in (0, 1))
        if is_mirrored:
            others = others[:, :, ::-1]
        others = others * _exposure(ones, others)
        # Of each channel by itself: a red picture is not rich in contrast because it is not green.
        contrast = np.sqrt(np.minimum(*(pixels.var(axis=(1, 2)).mean(axis=1) for pixels in (ones, others))))
        apart = np.sqrt(np.square(ones - others).mean(axis=(1, 2, 3)))
        agreed[part] = apart <= np.maximum(_LEVELS, _CONTRASTS * contrast)
    return agreed


def _exposure(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What to multiply the others by to be as bright as the ones, float32 `(pairs, 1, 1, 1)`; 1 for blank pictures."""
    product, power = (np.einsum("ijkl,ijkl->i", pixels, others) for pixels in (ones, others))
    gain = np.clip(product / np.maximum(power, 1), *_EXPOSURES)
    is_blank = np.minimum(*(pixels.std(axis=(1, 2)).max(axis=1) for pixels in (ones, others))) < _BLANK
    return np.asarray(np.where(is_blank, 1, gain)[:, None, None, None].astype(np.float32))


def _merged(groups: np.ndarray, links: np.ndarray) -> np.ndarray:
    """The groups once pictures are linked; a merged group has the number of one of those that went into it."""
    touched, numbered = np.unique(groups[links], return_inverse=True)
    ones, others = numbered.reshape(-1, 2).T
    graph = coo_array((np.ones(len(links), bool), (ones, others)), shape=(len(touched), len(touched)))
    _, components = connected_components(graph, directed=False)
    _, first = np.unique(components, return_index=True)
    renamed = np.arange(len(groups))
    renamed[touched] = touched[first][components]
    return np.asarray(renamed[groups])
