"""A Ray cluster, and a table of pictures that goes through workers on it.

Scheduling, back-pressure and the retries of parts are those of Ray Data.
"""

import logging
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from math import ceil
from typing import Any

from headstart.cluster.worker import ERROR, PATH, Columns, Part
from headstart.errors import HeadstartError, InputError, MissingExtraError
from headstart.features.extract import in_batches
from headstart.features.runtime import BATCH
from headstart.loading import is_installed, share_accelerators, without_stderr
from headstart.threads import cores

_BATCHES = 4
"""So many batches of pictures, at most, are a part: what a worker is given at once, and Ray gives out again when the
worker is lost."""

_PARTS_EACH = 4
"""A worker should get so many parts at least, so that none of them waits long for the last one."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody unless somebody says so
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # Ray warns of arguments in its object store, where it puts them itself
}


class Cluster:
    """A cluster that is connected to, or started, when it is first needed.

    Args:
        address: of a cluster that is there; None for `RAY_ADDRESS`, and where that is not set for one on this machine
            that lives as long as this object.
        workers: how many there are to be; None for one on each core of the cluster, or on each of its GPUs.
    """

    def __init__(self, address: str | None = None, workers: int | None = None):
        if not is_installed("ray"):
            raise MissingExtraError("--engine ray", "ray")
        share_accelerators()  # the process that asks may be on the machine of a worker
        self._address, self._workers = address, workers
        self._is_ours = False

    def stream(
        self,
        part: type[Part],
        task: Any,
        paths: Sequence[str],
        batch: int = BATCH,
        on_gpus: bool = False,
        ordered: bool = False,
    ) -> Iterator[Columns]:
        """What becomes of files in the hands of workers, part by part.

        Args:
            part: what every worker runs.
            task: what is to be done; sent once to every machine.
            paths: the files.
            batch: of how many of them a worker makes one run.
            on_gpus: whether each worker needs a GPU.
            ordered: whether the parts must come in the order of the files.

        Raises:
            HeadstartError: what a worker raised, or that the cluster is lost.
            InputError: if there is no such cluster, or it has no room for a worker.
        """
        self._connect()
        import pyarrow
        import ray.data

        workers, cores_each = self._room(on_gpus)
        size = max(1, min(_BATCHES * batch, ceil(len(paths) / (_PARTS_EACH * workers))))
        if on_gpus:  # what is missing of a large batch is filled up in vain
            size = batch * ceil(size / batch)
        parts = [
            pyarrow.table({PATH: pyarrow.array(map(os.fsencode, some), pyarrow.binary())})
            for some in in_batches(paths, size)
        ]
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False  # there is one already, of pictures
        context.execution_options.preserve_order = ordered
        reference = ray.put(task)
        with ray.data.DataContext.current(context):
            done = ray.data.from_arrow(parts).map_batches(
                part,
                batch_size=size,
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(parts))),
                num_cpus=cores_each,
                num_gpus=1 if on_gpus else None,
                fn_constructor_kwargs={"task": [reference], "cores": cores_each, "folder": os.getcwd()},
            )
            yield from self._watched(done)

    def close(self) -> None:
        """Let go of the cluster; one that was started here ends."""
        if self._is_ours:
            import ray

            with redirect_stdout(sys.stderr):  # where it says what it has gathered of its news
                ray.shutdown()
            self._is_ours = False

    @staticmethod
    def _watched(done: Any) -> Iterator[Columns]:
        import ray.exceptions

        parts = iter(done.iter_batches(batch_size=None, prefetch_batches=0))
        try:
            while (columns := _next(parts)) is not None:
                if error := next(filter(None, columns[ERROR]), None):
                    raise pickle.loads(error)
                yield columns
        except ray.exceptions.RayError as error:
            raise HeadstartError(
                f"the Ray cluster could not do its work: {_first_line(error)} What is finished is kept; the same "
                "command goes on from there."
            ) from error

    def _connect(self) -> None:
        import ray
        import ray.data
        import ray.exceptions

        if ray.is_initialized():
            return
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        where = self._address or os.environ.get("RAY_ADDRESS") or "local"
        ours: dict[str, Any] = {"include_dashboard": False, "num_cpus": cores()} if where == "local" else {}
        try:
            with without_stderr():
                ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **ours)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise InputError(
                f"there is no Ray cluster at {where} that lets this process in: {_first_line(error)} Give its "
                "--address, and RAY_AUTH_MODE=token if it wants a token; or leave both out for one on this machine."
            ) from error
        self._is_ours = True

    def _room(self, on_gpus: bool) -> tuple[int, int]:
        """How many workers there are to be, and how many cores each of them may keep busy."""
        import ray

        there = ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        places = gpus if on_gpus else cpus
        if not places:
            raise InputError(f"the Ray cluster has no {'GPU' if on_gpus else 'core'} to work on. Add machines that do.")
        workers = min(self._workers or places, places)
        return workers, max(1, cpus // gpus) if on_gpus else 1


def _next(parts: Iterator[Columns]) -> Columns | None:
    """The next part; meanwhile Ray's news, as of workers that are lost, go to stderr: stdout is for answers."""
    with redirect_stdout(sys.stderr):
        return next(parts, None)


def _first_line(error: BaseException) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text if text.endswith(".") else f"{text}."
