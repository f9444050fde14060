"""Optimizers and learning rates, as the recipe says."""

from collections.abc import Mapping
from typing import Any

import keras

from headstart.recipe import LEARNING_RATES, Recipe
from headstart.specs import parse_schedule

WEIGHT_DECAY = {"adamw": 0.05}
"""What is taken where nobody says; nothing with the others."""

_NOT_DECAYED = ("bias", "gamma", "beta")


def make_optimizer(
    recipe: Recipe, phase: str, steps: int, scales: Mapping[int, float] | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer of one phase of a training.

    Args:
        recipe: optimizer, learning rate, schedule, warm-up, epochs, weight decay.
        phase: `head`, `finetune` or `scratch`: what the usual learning rate depends on.
        steps: per epoch.
        scales: the learning rate of a variable is multiplied by this, by the variable's `id`; 1 where it has none.
    """
    rate = recipe.learning_rate or LEARNING_RATES[phase][recipe.optimizer]
    options: dict[str, Any] = {"learning_rate": _schedule(recipe, rate, steps)}
    decay = WEIGHT_DECAY.get(recipe.optimizer, 0.0) if recipe.weight_decay is None else recipe.weight_decay
    if decay or recipe.optimizer == "adamw":  # where Keras' own default is not nothing
        options["weight_decay"] = decay
    if recipe.optimizer == "sgd":
        options |= {"momentum": 0.9, "nesterov": True}
    if recipe.optimizer == "amsgrad":
        options["amsgrad"] = True
    optimizer = _with_scales(_KINDS[recipe.optimizer], scales or {})(**options)
    optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    return optimizer


_KINDS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "amsgrad": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "adadelta": keras.optimizers.Adadelta,
}


def _schedule(recipe: Recipe, rate: float, steps: int) -> Any:
    schedule = parse_schedule(recipe.schedule)
    if schedule.kind == "decay":
        return keras.optimizers.schedules.InverseTimeDecay(rate, 1, schedule.rate)
    epochs = recipe.warmup if recipe.warmup is not None else float(schedule.kind == "cosine")
    warmup = min(round(epochs * steps), recipe.epochs * steps // 2)
    if schedule.kind == "constant" and not warmup:
        return rate
    rising = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": warmup}
    return keras.optimizers.schedules.CosineDecay(
        **(rising if warmup else {"initial_learning_rate": rate}),
        decay_steps=max(1, recipe.epochs * steps - warmup),
        alpha=1.0 if schedule.kind == "constant" else 0.0,
    )


def _with_scales(
    kind: type[keras.optimizers.Optimizer], scales: Mapping[int, float]
) -> type[keras.optimizers.Optimizer]:
    """The optimizer with a learning rate for each variable.

    Every update is proportional to the rate, so a part of the rate is that part of the way the variable has gone. In
    `update_step`, where the rate itself is at hand, Keras gives TensorFlow's variables, which do not know their path.
    """
    if not scales:
        return kind
    scaled: list[keras.Variable] = []

    class Scaled(kind):
        def build(self, variables: list[keras.Variable]) -> None:
            super().build(variables)
            scaled[:] = [variable for variable in variables if id(variable) in scales]

        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            before = [keras.ops.copy(variable) for variable in scaled]
            super().apply(grads, trainable_variables)
            for variable, start in zip(scaled, before, strict=True):
                variable.assign(start + scales[id(variable)] * (variable - start))

    return Scaled
