"""Training on all devices of all processes: Keras' `DataParallel` on JAX.

Every device has the whole trainable part and its rows of every batch; JAX computes as if the batch were in one place.
So losses, BatchNormalization and Dropout are those of one process.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from headstart.distributed.processes import Team
from headstart.errors import HeadstartError


class Shared(keras.Model):
    """A functional model that is trained on batches which were filled up until they divided.

    Attributes:
        real: for a training and for a test step, the real rows of a batch by those that it has filled up.
    """

    def train_step(self, state: Any, data: Any) -> Any:
        """See `keras.Model`: JAX's form of it."""
        return super().train_step(state, _real(data, self.real[0]))

    def test_step(self, state: Any, data: Any) -> Any:
        """See `keras.Model`: JAX's form of it."""
        return super().test_step(state, _real(data, self.real[1]))


def _real(data: Any, rows: Mapping[int, int]) -> Any:
    given = keras.tree.flatten(data)[0].shape[0]
    return data if rows[given] == given else keras.tree.map_structure(lambda array: array[: rows[given]], data)


def devices(team: Team) -> int:
    """How many devices the processes have together; 1 where one process does not spread its work.

    Raises:
        HeadstartError: if the processes do not have the same number of them.
    """
    if keras.config.backend() != "jax":
        return 1
    count = len(keras.distribution.list_devices())
    if count % team.count:
        raise HeadstartError(f"{team.count} processes have {count} devices; each of them needs the same number.")
    return count


@contextmanager
def spread(model: keras.Model, train: Mapping[int, int], val: Mapping[int, int], count: int) -> Iterator[keras.Model]:
    """Let a model be trained on all devices while the block runs.

    In the block, `settle` has to be called once optimizer and weights are what training begins with.

    Args:
        model: functional; its weights are trained.
        train: the real rows of training batches, see `Share.real`.
        val: those of validation batches.
        count: how many devices there are.

    Yields:
        The model to train; where there is one device, the same.
    """
    if count == 1:
        yield model
        return
    shared = Shared(model.inputs, model.outputs, name=model.name)
    shared.real = (dict(train), dict(val))
    try:
        with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
            yield shared
    except KeyboardInterrupt:  # what was there before is used all the same
        _bring_back(model)
        raise
    _bring_back(model)


def _bring_back(model: keras.Model) -> None:
    """Put the weights where this process can use them without the others."""
    for variable in model.variables:
        variable.assign(np.asarray(variable.value))


@contextmanager
def by_itself() -> Iterator[None]:
    """Let this process do in the block what the others do not, though it trains with them.

    Keras makes variables where nobody would expect it, while it saves weights among others, and those of a distribution
    are compared between all processes.
    """
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def settle(model: keras.Model, optimizer: keras.optimizers.Optimizer, team: Team) -> None:
    """Give all devices the weights and the optimizer of the first process; nothing is done outside of `spread`."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return
    variables = [*model.variables, *optimizer.variables]
    begin = team.of_first([np.asarray(variable.value) for variable in variables])
    for variable, value in zip(variables, begin, strict=True):
        layout = keras.distribution.TensorLayout([None] * value.ndim, distribution.device_mesh)
        variable.assign(keras.distribution.distribute_tensor(value, layout))
