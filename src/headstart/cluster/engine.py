"""The engine that is a Ray cluster."""

from collections.abc import Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from headstart.cluster.cluster import Cluster
from headstart.cluster.worker import Extracting, Extractor, count_extracted, read_done
from headstart.errors import StorageError
from headstart.features.engine import LOCAL, Work
from headstart.features.extract import Extraction, settled, those_not_kept
from headstart.features.packed import pack_pixels
from headstart.features.stat_cache import StatCache
from headstart.features.store import space_at
from headstart.images.pictures import Quarantined
from headstart.objects.addresses import absolute
from headstart.progress import Advance

if TYPE_CHECKING:
    from headstart.answers import Prediction
    from headstart.bundle import Run


class RayEngine:
    """Reads pictures and runs frozen parts over them on a Ray cluster, for as long as a `with` block lasts.

    The store must be a folder that all machines share, or in object storage, and so must the pictures. What a cluster
    computes, this process alone finds there, and the other way round.

    Args:
        address: of a cluster that is there, as `ray.init` takes it; None for `RAY_ADDRESS`, and where that is not set
            for a cluster on this machine that ends with the block.
        workers: how many there are to be; None for one on each core, or on each GPU where Keras runs the frozen part
            on one.

    Raises:
        MissingExtraError: if Ray is not installed.
    """

    def __init__(self, address: str | None = None, workers: int | None = None):
        self._cluster = Cluster(address, workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.close()

    def digests(
        self, paths: Sequence[str], stat_cache: StatCache, advance: Advance
    ) -> tuple[dict[str, str], list[Quarantined]]:
        """Find the digests of files without decoding them; see `headstart.features.extract.hash_pictures`."""
        digests = stat_cache.lookup(paths)
        advance(len(digests))
        unknown = [path for path in paths if path not in digests]
        quarantined: list[Quarantined] = []
        if unknown:
            self._run(Extracting(unknown[0]), unknown, stat_cache, advance, digests, quarantined)
        return {path: digests[path] for path in paths if path in digests}, _in_order(quarantined, paths)

    def extract(self, paths: Sequence[str], work: Work, stat_cache: StatCache, advance: Advance) -> Extraction:
        """Make sure that the store has the features of every picture; see `headstart.features.extract.extract`.

        Raises:
            DataError: if the machines of the cluster do not see the pictures.
            StorageError: if they do not see the store, or it cannot be written.
            HeadstartError: if the cluster is lost. What was finished before is kept.
        """
        result = Extraction(work.space.refresh())
        missing = those_not_kept(paths, stat_cache, result)
        advance(len(paths) - len(missing))
        if missing:
            open_space = partial(space_at, absolute(work.space.place))
            task = Extracting(missing[0], work.decode, work.view, work.frozen.pack(), open_space)
            result.extracted = self._run(task, missing, stat_cache, advance, result.digests, result.quarantined)
            result.digests = {path: result.digests[path] for path in paths if path in result.digests}
            result.quarantined = _in_order(result.quarantined, paths)
            _refuse_missing(result)
        return settled(result, lambda again: LOCAL.extract(again, work, stat_cache, lambda count: None))

    def stream(self, run: "Run", paths: Sequence[str]) -> "Iterator[Prediction | Quarantined]":
        """Classify pictures in their order; see `Run.stream`."""
        from headstart.cluster.predicting import Predictor, pack_run, read_predictions

        for columns in self._cluster.stream(Predictor, pack_run(run), paths, ordered=True):
            yield from read_predictions(run, columns)

    def _run(
        self,
        task: Extracting,
        paths: Sequence[str],
        stat_cache: StatCache,
        advance: Advance,
        digests: dict[str, str],
        quarantined: list[Quarantined],
    ) -> int:
        """Have files worked on; what is found is added to the last two. Gives how many pictures were computed."""
        extracted = 0
        frozen = task.frozen or pack_pixels()
        for columns in self._cluster.stream(Extractor, task, paths, frozen.given, frozen.on_accelerator):
            done = list(read_done(columns))
            digests.update((one.path, one.digest) for one in done if one.digest)
            quarantined += [Quarantined(one.path, one.reason) for one in done if not one.digest]
            stat_cache.remember({one.path: (one.stat, one.digest) for one in done if one.stat and one.digest})
            extracted += count_extracted(columns)
            advance(len(done))
        return extracted


def _in_order(quarantined: Sequence[Quarantined], paths: Sequence[str]) -> list[Quarantined]:
    place = {path: number for number, path in enumerate(paths)}
    return sorted(quarantined, key=lambda bad: place[bad.path])


def _refuse_missing(result: Extraction) -> None:
    """What workers say they have kept must be there, or they have kept it elsewhere."""
    result.space.refresh()
    if any(digest not in result.space for digest in result.digests.values()):
        raise StorageError(
            f"the features that the cluster computed are not in {result.space.place}. Set HEADSTART_STORE to a folder "
            "that all machines share, or to one in object storage."
        )
