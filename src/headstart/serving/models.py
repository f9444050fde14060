"""The models of a server by name, each opened anew beside itself when its RUN has changed."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from headstart.errors import HeadstartError, nearest
from headstart.serving.metrics import Metrics
from headstart.serving.model import Model, open_model, state_of
from headstart.serving.refusal import RefusedError

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_FIRST_ANSWER = 1.0
"""After this, models are made ready for several pictures at once; before, who has waited for the start comes first."""


class Models:
    """All of them. Used on the event loop only.

    Args:
        opened: those that were opened; at least one.
        decoders: threads that decode.
        metrics: what is counted.
        max_pixels: most pixels of one picture.
    """

    def __init__(self, opened: Mapping[str, Model], decoders: Executor, metrics: Metrics, max_pixels: int):
        self._models = dict(opened)
        self._decoders = decoders
        self._metrics = metrics
        self._max_pixels = max_pixels
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open")  # one model at a time
        self._tried: dict[str, object] = {}

    def start(self) -> None:
        """Begin to take pictures; on the event loop."""
        loop = asyncio.get_running_loop()
        for model in self._models.values():
            model.start(self._decoders, self._metrics, self._max_pixels)
            loop.call_later(_SECONDS_TO_FIRST_ANSWER, self._decoders.submit, model.warm, 2)

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called, the one that is asked where nothing is said first."""
        return tuple(self._models)

    def get(self, name: str) -> Model:
        """One of them, for who asks it nothing that takes time.

        Raises:
            RefusedError: 404 if there is none of that name.
        """
        if name not in self._models:
            raise RefusedError(404, f"there is no model {name!r}; {nearest(name, self._models)}")
        return self._models[name]

    @contextmanager
    def using(self, name: str) -> Iterator[Model]:
        """One of them, which stays what it is as long as the block runs, also when its RUN changes.

        Raises:
            RefusedError: 404 if there is none of that name.
        """
        model = self.get(name)
        model.users += 1
        try:
            yield model
        finally:
            model.users -= 1
            self._end(model)

    async def reload(self, name: str) -> Model:
        """Open a RUN anew and let it take the place of what was opened before, which ends what it has begun.

        Raises:
            HeadstartError: if it cannot be used; what was opened before goes on.
        """
        path = self.get(name).run.path
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(self._opener, _open_and_warm, name, path)
        except HeadstartError:
            self._metrics.reloads.labels(name, "failed").inc()
            raise
        before = self._models[name]
        model.start(self._decoders, self._metrics, self._max_pixels)
        self._models[name] = model
        self._end(before)
        self._metrics.reloads.labels(name, "done").inc()
        log.info("%s was opened anew from %s", name, path)
        return model

    async def reload_all(self) -> None:
        """Open every RUN anew; of those that cannot be used the log tells."""
        for name in self.names:
            await self._try(name)

    async def watch(self) -> None:
        """Open RUNs anew when their `bundle.json` changes, until this is cancelled.

        That file is written last. A RUN that is copied file by file in another order cannot be opened until it is
        whole, so it is tried again.
        """
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            for name, model in list(self._models.items()):
                if state_of(model.run.path) not in (model.state, (0, 0, 0)):
                    await self._try(name)

    async def _try(self, name: str) -> None:
        try:
            await self.reload(name)
            self._tried.pop(name, None)
        except (HeadstartError, OSError) as error:
            if self._tried.get(name) != str(error):  # said once, not every two seconds
                log.warning("%s stays what it was: %s", name, error)
            self._tried[name] = str(error)

    def close(self) -> None:
        """Take nothing any more."""
        for model in self._models.values():
            model.close()
        self._opener.shutdown(wait=False, cancel_futures=True)

    def _end(self, model: Model) -> None:
        """Close a model that another one has taken the place of, once nobody holds it."""
        if model.users == 0 and self._models.get(model.name) is not model:
            model.close()


def _open_and_warm(name: str, path: Path) -> Model:
    """A model that takes the place of another while many ask it."""
    model = open_model(name, path)
    model.warm(2)
    return model
