"""The laws of the split, over models that hypothesis makes up."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.errors import SplitError
from headstart.models.cut import Parts, fingerprint, join, split
from headstart.models.freeze import Freezer

TOLERANCE = 1e-5
SIDE = 6


def run(model: keras.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """Outputs at inference, flat."""
    given_inputs = [keras.ops.convert_to_tensor(array) for array in inputs]
    outputs = model(given_inputs if len(given_inputs) > 1 else given_inputs[0], training=False)
    return [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(outputs)]


def pictures(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, 3)).astype(np.float32)


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)


def assert_laws(model: keras.Model, *inputs: np.ndarray) -> Parts:
    """Laws 1 and 2 for one model."""
    config, weights, before = model.get_config(), model.get_weights(), run(model, *inputs)
    parts = split(model)
    features = run(parts.frozen, *inputs)
    assert_same(run(parts.trainable, *features), before)
    assert_same(run(join(parts), *inputs), before)

    assert model.get_config() == config
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), weights, strict=True))
    assert_same(run(model, *inputs), before)
    again = split(model)
    assert fingerprint(again.frozen) == fingerprint(parts.frozen)
    assert_same(run(again.frozen, *inputs), features)
    assert not parts.frozen.trainable_variables
    own = {id(variable) for variable in model.variables}
    assert {id(variable) for variable in [*parts.frozen.variables, *parts.trainable.variables]} <= own
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in parts.trainable.trainable_variables}
    return parts


def randomise(model: keras.Model, seed: int) -> None:
    """Give every weight a value that matters, also the moving statistics of BatchNormalization."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.2, 0.8, weight.shape) for weight in model.get_weights()])


KINDS = ["conv", "norm", "dropout", "relu", "add", "concat", "shared", "nested", "op", "pool"]
STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 9), st.sampled_from([None, False]))
TRAINABLE = st.lists(st.sampled_from([True, False, None]), min_size=40, max_size=40)


def branching_model(steps, two_outputs: bool, trainable) -> keras.Model:
    """A graph of convolutions, normalisation, dropout, branches, shared layers, operations and nested models.

    Each step applies one kind of layer to tensors that are there already; `trainable` is dealt out to the layers,
    None leaving one as it is.
    """
    inputs = keras.Input((SIDE, SIDE, 3))
    tensors = [inputs]
    shared = keras.layers.Conv2D(3, 1)
    for kind, one, other, training in steps:
        tensors.append(_apply(kind, tensors[one % len(tensors)], tensors[other % len(tensors)], shared, training))
    flat = [keras.layers.GlobalAveragePooling2D()(tensor) for tensor in tensors[-2:]]
    outputs = [keras.layers.Dense(2)(tensor) for tensor in flat]
    model = keras.Model(inputs, outputs if two_outputs else keras.layers.Add()(outputs))
    randomise(model, len(steps))
    for layer, choice in zip(_all_layers(model), trainable, strict=False):
        if choice is not None and not isinstance(layer, keras.Model):
            layer.trainable = choice
    return model


def _apply(kind, one, other, shared, training):
    if kind == "add":
        return keras.layers.Add()([one, other])
    if kind == "concat":
        return keras.layers.Conv2D(3, 1)(keras.layers.Concatenate()([one, other]))
    if kind == "nested":
        inside = keras.Input((SIDE, SIDE, 3))
        hidden = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 1)(inside))
        return keras.Model(inside, keras.layers.Dropout(0.3)(hidden))(one, training=training)
    if kind == "op":
        return keras.ops.tanh(one) * 2.0
    if kind == "pool":
        return keras.layers.AveragePooling2D(3, 1, "same")(one)
    layer = {
        "conv": lambda: keras.layers.Conv2D(3, 3, padding="same"),
        "norm": keras.layers.BatchNormalization,
        "dropout": lambda: keras.layers.Dropout(0.5),
        "relu": keras.layers.ReLU,
        "shared": lambda: shared,
    }[kind]()
    return layer(one)


def _all_layers(model: keras.Model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


@given(st.lists(STEPS, min_size=2, max_size=9), st.booleans(), TRAINABLE)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_model_with_any_pattern_of_trainable_obeys_laws_one_and_two(steps, two_outputs, trainable):
    assert_laws(branching_model(steps, two_outputs, trainable), pictures())


def chain() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = keras.layers.Rescaling(0.5, name="scale")(inputs)
    for number in range(3):
        x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="classifier")(x))
    randomise(model, 0)
    return model


@pytest.mark.parametrize("number", range(13))
def test_every_legal_cut_of_a_chain_obeys_the_laws(number):
    model = chain()
    for layer in model.layers[:number]:
        layer.trainable = False
    assert_laws(model, pictures())


def test_pooling_after_the_last_frozen_layer_is_in_the_frozen_half():
    model = chain()
    for layer in model.layers[:-1]:
        layer.trainable = False
    assert split(model).frontier == ((4,),)


def test_an_activation_between_frozen_and_trainable_layers_is_in_the_frozen_half():
    model = chain()
    for name in ("conv_0", "norm_0"):
        model.get_layer(name).trainable = False
    assert "relu_0" in [layer.name for layer in split(model).frozen.layers]


def test_a_pooling_branch_beside_trainable_layers_does_not_widen_the_frontier():
    inputs = keras.Input((SIDE, SIDE, 3))
    frozen = keras.layers.Conv2D(5, 1, trainable=False)(inputs)
    branches = [keras.layers.Conv2D(2, 1)(frozen), keras.layers.MaxPooling2D(3, 1, "same")(frozen)]
    model = keras.Model(inputs, keras.layers.Concatenate()(branches))
    assert assert_laws(model, pictures()).frontier == ((SIDE, SIDE, 5),)


def test_a_residual_that_crosses_the_cut_gives_two_frontier_tensors():
    inputs = keras.Input((SIDE, SIDE, 3))
    stem = keras.layers.Conv2D(4, 1, trainable=False)(inputs)
    wide = keras.layers.Conv2D(8, 1, trainable=False)(stem)
    back = keras.layers.Conv2D(4, 1)(wide)
    model = keras.Model(inputs, keras.layers.Add()([stem, back]))
    assert assert_laws(model, pictures()).frontier == ((SIDE, SIDE, 4), (SIDE, SIDE, 8))


def test_when_everything_is_trainable_the_frontier_is_the_input():
    model = chain()
    parts = assert_laws(model, pictures())
    assert parts.frontier == ((SIDE, SIDE, 3),)
    assert len(parts.frozen.layers) == 1


def test_when_nothing_is_trainable_the_frontier_is_the_output():
    model = chain()
    model.trainable = False
    assert assert_laws(model, pictures()).frontier == ((3,),)


def test_batch_normalisation_that_updates_its_statistics_ends_the_frozen_half():
    model = chain()
    for layer in model.layers:
        layer.trainable = False
    model.get_layer("norm_1").trainable = True
    parts = assert_laws(model, pictures())
    assert [layer.name for layer in parts.trainable.layers][1] == "norm_1"


def test_batch_normalisation_without_trained_weights_still_updates_its_statistics():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.BatchNormalization(center=False, scale=False, name="statistics")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    assert split(model).trainable.get_layer("statistics") is model.get_layer("statistics")


def test_dropout_is_in_the_trainable_half_however_it_is_marked():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, trainable=False)(inputs)
    x = keras.layers.Dropout(0.5, trainable=False, name="dropout")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, trainable=False)(x))
    assert split(model).trainable.get_layer("dropout") is model.get_layer("dropout")


def test_dropout_in_a_model_called_in_inference_mode_is_in_the_trainable_half_because_fit_overrides_that():
    inside = keras.Input((SIDE, SIDE, 3))
    body = keras.Model(inside, keras.layers.Dropout(0.5, name="dropout")(keras.layers.Conv2D(2, 1)(inside)))
    body.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(7, 1)(body(inputs, training=False)))
    keras.utils.set_random_seed(0)
    assert not np.allclose(model(pictures(), training=True), model(pictures(), training=False))
    assert split(model).trainable.get_layer("dropout") is body.get_layer("dropout")


def test_dropout_in_a_frozen_model_is_in_the_frozen_half_and_drops_nothing():
    inside = keras.Input((SIDE, SIDE, 3))
    body = keras.Model(inside, keras.layers.Dropout(0.5)(keras.layers.Conv2D(2, 1)(inside)))
    Freezer(body).apply(len(body.layers), "frozen")
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(7, 1)(body(inputs)))
    parts = assert_laws(model, pictures())
    assert parts.frontier == ((SIDE, SIDE, 2),)
    np.testing.assert_allclose(model(pictures(), training=True), model(pictures(), training=False), atol=TOLERANCE)


def test_a_mode_that_a_nested_model_was_told_is_kept_by_the_joined_model():
    inside = keras.Input((SIDE, SIDE, 3))
    body = keras.Model(inside, keras.layers.BatchNormalization(momentum=0.5)(inside))
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, body(inputs, training=True))
    joined = join(split(model))
    np.testing.assert_allclose(joined(pictures()), model(pictures()), atol=TOLERANCE)


def test_random_augmentation_ends_the_frozen_half():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomFlip(name="flip")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, trainable=False)(x))
    assert split(model).frontier == ((SIDE, SIDE, 3),)


def test_a_nested_sequential_model_is_entered():
    body = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(4, 1), keras.layers.Conv2D(2, 1, name="last")]
    )
    body.layers[0].trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(body(inputs)))
    assert assert_laws(model, pictures()).frontier == ((SIDE, SIDE, 4),)


def test_a_sequential_model_can_be_split_itself():
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(4, 1), keras.layers.Conv2D(2, 1)])
    model.layers[0].trainable = False
    assert assert_laws(model, pictures()).frontier == ((SIDE, SIDE, 4),)


def test_a_nested_model_applied_twice_keeps_one_set_of_weights():
    inside = keras.Input((SIDE, SIDE, 3))
    body = keras.Model(inside, keras.layers.Conv2D(3, 1, name="inner")(inside))
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, body(body(inputs)))
    assert_laws(model, pictures())
    body.trainable = False
    assert_laws(model, pictures())


def test_nested_models_whose_layers_share_a_name_stay_whole():
    def body(name):
        inside = keras.Input((SIDE, SIDE, 3))
        return keras.Model(inside, keras.layers.Conv2D(3, 1, name="same")(inside), name=name)

    inputs = keras.Input((SIDE, SIDE, 3))
    first, second = body("first"), body("second")
    model = keras.Model(inputs, second(first(inputs)))
    first.trainable = False
    parts = assert_laws(model, pictures())
    assert parts.trainable.get_layer("second") is second


def test_several_inputs_and_a_dictionary_of_outputs_keep_their_structure():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = keras.layers.Concatenate()([keras.layers.Dense(3, trainable=False)(left), keras.layers.Dense(2)(right)])
    model = keras.Model([left, right], {"sum": keras.layers.Dense(1)(both), "raw": both})
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(5, 4)).astype(np.float32) for _ in range(2)]
    parts = assert_laws(model, *inputs)
    assert set(join(parts)(inputs)) == {"sum", "raw"}


def test_training_from_kept_features_equals_training_the_whole_graph():
    features_of = pictures(16, seed=3)
    labels = np.arange(16) % 3

    def trained(kept: bool) -> list[np.ndarray]:
        model = chain()
        for layer in model.layers[:7]:
            layer.trainable = False
        target, x = model, features_of
        if kept:
            parts = split(model)
            target, x = parts.trainable, run(parts.frozen, features_of)[0]
        target.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
        target.fit(x, labels, epochs=3, batch_size=8, shuffle=False, verbose=0)
        return model.get_weights()

    for whole, from_features in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(whole, from_features, rtol=1e-4, atol=1e-5)


def test_the_joined_model_is_saved_and_loaded_like_any_other(tmp_path):
    model = chain()
    model.get_layer("conv_0").trainable = False
    joined = join(split(model))
    joined.save(tmp_path / "joined.keras")
    loaded = keras.saving.load_model(tmp_path / "joined.keras", safe_mode=True)
    assert_same(run(loaded, pictures()), run(model, pictures()))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def test_the_original_is_saved_and_loaded_after_a_split(tmp_path):
    model = chain()
    model.get_layer("conv_0").trainable = False
    split(model)
    model.save(tmp_path / "model.keras")
    assert_same(run(keras.saving.load_model(tmp_path / "model.keras"), pictures()), run(model, pictures()))


def test_a_fingerprint_does_not_depend_on_names_but_on_weights_and_graph():
    first, second = chain(), chain()
    second.name = "other"
    assert fingerprint(first) == fingerprint(second)
    second.get_layer("conv_0").set_weights([second.get_layer("conv_0").get_weights()[0] + 1])
    assert fingerprint(first) != fingerprint(second)
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4)
    once, twice = keras.Model(inputs, dense(inputs)), keras.Model(inputs, dense(dense(inputs)))
    assert fingerprint(once) != fingerprint(twice)


def test_a_model_that_is_not_trainable_itself_but_whose_layers_are_is_refused():
    model = chain()
    model.trainable = False
    model.get_layer("classifier").trainable = True
    assert model.trainable_variables == []
    with pytest.raises(SplitError, match="has trainable=False, but its layer 'classifier' has trainable=True"):
        split(model)


def test_a_functional_subclass_with_its_own_constructor_stays_whole_or_is_refused():
    class Backbone(keras.Model):
        def __init__(self, width):
            inputs = keras.Input((SIDE, SIDE, 3))
            super().__init__(inputs, keras.layers.Conv2D(width, 1, name="inner")(inputs), name="backbone")
            self.width = width

        def get_config(self):
            return {"width": self.width}

    body = Backbone(4)
    with pytest.raises(SplitError, match="'backbone' is a Backbone, whose graph cannot be read"):
        split(body)
    body.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(body(inputs)))
    parts = assert_laws(model, pictures())
    assert parts.frontier == ((SIDE, SIDE, 4),)
    assert parts.frozen.get_layer("backbone") is body


def test_a_model_that_stays_whole_may_itself_clash():
    def body(name, layer):
        inside = keras.Input((SIDE, SIDE, 3))
        return keras.Model(inside, keras.layers.Conv2D(3, 1, name=layer)(inside), name=name)

    x = inputs = keras.Input((SIDE, SIDE, 3))
    for name, layer in (("conv1", "d"), ("second", "d"), ("third", "conv1")):
        x = body(name, layer)(x)
    model = keras.Model(inputs, x)
    model.get_layer("conv1").trainable = False
    assert_laws(model, pictures())


def test_spectral_normalisation_changes_in_training_even_when_frozen_and_is_in_the_trainable_half():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.SpectralNormalization(keras.layers.Conv2D(2, 1), name="spectral")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    model.get_layer("spectral").trainable = False
    assert split(model).trainable.get_layer("spectral") is model.get_layer("spectral")


def test_fingerprints_tell_sharing_and_constants_apart():
    inputs = keras.Input((4,))
    one, two = keras.layers.Dense(4), keras.layers.Dense(4)
    two.build((None, 4))
    one.build((None, 4))
    aab = keras.Model(inputs, two(one(one(inputs))))
    abb = keras.Model(inputs, two(two(one(inputs))))
    assert fingerprint(aab) != fingerprint(abb)

    def shifted(by):
        given = keras.Input((2000,))
        constant = np.zeros((2000,), np.float32)
        constant[1000] = by
        return keras.Model(given, keras.ops.add(given, constant))

    assert fingerprint(shifted(1)) != fingerprint(shifted(2))
    assert fingerprint(shifted(1)) == fingerprint(shifted(1))


def test_indices_among_the_arguments_are_part_of_the_fingerprint():
    def sliced(step):
        given = keras.Input((4, 3))
        return keras.Model(given, given[..., ::step])

    assert fingerprint(sliced(-1)) != fingerprint(sliced(2))
    assert fingerprint(sliced(-1)) == fingerprint(sliced(-1))


def test_a_model_that_hides_its_graph_is_refused():
    class Hidden(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(SplitError, match="'hidden' is a Hidden, whose graph cannot be read"):
        split(Hidden(name="hidden"))


def test_halves_that_do_not_fit_are_refused():
    parts = split(chain())
    with pytest.raises(SplitError, match="the halves do not fit"):
        join(Parts(parts.frozen, keras.Sequential([keras.Input((9,)), keras.layers.Dense(1)])))
