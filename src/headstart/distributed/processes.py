"""Which process this is, of how many, and what they tell each other. No Keras before a training joins.

Every process runs the same program (SPMD), started with Keras' own environment variables:

    KERAS_DISTRIBUTION_JOB_ADDRESSES   host:port of the first process, where the others find it
    KERAS_DISTRIBUTION_NUM_PROCESSES   how many there are
    KERAS_DISTRIBUTION_PROCESS_ID      which one this is, from 0

Source: https://keras.io/api/distribution/ (`keras.distribution.initialize`) and
https://docs.jax.dev/en/latest/multi_process.html.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from headstart.errors import HeadstartError, InputError, LostProcessError, SaidElsewhereError
from headstart.loading import without_stdout

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"

LAUNCHED = "HEADSTART_LAUNCHED"
"""Set by `headstart launch`, which says itself how a process was lost."""

LOST = 69
"""The exit code of a process that has lost another one: `EX_UNAVAILABLE` of sysexits.h."""

_HEARTBEAT_SECONDS = 60  # a host that does not answer for so long is lost; a process that dies is noticed at once
_SHUTDOWN_SECONDS = 60
_WORDS_OF_LOSS = ("gloo", "nccl", "closed by peer", "coordination service", "socket closed", "unavailable:")

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes of one training, as one of them sees them. Whatever one of them asks, all must ask in turn.

    Attributes:
        number: of this process, from 0.
        count: how many there are.
    """

    number: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.number == 0

    @property
    def name(self) -> str:
        """What a person calls this process."""
        return f"process {self.number} of {self.count}"

    def of_all(self, said: Any) -> list[Any]:
        """What every process says, in the order of their numbers; nobody goes on before all have said it.

        Args:
            said: what JSON can hold.

        Raises:
            LostProcessError: if one of them is gone.
        """
        if self.count == 1:
            return [said]
        from jax.experimental.multihost_utils import process_allgather

        text = np.frombuffer(json.dumps(said).encode(), np.uint8)
        with self.not_alone():
            sizes = process_allgather(np.array([len(text)]))[:, 0]
            room = 1 << int(max(sizes)).bit_length()  # few sizes, as each of them is compiled
            rows = process_allgather(np.concatenate([text, np.zeros(room - len(text), np.uint8)]))
        return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]

    def of_first(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """What the first process has, in all of them.

        Args:
            arrays: of the same shapes and types in all.

        Raises:
            LostProcessError: if one of them is gone.
        """
        if self.count == 1 or not arrays:
            return arrays
        from jax.experimental.multihost_utils import broadcast_one_to_all

        whole = np.concatenate([np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8) for array in arrays])
        with self.not_alone():
            whole = np.asarray(broadcast_one_to_all(whole))
        pieces = np.split(whole, np.cumsum([array.nbytes for array in arrays])[:-1])
        return [
            np.frombuffer(piece.tobytes(), array.dtype).reshape(array.shape)
            for piece, array in zip(pieces, arrays, strict=True)
        ]

    def refuse_different(self, arrays: list[np.ndarray], what: str) -> None:
        """Make sure that all processes have the same.

        Args:
            arrays: what they should have.
            what: what a person calls it, in the plural.

        Raises:
            HeadstartError: if they have not.
        """
        digest = hashlib.blake2b(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
        different = [number for number, found in enumerate(self.of_all(digest)) if found != digest]
        if different:
            raise HeadstartError(
                f"the {what} of {self.name} are not those of process {different[0]}. All need the same headstart, "
                "Keras and JAX; if they have them, please report this."
            )

    def any(self, flag: bool) -> bool:
        """Whether any process says so; quick enough to be asked after every step."""
        if self.count == 1:
            return flag
        from jax.experimental.multihost_utils import process_allgather

        with self.not_alone():
            return bool(process_allgather(np.array([flag])).any())

    @contextmanager
    def together(self) -> Iterator[None]:
        """All processes come out of the block, or none: what one of them meets there, the first one says.

        In the block nothing is asked of the others.

        Raises:
            SaidElsewhereError: in all but the first, where another process has met an error.
        """
        met: HeadstartError | None = None
        try:
            yield
        except HeadstartError as error:
            if self.count == 1:
                raise
            met = error
        for number, said in enumerate(self.of_all(None if met is None else str(met))):
            if said is None:
                continue
            if self.is_first:
                raise met or InputError(f"process {number} of {self.count}: {said}")
            raise SaidElsewhereError(said) from met

    def in_turn(self, job: Callable[[], T]) -> T:
        """Let the first process do a job, then the others: they find in the store what it has left there."""
        found: list[T] = []
        for now in (self.is_first, not self.is_first)[: self.count]:
            with self.together():
                if now:
                    found.append(job())
        return found[0]

    @contextmanager
    def not_alone(self) -> Iterator[None]:
        """Say clearly that another process is gone, where a backend says so in its own words.

        Raises:
            LostProcessError: if one of them is gone.
        """
        try:
            yield
        except HeadstartError:
            raise
        except Exception as error:
            if self.count == 1 or not any(word in str(error).lower() for word in _WORDS_OF_LOSS):
                raise
            raise LostProcessError(
                f"{self.name} has lost another one, which has ended or cannot be reached, so it ends, too. "
                "`headstart train --resume RUN`, with as many processes as you like, goes on from the last epoch."
            ) from error


ALONE = Team()
"""What every process is that nobody started as one of several."""

_joined = ALONE


def asked_for(environment: Mapping[str, str] = os.environ) -> Team:
    """The team that the environment speaks of; `ALONE` where it speaks of none.

    Raises:
        InputError: if it says something impossible.
    """
    if environment.get(COUNT, "1") == "1":
        return ALONE
    missing = [name for name in (ADDRESSES, NUMBER) if not environment.get(name)]
    if missing:
        raise InputError(
            f"{COUNT} is {environment[COUNT]}, and {' and '.join(missing)} is not set. `headstart launch` sets all of "
            "them; where something else starts the processes, it has to."
        )
    count, number = environment[COUNT], environment[NUMBER]
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        raise InputError(
            f"{COUNT} is {count!r} and {NUMBER} is {number!r}; one is the number of processes, the other lies from 0 "
            "to that minus 1."
        )
    return Team(int(number), int(count))


def speaks() -> bool:
    """Whether this process is to say what happens: alone, or the first of several."""
    return os.environ.get(COUNT, "1") == "1" or os.environ.get(NUMBER, "0") == "0"


def join() -> Team:
    """Meet the other processes, once; to be called when Keras is there and has computed nothing yet.

    Raises:
        InputError: if the environment says something impossible, or the others cannot be met.
    """
    global _joined
    team = asked_for()
    if team.count == 1 or team == _joined:
        return team
    import keras

    if keras.config.backend() != "jax":
        raise InputError(
            f"{COUNT} is {team.count}, and Keras trains on several processes with JAX alone, not with "
            f"{keras.config.backend()}. Set KERAS_BACKEND=jax, or unset {COUNT}."
        )
    import jax

    address = os.environ[ADDRESSES].split(",")[0]
    try:
        jax.distributed.initialize(
            address,
            team.count,
            team.number,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
        with without_stdout():
            team.any(False)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{team.name} cannot meet the others at {address}, as {ADDRESSES} says: {reason}") from error
    _joined = team
    sys.excepthook = _shown_and_ended(sys.excepthook)
    return team


def end(code: int) -> NoReturn:
    """End this process; where there are others, at once and without JAX, which would wait for them."""
    if _joined.count == 1:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _shown_and_ended(show: Callable[..., Any]) -> Callable[..., NoReturn]:
    """What is done about an error that nobody has foreseen: the others notice at once, and need not wait for JAX."""

    def show_and_end(*error: Any) -> NoReturn:
        show(*error)
        end(1)

    return show_and_end
