"""Optimizers and learning rates: the values at given steps, and what one step does to each variable."""

import keras
import numpy as np
import pytest

from headstart.recipe import LEARNING_RATES, Recipe
from headstart.training.optimizers import make_optimizer
from headstart.training.state import values


def optimizer_of(phase: str = "finetune", steps: int = 10, scales=None, **choices) -> keras.optimizers.Optimizer:
    return make_optimizer(Recipe(data="x", **choices), phase, steps, scales)


def rates(steps, **choices) -> list[float]:
    """The learning rate at given steps, of ten in an epoch."""
    optimizer = optimizer_of(**choices)
    optimizer.build([keras.Variable(np.zeros(1, np.float32))])
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_the_rate_rises_evenly_and_then_falls_as_a_cosine_to_nothing():
    found = rates([0, 5, 10, 20, 30, 50], learning_rate=0.4, epochs=5, warmup=1.0, schedule="cosine")
    falling = [0.2 * (1 + np.cos(np.pi * share)) for share in (0, 0.25, 0.5, 1)]
    assert found == pytest.approx([0, 0.2, *falling], abs=1e-6)


def test_the_cosine_alone_begins_at_the_top():
    assert rates([0, 25, 50], learning_rate=0.4, epochs=5, warmup=0) == pytest.approx([0.4, 0.2, 0], abs=1e-6)


def test_a_constant_rate_may_be_warmed_up_too():
    assert rates([0, 49], learning_rate=0.4, epochs=5, schedule="constant") == pytest.approx([0.4, 0.4])
    warmed = rates([0, 10, 20, 45], learning_rate=0.4, epochs=5, schedule="constant", warmup=2)
    assert warmed == pytest.approx([0, 0.2, 0.4, 0.4], abs=1e-6)


def test_where_nobody_says_a_cosine_is_warmed_up_for_one_epoch_and_a_constant_rate_is_not():
    assert rates([0, 5, 10], learning_rate=0.4, epochs=5) == pytest.approx([0, 0.2, 0.4], abs=1e-6)
    assert rates([0], learning_rate=0.4, epochs=5, schedule="constant") == pytest.approx([0.4])


def test_a_warm_up_takes_no_more_than_half_of_the_training():
    found = rates([0, 5, 10, 20], learning_rate=0.4, epochs=2, warmup=4)
    assert found == pytest.approx([0, 0.2, 0.4, 0], abs=1e-6)


def test_decay_divides_by_one_plus_rate_times_step_as_the_notebooks_did():
    found = rates([0, 1000, 1_000_000], learning_rate=0.01, schedule="decay:1e-6", optimizer="sgd")
    assert found == pytest.approx([0.01, 0.01 / 1.001, 0.005], rel=1e-5)


@pytest.mark.parametrize("phase", ["head", "finetune", "scratch"])
@pytest.mark.parametrize("name", ["adamw", "adam", "amsgrad", "sgd", "adadelta"])
def test_where_nobody_says_the_rate_is_the_usual_one(phase, name):
    optimizer = optimizer_of(phase, optimizer=name, schedule="constant")
    assert float(optimizer.learning_rate) == pytest.approx(LEARNING_RATES[phase][name])


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("adamw", keras.optimizers.AdamW, {"weight_decay": 0.05, "amsgrad": False}),
        ("adam", keras.optimizers.Adam, {"weight_decay": None, "amsgrad": False}),
        ("amsgrad", keras.optimizers.Adam, {"weight_decay": None, "amsgrad": True}),
        ("sgd", keras.optimizers.SGD, {"weight_decay": None, "momentum": 0.9, "nesterov": True}),
        ("adadelta", keras.optimizers.Adadelta, {"weight_decay": None}),
    ],
)
def test_each_name_is_keras_own_optimizer_with_its_options(name, kind, options):
    optimizer = optimizer_of(optimizer=name)
    assert type(optimizer) is kind
    config = optimizer.get_config()
    assert {key: config[key] for key in options} == options


def step(optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]) -> list[np.ndarray]:
    """How much one step with gradients of one changes each variable."""
    before = values(variables)
    optimizer.apply([np.ones(variable.shape, np.float32) for variable in variables], variables)
    return [after - then for after, then in zip(values(variables), before, strict=True)]


@pytest.mark.parametrize("name", ["adamw", "adam", "amsgrad", "sgd", "adadelta"])
def test_the_learning_rate_of_deeper_layers_scales_what_a_step_does(name):
    variables = [keras.Variable(np.ones(3, np.float32), name=f"v{number}") for number in range(3)]
    scales = {id(variables[0]): 0.25, id(variables[1]): 0.5}
    optimizer = optimizer_of(scales=scales, optimizer=name, schedule="constant", learning_rate=0.1)
    optimizer.build(variables)
    deep, middle, head = step(optimizer, variables)
    assert np.all(head < 0)
    np.testing.assert_allclose(deep, 0.25 * head, rtol=1e-3)
    np.testing.assert_allclose(middle, 0.5 * head, rtol=1e-3)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weights_decay_and_biases_and_normalisation_do_not(name):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, np.float32))
    plain, decayed = (
        optimizer_of(optimizer=name, weight_decay=decay, schedule="constant", learning_rate=0.1) for decay in (0.0, 0.5)
    )
    plain.build(model.trainable_variables)
    decayed.build(model.trainable_variables)
    without = dict(
        zip([v.name for v in model.trainable_variables], step(plain, model.trainable_variables), strict=True)
    )
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, np.float32))
    with_decay = step(decayed, model.trainable_variables)
    for variable, change in zip(model.trainable_variables, with_decay, strict=True):
        expected = without[variable.name] - (0.05 if variable.name == "kernel" else 0)
        np.testing.assert_allclose(change, expected, atol=5e-3, err_msg=variable.name)
    assert set(without) == {"kernel", "bias", "gamma", "beta"}


def test_sgd_looks_ahead_by_nesterov_momentum():
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = optimizer_of(optimizer="sgd", schedule="constant", learning_rate=0.1)
    optimizer.build([variable])
    first = float(step(optimizer, [variable])[0][0])
    second = float(step(optimizer, [variable])[0][0])
    assert (first, second) == pytest.approx((-0.19, -0.271), rel=1e-5)


def test_the_learning_rate_of_deeper_layers_is_scaled_inside_a_compiled_training_too():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="deep"), keras.layers.Dense(1, name="head")]
    )
    weights = model.get_weights()
    inputs, targets = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
    changes = []
    deep = model.trainable_variables[0]
    for scales in (None, {id(deep): 0.5}):
        model.set_weights(weights)
        optimizer = optimizer_of(scales=scales, optimizer="sgd", schedule="constant", learning_rate=0.01)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, "mse")
        model.fit(inputs, targets, batch_size=4, epochs=1, verbose=0)
        changes.append([after - before for after, before in zip(model.get_weights(), weights, strict=True)])
    for variable, plain, scaled in zip(model.trainable_variables, *changes, strict=True):
        factor = 0.5 if variable is deep else 1
        np.testing.assert_allclose(scaled, factor * plain, rtol=1e-4, atol=1e-7, err_msg=variable.path)
