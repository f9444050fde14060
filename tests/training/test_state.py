"""The state of a training on disk: what was written is read, and what is damaged is refused."""

import keras
import numpy as np
import pytest

from headstart.errors import RunError, StorageError
from headstart.training.state import Plan, Progress, State, assign, read_state, values


def state() -> State:
    random = np.random.default_rng(0)
    rows = [{"epoch": 1, "loss": 0.1 + 0.2, "val_loss": 1 / 3}]
    progress = Progress(rows, 1 / 3, 1, 0, False, Plan(20, 5, 32, "digest"))
    model = [random.normal(size=shape).astype(np.float32) for shape in [(3, 4), (4,)] * 6]
    counters = [np.array(7, np.int32), np.array([1, 2], np.uint32), model[0].T]
    return State(progress, [*model, *counters], counters, model)


def test_everything_comes_back_to_the_last_bit_and_in_its_order(tmp_path):
    written = state()
    written.write(tmp_path / "training" / "head.safetensors")
    read = read_state(tmp_path / "training" / "head.safetensors")
    assert read.progress == written.progress
    for part in ("model", "optimizer", "best"):
        ours, theirs = getattr(written, part), getattr(read, part)
        assert [array.dtype for array in ours] == [array.dtype for array in theirs]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_where_nothing_was_kept_there_is_nothing(tmp_path):
    assert read_state(tmp_path / "head.safetensors") is None


def test_a_state_replaces_the_one_before_it_and_leaves_nothing_beside_it(tmp_path):
    file = tmp_path / "head.safetensors"
    state().write(file)
    state().write(file)
    assert [path.name for path in tmp_path.iterdir()] == ["head.safetensors"]


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:20], lambda content: b"x"])
def test_a_damaged_state_is_refused_with_what_to_do(tmp_path, damage):
    file = tmp_path / "head.safetensors"
    state().write(file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RunError) as caught:
        read_state(file)
    assert str(caught.value) == (
        f"{file} is damaged, so the training cannot go on from it. Remove it to repeat this part of the training."
    )


def test_a_state_that_is_no_state_of_a_training_is_refused(tmp_path):
    from safetensors.numpy import save_file

    file = tmp_path / "head.safetensors"
    save_file({"model.0": np.zeros(3)}, file, {"progress": '{"rows": []}'})
    with pytest.raises(RunError, match="is damaged, so the training cannot go on from it"):
        read_state(file)


def test_the_state_of_another_network_is_refused_and_nothing_is_changed(tmp_path):
    file = tmp_path / "head.safetensors"
    variables = [keras.Variable(np.ones(3, np.float32)), keras.Variable(np.ones(4, np.float32))]
    with pytest.raises(RunError) as caught:
        assign(variables, [np.zeros(3, np.float32), np.zeros(5, np.float32)], file)
    assert str(caught.value) == (
        f"{file} is from another network or headstart. Remove it to repeat this part of the training."
    )
    assert np.all(values(variables)[0] == 1)


def test_values_are_copies():
    variable = keras.Variable(np.ones(3, np.float32))
    before = values([variable])
    variable.assign(np.zeros(3, np.float32))
    assert np.all(before[0] == 1)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        state().write(tmp_path / "file" / "head.safetensors")
    assert str(caught.value) == (
        f"cannot write to {tmp_path}/file: something else is there. Free some space there; "
        "`headstart train --resume` goes on from the last epoch that was kept."
    )
