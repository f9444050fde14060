"""Fitting by Keras from kept features: stops early, keeps the best, repeats exactly, leaves its traces."""

import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.errors import RunError, StorageError
from headstart.features.extract import Extraction
from headstart.features.keys import picture_digest
from headstart.features.store import Store
from headstart.recipe import Recipe
from headstart.training.batches import Batches, Kept
from headstart.training.fit import Fitted, Places, fit
from headstart.training.objective import make_objective
from headstart.training.optimizers import make_optimizer
from headstart.training.state import Plan, read_state

RECIPE = Recipe(data="x", learning_rate=1e-2, schedule="constant", label_smoothing=0.0)
PATIENCE = 3


@pytest.fixture
def extraction():
    """Features of 200 pictures, two frontier tensors; the class is the sign of the first value."""
    space = Store().space({"test": 1}, {}).refresh()
    random = np.random.default_rng(0)
    vectors, others = (random.normal(size=(200, 4)).astype(np.float32) for _ in range(2))
    digests = {f"p{i}": picture_digest(str(i).encode()) for i in range(200)}
    space.append(list(digests.values()), [vectors, others])
    return Extraction(space, digests), (vectors[:, 0] > 0).astype(int)


@pytest.fixture
def places(tmp_path) -> Places:
    made = Places(tmp_path / "training" / "head.safetensors", tmp_path / "checkpoints", tmp_path / "tensorboard")
    made.prepare()
    return made


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = [keras.Input((4,)), keras.Input((4,))]
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(keras.layers.Concatenate()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))


def batches(extraction, first: int, last: int, seed: int | None) -> Batches:
    features, labels = extraction
    return Batches(Kept([features]), [f"p{i}" for i in range(first, last)], labels[first:last], 32, seed)


def run(net: keras.Model, extraction, places: Places, epochs: int, pictures: str = "these", **more) -> Fitted:
    train, val = batches(extraction, 0, 150, 0), batches(extraction, 150, 200, None)
    plan = Plan(epochs, PATIENCE, 32, pictures)
    optimizer = make_optimizer(RECIPE, "head", len(train))
    return fit(net, make_objective(RECIPE, 2), optimizer, train, val, plan, places, **more)


def ctrl_c() -> None:
    """What Python does on Ctrl-C. Real signals are sent to real processes in tests/test_kill.py."""
    signal.getsignal(signal.SIGINT)(signal.SIGINT, None)


def test_it_learns_and_stops_when_the_validation_loss_stops_falling(extraction, places):
    net, told = model(), []
    found = run(net, extraction, places, epochs=60, on_epoch=lambda rows: told.append(len(rows)))
    best = min(found.rows, key=lambda row: row["val_loss"])
    assert best["val_accuracy"] > 0.85
    assert found.best_epoch == best["epoch"]
    assert len(found.rows) == min(60, found.best_epoch + PATIENCE)
    assert not found.interrupted
    loss = net.evaluate(batches(extraction, 150, 200, None), verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(best["val_loss"], abs=1e-4)
    assert list(found.rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert told == list(range(1, len(found.rows) + 1))


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(extraction, places, tmp_path):
    elsewhere = Places(tmp_path / "b" / "head.safetensors", tmp_path / "b", tmp_path / "b" / "logs")
    elsewhere.prepare()
    nets = [model(), model()]
    for net, where in zip(nets, (places, elsewhere), strict=True):
        run(net, extraction, where, epochs=3)
    for one, other in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_better_epoch_leaves_its_weights_under_its_number_and_loss(extraction, places):
    net = model()
    found = run(net, extraction, places, epochs=3)
    losses = [row["val_loss"] for row in found.rows]
    better = [i for i in range(3) if losses[i] == min(losses[: i + 1])]
    names = sorted(path.name for path in places.checkpoints.iterdir())
    assert names == [f"{i + 1:02d}-{losses[i]:.4f}.weights.h5" for i in better]
    kept = net.get_weights()
    net.load_weights(places.checkpoints / names[-1])
    for one, other in zip(kept, net.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_tensorboard_finds_logs_of_both_sides(extraction, places):
    run(model(), extraction, places, epochs=1)
    assert {path.name for path in places.tensorboard.iterdir()} == {"train", "validation"}
    assert list(places.tensorboard.rglob("events.out.tfevents.*"))


def test_what_is_finished_is_not_done_again(extraction, places):
    first, again = model(), model()
    found = run(first, extraction, places, epochs=2)
    assert run(again, extraction, places, epochs=2) == found
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_on_other_pictures_does_not_go_on(extraction, places):
    run(model(), extraction, places, epochs=2)
    with pytest.raises(RunError) as caught:
        run(model(), extraction, places, epochs=2, pictures="others")
    assert str(caught.value) == (
        "the pictures are not those that head was interrupted on. "
        f"Remove {places.state} to begin it again with those that are there now."
    )


def test_the_state_of_another_network_is_refused(extraction, places):
    def interrupt(rows):
        ctrl_c()

    assert run(model(), extraction, places, epochs=9, on_epoch=interrupt).interrupted
    inputs = [keras.Input((4,)), keras.Input((4,))]
    other = keras.Model(inputs, keras.layers.Dense(2, "softmax")(keras.layers.Concatenate()(inputs)))
    with pytest.raises(RunError) as caught:
        run(other, extraction, places, epochs=9)
    assert str(caught.value) == (
        f"{places.state} is from another network or headstart. Remove it to repeat this part of the training."
    )


def test_ctrl_c_ends_it_with_the_best_epoch_so_far(extraction, places):
    net, handler = model(), signal.getsignal(signal.SIGINT)

    def interrupt(rows):
        if len(rows) == 2:
            ctrl_c()

    found = run(net, extraction, places, epochs=9, on_epoch=interrupt)
    assert found.interrupted
    assert len(found.rows) == 2
    assert found.best_epoch == min(found.rows, key=lambda row: row["val_loss"])["epoch"]
    for one, other in zip(net.get_weights(), read_state(places.state).best, strict=True):
        np.testing.assert_array_equal(one, other)
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_before_the_first_epoch_has_ended_is_what_it_usually_is(extraction, places, monkeypatch):
    def interrupt(self, epoch):
        ctrl_c()

    monkeypatch.setattr(Batches, "begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(model(), extraction, places, epochs=2)
    assert not places.state.exists()


def test_a_folder_for_logs_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    places = Places(tmp_path / "head.safetensors", tmp_path / "checkpoints", tmp_path / "file" / "logs")
    with pytest.raises(StorageError) as caught:
        places.prepare()
    assert str(caught.value) == (
        f"cannot write to {Path(tmp_path)}/file/logs: part of the path is a file. "
        "Give another --tensorboard folder, or make room there."
    )
