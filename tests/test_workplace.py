"""RUN while it is being trained: who may work where, and what is left when something goes wrong."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart import workplace
from headstart.errors import RunError, StorageError
from headstart.recipe import Recipe
from headstart.workplace import Workplace, check_place, unfinished, working_in


def recipe(tmp_path: Path, **choices) -> Recipe:
    return Recipe(data=str(tmp_path / "data"), out=str(tmp_path / "run"), **choices)


def work(run: Path, recipe: Recipe, *do: Callable[[Workplace], object]) -> None:
    """Do a few things in a place, one after the other."""
    with working_in(run, recipe) as place:
        for thing in do:
            thing(place)


def fail(error: type[BaseException]) -> Callable[[Workplace], object]:
    def thing(place: Workplace) -> None:
        raise error

    return thing


def hand_over(version: str, finished: bool, error: type[BaseException] | None = None) -> Callable[[Workplace], object]:
    def thing(place: Workplace) -> None:
        with place.new_run(finished) as folder:
            fill(folder, version)
            if error is not None:
                raise error

    return thing


def leave_state(run: Path) -> None:
    """What a stage leaves at the end of an epoch."""
    (run / "training" / "head.safetensors").write_bytes(b"state")


@pytest.fixture
def interrupted(tmp_path) -> Path:
    """A folder in which a training was interrupted."""
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        work(run, recipe(tmp_path), lambda place: leave_state(run), fail(KeyboardInterrupt))
    return run


def test_a_place_that_is_free_or_empty_or_unfinished_may_be_taken(tmp_path, interrupted):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    assert check_place(tmp_path / "new" / "run", tmp_path / "data") == tmp_path / "new" / "run"
    assert check_place(tmp_path / "link", tmp_path / "data") == tmp_path / "empty"
    assert check_place(interrupted, tmp_path / "data") == interrupted
    assert not (tmp_path / "new" / "run").exists()


def test_a_place_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("three years of work")
    (tmp_path / "file").write_text("")
    for name, message in (
        ("full", "exists and is not empty. Give another --out, or remove it first."),
        ("file", "exists and is a file. Give another --out."),
        ("data/run", f"is inside {tmp_path}/data, where it would be taken for pictures. Give another --out."),
        ("data", f"is inside {tmp_path}/data, where it would be taken for pictures. Give another --out."),
    ):
        with pytest.raises(RunError) as caught:
            check_place(tmp_path / name, tmp_path / "data")
        assert str(caught.value) == f"{tmp_path}/{name} {message}"
    assert (tmp_path / "full" / "thesis.tex").read_text() == "three years of work"


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        check_place(tmp_path / "file" / "run", tmp_path / "data")
    assert str(caught.value) == (
        f"cannot write to {tmp_path}/file/run: something else is there. Free some space there, or give another --out. "
        "The store keeps what was computed."
    )


def test_a_training_that_fails_before_its_first_epoch_leaves_nothing(tmp_path):
    for error in (RuntimeError, RunError):
        with pytest.raises(error):
            work(tmp_path / "run", recipe(tmp_path), lambda place: (place.path / "checkpoints").mkdir(), fail(error))
        assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_left_empty_and_stays(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RuntimeError):
        work(tmp_path / "run", recipe(tmp_path), fail(RuntimeError))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_training_that_fails_later_keeps_what_it_can_go_on_from(interrupted, tmp_path):
    assert (interrupted / "training" / "head.safetensors").read_bytes() == b"state"
    with pytest.raises(RuntimeError):
        work(interrupted, recipe(tmp_path), fail(RuntimeError))
    assert (interrupted / "training" / "head.safetensors").exists()


def test_other_choices_do_not_go_on_with_an_unfinished_training(interrupted, tmp_path):
    with pytest.raises(RunError) as caught, working_in(interrupted, recipe(tmp_path, epochs=3, seed=1)):
        pytest.fail("it was let in")
    assert str(caught.value) == (
        f"{interrupted} holds an unfinished training with other choices: epochs was 20, not 3; seed was 0, not 1. "
        f"Go on with headstart train --resume {interrupted}, give another --out, or remove it."
    )
    assert (interrupted / "training" / "head.safetensors").exists()


def test_the_same_choices_from_another_folder_are_the_same(interrupted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with working_in(interrupted, Recipe(data="data", out="run")) as place:
        assert place.state()


def test_what_was_begun_is_known_without_any_choice(interrupted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert unfinished("run") == Recipe(data=str(tmp_path / "data"), out="run")


def test_where_somebody_works_nobody_else_does(tmp_path):
    with working_in(tmp_path / "run", recipe(tmp_path)):
        leave_state(tmp_path / "run")
        with pytest.raises(RunError) as caught, working_in(tmp_path / "run", recipe(tmp_path)):
            pytest.fail("it was let in")
        assert str(caught.value) == (
            f"another training is at work in {tmp_path}/run. Wait for it, or give another --out."
        )
        assert (tmp_path / "run" / "training" / "head.safetensors").exists()


def test_a_lock_that_another_process_holds_is_respected_and_let_go_with_it(tmp_path):
    (tmp_path / "run" / "training").mkdir(parents=True)
    ready, stop = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with open(tmp_path / "run" / "training" / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(ready[1], b"x")
            os.read(stop[0], 1)
            os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(RunError, match="another training is at work"), working_in(tmp_path / "run", recipe(tmp_path)):
        pytest.fail("it was let in")
    os.write(stop[1], b"x")
    os.waitpid(child, 0)
    with working_in(tmp_path / "run", recipe(tmp_path)) as place:
        assert place.path == tmp_path / "run"


def test_there_must_be_something_to_resume(tmp_path):
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "bundle.json").write_text("{}")
    for name, message in (
        ("nothing", "there is no unfinished training in {}. Give the --out of the one that was interrupted."),
        ("finished", "{} is finished; there is nothing to resume. To train it further: --from {}."),
    ):
        with pytest.raises(RunError) as caught:
            hs.resume(tmp_path / name)
        assert str(caught.value) == message.format(*[tmp_path / name] * 2)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"data": 3}', '{"data": "x", "colour": "red"}'])
def test_a_damaged_recipe_is_refused_with_what_to_do(interrupted, content):
    (interrupted / "training" / "recipe.json").write_text(content)
    with pytest.raises(RunError) as caught:
        unfinished(interrupted)
    assert str(caught.value) == (
        f"{interrupted}/training/recipe.json is damaged. Remove {interrupted} and train again; "
        "the store keeps the features."
    )


def fill(folder: Path, version: str) -> None:
    """What a training hands over, in short."""
    for name in ("model.keras", "metrics.json", "bundle.json"):
        (folder / name).write_text(version)
    (folder / "runtime").mkdir()
    (folder / "runtime" / "frozen.xml").write_text(version)


def content(run: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in run.rglob("*") if path.is_file() and "training" not in path.parts}


def test_a_run_is_there_whole_and_what_it_was_made_from_goes_when_it_is_finished(tmp_path):
    with working_in(tmp_path / "run", recipe(tmp_path)) as place:
        hand_over("first", finished=False)(place)
        assert set(content(tmp_path / "run").values()) == {"first"}
        assert (tmp_path / "run" / "training" / "recipe.json").exists()
        hand_over("second", finished=True)(place)
    assert content(tmp_path / "run") == dict.fromkeys(
        ("model.keras", "metrics.json", "bundle.json", "frozen.xml"), "second"
    )
    assert not (tmp_path / "run" / "training").exists()


def test_what_fails_while_it_is_written_is_no_run_and_leaves_nothing_beside_it(tmp_path):
    failing = hand_over("half", finished=True, error=RuntimeError)
    with pytest.raises(RuntimeError):
        work(tmp_path / "run", recipe(tmp_path), lambda place: leave_state(place.path), failing)
    assert content(tmp_path / "run") == {}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training"]


@pytest.mark.parametrize("moved", range(4))
def test_a_kill_between_the_files_of_a_run_leaves_no_run_that_could_be_mistaken_for_one(tmp_path, monkeypatch, moved):
    real, before = workplace._replace, []

    def kill(entry, target):
        if len(before) == moved:
            raise SystemExit  # as far as the disk can tell; `finally` only removes what lies beside
        before.append(entry)
        real(entry, target)

    def first(place: Workplace) -> None:
        leave_state(place.path)
        hand_over("first", finished=False)(place)
        monkeypatch.setattr(workplace, "_replace", kill)

    with pytest.raises(SystemExit):
        work(tmp_path / "run", recipe(tmp_path), first, hand_over("second", finished=True))
    assert not (tmp_path / "run" / "bundle.json").exists()
    with pytest.raises(RunError, match="is not a RUN: it has no bundle.json"):
        hs.load(tmp_path / "run")
    monkeypatch.setattr(workplace, "_replace", real)
    work(tmp_path / "run", recipe(tmp_path), hand_over("second", finished=True))
    assert set(content(tmp_path / "run").values()) == {"second"}


def test_what_a_killed_training_has_left_beside_it_is_removed(interrupted, tmp_path):
    (interrupted / ".unfinished-x").mkdir()
    (interrupted / ".unfinished-x" / "model.keras").write_text("half")
    with working_in(interrupted, recipe(tmp_path)):
        assert not (interrupted / ".unfinished-x").exists()


def test_the_recipe_that_is_kept_is_readable_and_has_no_place_of_its_own(interrupted, tmp_path):
    kept = json.loads((interrupted / "training" / "recipe.json").read_text())
    assert kept["data"] == str(tmp_path / "data")
    assert kept["weights"] == "imagenet"
    assert "out" not in kept
