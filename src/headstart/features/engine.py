"""Who runs frozen parts over pictures: this process, or somebody who has more of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from headstart.features.extract import Extraction, extract, hash_pictures
from headstart.features.packed import Packed, pack_openvino
from headstart.features.runtime import BATCH, OpenVINORuntime, Precision, Runtime
from headstart.features.stat_cache import StatCache
from headstart.features.store import Space
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Quarantined
from headstart.images.views import View
from headstart.progress import Advance


class Runnable(Protocol):
    """A frozen part that can be run here, or sent to where it is to run."""

    @property
    def batch(self) -> int:
        """Pictures that it is best given at once."""
        ...

    def load(self, *, pictures: int) -> Runtime:
        """Make it ready to run on uint8 pictures, of which there will be so many in all."""
        ...

    def pack(self) -> Packed:
        """The same for another process."""
        ...


@dataclass(frozen=True)
class OpenVINOFile:
    """A frozen part in OpenVINO's form.

    Attributes:
        file: the `.xml`, beside which is the `.bin`.
        precision: of the arithmetic.
        batch: pictures that it is best given at once.
    """

    file: Path
    precision: Precision
    batch: int = BATCH

    def load(self, *, pictures: int) -> Runtime:
        """See `Runnable`."""
        return OpenVINORuntime(self.file, self.precision, self.batch, pixels=True)

    def pack(self) -> Packed:
        """See `Runnable`."""
        return pack_openvino(self.file, self.precision, self.batch)


@dataclass(frozen=True)
class Work:
    """What is wanted of every picture.

    Attributes:
        frozen: what it goes through.
        decode: how it is decoded.
        space: where what comes out is kept.
        view: which random view of it; None for that of the centre.
    """

    frozen: Runnable
    decode: DecodeRecipe
    space: Space
    view: View | None = None


class Engine(Protocol):
    """Whoever reads pictures and runs frozen parts over them."""

    def digests(
        self, paths: Sequence[str], stat_cache: StatCache, advance: Advance
    ) -> tuple[dict[str, str], list[Quarantined]]:
        """Find the digests of files without decoding them; see `hash_pictures`."""
        ...

    def extract(self, paths: Sequence[str], work: Work, stat_cache: StatCache, advance: Advance) -> Extraction:
        """Make sure that the store has the features of every picture; see `headstart.features.extract.extract`."""
        ...

    def stream(self, run: Any, paths: Sequence[str]) -> Iterator[Any]:
        """Classify pictures with a `Run`, in their order; see its `stream`."""
        ...


class LocalEngine:
    """This process and its threads."""

    def digests(
        self, paths: Sequence[str], stat_cache: StatCache, advance: Advance
    ) -> tuple[dict[str, str], list[Quarantined]]:
        """See `Engine`."""
        return hash_pictures(paths, stat_cache, advance)

    def extract(self, paths: Sequence[str], work: Work, stat_cache: StatCache, advance: Advance) -> Extraction:
        """See `Engine`."""
        load = partial(work.frozen.load, pictures=len(paths))
        return extract(paths, work.decode, load, work.space, stat_cache, advance, work.view, work.frozen.batch)

    def stream(self, run: Any, paths: Sequence[str]) -> Iterator[Any]:
        """See `Engine`."""
        found: Iterator[Any] = run.stream(paths)
        return found


LOCAL = LocalEngine()
