"""Computing in 16 bits while weights stay in 32."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from headstart.models.layers import leaves

MIXED = "mixed_bfloat16"
"""bfloat16 has float32's range, so no loss has to be scaled."""


@contextmanager
def computing_in_16_bits(model: keras.Model, wanted: bool) -> Iterator[None]:
    """Let a model's layers compute in bfloat16 while the block runs; afterwards they do as before.

    The classifier stays in float32, as Keras' guide to mixed precision says.

    Args:
        model: a trainable half.
        wanted: whether to do anything at all.
    """
    changed = [layer for layer in leaves(model) if wanted and layer.weights][:-1]
    before = [layer.dtype_policy for layer in changed]
    try:
        for layer in changed:
            layer.dtype_policy = keras.DTypePolicy(MIXED)
        yield
    finally:
        for layer, policy in zip(changed, before, strict=True):
            layer.dtype_policy = policy
