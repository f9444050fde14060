"""What each process takes of the work: its part of the pictures, and its rows of every batch."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headstart.distributed.processes import ALONE, Team
from headstart.errors import StorageError
from headstart.features.engine import LOCAL, Work
from headstart.features.extract import Extraction
from headstart.features.stat_cache import StatCache
from headstart.images.pictures import Quarantined
from headstart.progress import Advance

_SEEN_WITHIN_SECONDS = 90
"""Network file systems show after a minute at most what another host has written to a folder."""


@dataclass(frozen=True)
class Share:
    """Which rows of every batch a process gives to the devices.

    A batch is cut into as many equal pieces as there are devices. Where it does not divide it is filled up with copies
    of its last row, which `headstart.distributed.data_parallel` takes away again: the number of rows that a filled-up
    batch has says how many are real.

    Attributes:
        team: the processes.
        devices: in all processes together.
        full: rows of a batch that is not the last of an epoch.
    """

    team: Team = ALONE
    devices: int = 1
    full: int = 1

    def filled_up(self, rows: int) -> int:
        """How many rows a batch has once it divides; never as many as a batch of another size has then."""
        whole = -(-rows // self.devices) * self.devices
        other = rows != self.full and whole == -(-self.full // self.devices) * self.devices
        return whole + self.devices * other

    def rows(self, count: int) -> np.ndarray:
        """The places in a batch of `count` rows that this process gives, in their order."""
        mine = self.filled_up(count) // self.team.count
        return np.minimum(np.arange(self.team.number * mine, (self.team.number + 1) * mine), count - 1)

    def real(self, pictures: int) -> dict[int, int]:
        """The real rows of every batch of an epoch of so many pictures, by the rows it has when it is filled up."""
        sizes = {min(self.full, pictures), pictures % self.full} - {0}
        return {self.filled_up(size): size for size in sizes}


@dataclass(frozen=True)
class SharedEngine:
    """Several processes: each makes its part of what the store lacks, then all have the whole.

    They tell each other the digests of the files, so that nobody reads those of the others. A picture that lies in
    several places may be computed by several of them.

    Attributes:
        team: the processes.
    """

    team: Team

    def digests(
        self, paths: Sequence[str], stat_cache: StatCache, advance: Advance
    ) -> tuple[dict[str, str], list[Quarantined]]:
        """See `headstart.features.engine.Engine`; every process reads what it does not know."""
        return LOCAL.digests(paths, stat_cache, advance)

    def extract(self, paths: Sequence[str], work: Work, stat_cache: StatCache, advance: Advance) -> Extraction:
        """See `headstart.features.engine.Engine`."""
        team = self.team
        mine = paths[team.number :: team.count]
        with team.together():
            found = LOCAL.extract(mine, work, stat_cache, lambda count: advance(count * team.count))
        told = team.of_all(
            {
                "digests": [found.digests.get(path) for path in mine],
                "quarantined": [asdict(file) for file in found.quarantined],
                "extracted": found.extracted,
                "reused": found.reused,
            }
        )
        digests: list[str | None] = [None] * len(paths)
        for number, share in enumerate(told):
            digests[number :: team.count] = share["digests"]
        reasons = {file["path"]: Quarantined(**file) for share in told for file in share["quarantined"]}
        whole = Extraction(
            work.space,
            {path: digest for path, digest in zip(paths, digests, strict=True) if digest is not None},
            [reasons[path] for path in paths if path in reasons],
            sum(share["extracted"] for share in told),
            sum(share["reused"] for share in told),
        )
        with team.together():
            _see_all(whole, team)
        return whole

    def stream(self, run: Any, paths: Sequence[str]) -> Iterator[Any]:
        """See `headstart.features.engine.Engine`; every process answers for itself."""
        return LOCAL.stream(run, paths)


def _see_all(features: Extraction, team: Team) -> None:
    """Wait until what the others have written is there."""
    until, wanted = time.monotonic() + _SEEN_WITHIN_SECONDS, set(features.digests.values())
    while unseen := wanted.difference(filter(features.space.refresh().__contains__, wanted)):
        if time.monotonic() > until:
            raise StorageError(
                f"{team.name} does not see the features of {len(unseen)} pictures that others have written to "
                f"{features.space.place}. HEADSTART_STORE has to be one folder that all of them share."
            )
        time.sleep(1)
