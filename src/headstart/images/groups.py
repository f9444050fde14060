"""Which pictures belong together and must not be divided: a patient's, a burst's, those of one place."""

import logging
from dataclasses import replace

from headstart.errors import DataError
from headstart.images.pictures import Listing
from headstart.specs import parse_group_pattern

log = logging.getLogger(__name__)


def group_by_name(listing: Listing, pattern: str) -> Listing:
    """Give every picture the group that stands in its name; one that does not match belongs to nobody, with a warning.

    Args:
        listing: what was found.
        pattern: see `headstart.specs.parse_group_pattern`.

    Raises:
        DataError: if no name matches.
        ValueError: if it is no pattern.
    """
    form = parse_group_pattern(pattern)
    pictures = tuple(picture._replace(group=form.find(picture.name)) for picture in listing.pictures)
    others = [picture.name for picture in pictures if picture.group is None]
    if len(others) == len(pictures):
        raise DataError(f"no name of a picture in {listing.root} matches group_by {pattern!r}; one is {others[0]!r}.")
    if others:
        log.warning(
            "%d of %d names do not match group_by %s, as %r; each of these pictures is a group of its own.",
            *(len(others), len(pictures), pattern, others[0]),
        )
    return replace(listing, pictures=pictures)
