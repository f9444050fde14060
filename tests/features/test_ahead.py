"""What is done with pictures before Keras is there is not done again, and nothing depends on it."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.features.ahead import Ahead, Known, key_of
from headstart.features.convert import choose_runtime
from headstart.features.extract import extract
from headstart.features.runtime import OpenVINORuntime
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.models.cut import fingerprint
from headstart.recipe import Recipe
from tests.conftest import make_picture, write_picture

DECODE = DecodeRecipe(16, 16)


@pytest.fixture
def paths(tmp_path) -> list[str]:
    files = [tmp_path / "pictures" / f"{number}.png" for number in range(70)]
    for number, file in enumerate(files):
        write_picture(file, make_picture(number))
    return [str(file) for file in files]


@pytest.fixture(scope="module")
def frozen() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    model = keras.Model(inputs, outputs)
    model.trainable = False
    return model


@pytest.fixture
def known(frozen) -> Known:
    store = Store()
    runtime = choose_runtime(frozen, fingerprint(frozen), store, lambda: np.zeros((2, 16, 16, 3), np.uint8), "f32")
    identity = {"frozen": "f", "decode": DECODE.identity(), "view": "centre", **asdict(runtime.identity)}
    assert runtime.converted is not None
    return Known(identity, {}, runtime.converted.relative_to(store.root).as_posix(), "f32")


def forbidden():
    pytest.fail("the frozen part was made ready")


def test_what_is_known_is_found_again(known):
    known.remember(Store(), "key")
    assert Known.of(Store(), "key") == known
    assert Known.is_there(Store(), "key")
    assert Known.of(Store(), "another") is None
    assert not Known.is_there(Store(), "another")


@pytest.mark.parametrize("damage", ["no json", "[]", "{}", '{"identity": 1, "about": 2, "model": 3, "precision": 4}'])
def test_what_is_damaged_is_not_known(known, damage):
    known.remember(Store(), "key")
    (file,) = (Store().root / "known").iterdir()
    file.write_text(damage)
    assert Known.of(Store(), "key") is None


def test_a_frozen_part_that_is_gone_or_not_openvinos_is_not_known(known):
    replace(known, model="converted/none/model.xml").remember(Store(), "gone")
    replace(known, identity={**known.identity, "name": "keras-jax-cpu"}).remember(Store(), "keras")
    assert Known.of(Store(), "gone") is None
    assert Known.of(Store(), "keras") is None


def test_where_it_is_known_how_features_are_in_the_store_before_anybody_asks(paths, known):
    ahead = Ahead(paths, DECODE, Store(), known)
    assert ahead._thread is not None
    ahead._thread.join()
    done = ahead.extraction(known.identity)
    assert done is not None
    assert (done.extracted, list(done.digests)) == (70, paths)
    again = extract(paths, DECODE, forbidden, Store().space(known.identity, {}), Store().stat_cache)
    np.testing.assert_array_equal(again.read(paths)[0], done.read(paths)[0])


def test_asking_ends_the_work_and_the_rest_is_done_by_whoever_asked(paths, known):
    ahead = Ahead(paths, DECODE, Store(), known)
    done = ahead.extraction(known.identity)
    assert done is not None
    space = Store().space(known.identity, {})
    runtime = OpenVINORuntime(Store().root / known.model, pixels=True)
    rest = extract(paths, DECODE, lambda: runtime, space, Store().stat_cache)
    assert rest.extracted + done.extracted == 70


def test_features_of_another_kind_are_of_no_use(paths, known):
    ahead = Ahead(paths, DECODE, Store(), known)
    assert ahead.extraction({**known.identity, "frozen": "another"}) is None


def test_pictures_that_cannot_be_read_spoil_nothing(tmp_path, known):
    ahead = Ahead([str(tmp_path / "none.png")], DECODE, Store(), known)
    done = ahead.extraction(known.identity)
    assert done is None or [bad.path for bad in done.quarantined] in ([], [str(tmp_path / "none.png")])


def test_where_it_is_not_known_how_the_first_pictures_are_decoded_and_given_once(paths, frozen):
    ahead = Ahead(paths, DECODE, Store(), None)
    first = ahead.take(paths[0])
    if first is not None:  # else it had not been begun
        assert first.pixels is not None
        assert first.pixels.shape == (16, 16, 3)
    assert ahead.take(paths[0]) is None
    assert ahead.take("unknown") is None
    store = Store()
    runtime = choose_runtime(frozen, fingerprint(frozen), store, lambda: np.zeros((2, 16, 16, 3), np.uint8), "f32")
    space = store.space({"test": "ahead"}, {})
    done = extract(paths, DECODE, runtime.load, space, store.stat_cache, ahead=ahead.take)
    plain = extract(paths, DECODE, runtime.load, store.space({"test": "plain"}, {}), store.stat_cache)
    ahead.stop()
    assert done.digests == plain.digests
    np.testing.assert_array_equal(done.read(paths)[0], plain.read(paths)[0])


def test_a_picture_that_was_decoded_for_nothing_is_not_computed_twice(paths, known):
    store = Store()
    runtime = OpenVINORuntime(store.root / known.model, pixels=True)
    space = store.space(known.identity, {})
    extract(paths, DECODE, lambda: runtime, space, store.stat_cache)
    (Path(store.root) / "pictures.sqlite").unlink()
    ahead = Ahead(paths, DECODE, store, None)
    assert extract(paths, DECODE, forbidden, space, store.stat_cache, ahead=ahead.take).extracted == 0
    ahead.stop()


def test_a_key_depends_on_what_the_frozen_part_depends_on():
    recipe = Recipe("data", backbone="nano")
    assert key_of(recipe) == key_of(replace(recipe, data="others", seed=3, epochs=2))
    others = [replace(recipe, backbone="vgg16"), replace(recipe, image_size=64), replace(recipe, precision="bf16")]
    assert len({key_of(one) for one in [recipe, *others]}) == 4
    for choice in ({"standardise": True}, {"batchnorm": "adapt"}, {"strategy": "scratch"}, {"extend_imagenet": True}):
        assert key_of(replace(recipe, **choice)) is None


def test_what_is_remembered_is_plain(known):
    known.remember(Store(), "key")
    (file,) = (Store().root / "known").iterdir()
    assert json.loads(file.read_text())["model"].startswith("converted/")


def test_pruning_forgets_it(known):
    known.remember(Store(), "key")
    Store().prune()
    assert not Known.is_there(Store(), "key")
