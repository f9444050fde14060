"""Every strategy from a folder of pictures to a RUN, on small made pictures and random weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.errors import RecipeError, RunError, StorageError
from headstart.images.decode import decode
from headstart.training import fitted
from tests.conftest import make_picture, write_picture

SMALL = {
    **{"backbone": "mobilenet_0.25", "weights": "none", "image_size": 32, "precision": "f32", "progress": False},
    "tap": "conv_pw_5_relu",  # less than half of the layers: what a training costs here is mostly that of graphs
    "label_smoothing": 0.0,  # so that losses are those that are reported
}
HEAD = SMALL | {"strategy": "head", "head": "linear"}
STACK = SMALL | {"strategy": "head", "head": "dense:8", "epochs": 2, "learning_rate": 0.1}
TAPPED = STACK | {"tap": "conv_pw_1_relu"}  # deeper, features at random weights are nearly the same for all pictures
WHOLE = {"tap": None}
TUNE = SMALL | {"strategy": "finetune", "epochs": 2, "augment": "none", "unfreeze": "last:3"}

NORMALISED = 8 + sum((8 + 16, 16 + 32, 32 + 32, 32 + 64, 64 + 64))
"""Channels that BatchNorm normalises up to the tap: those of `conv1`, and of both convolutions of five blocks."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with `two`, pictures of two classes, and `three`, of three."""
    folder = tmp_path_factory.mktemp("strategies")
    for hue, name in enumerate(("blue", "green", "red")):
        for number in range(24):
            picture = make_picture(1000 * hue + number, hue=hue)
            for data in ("two", "three") if hue < 2 else ("three",):
                write_picture(folder / data / name / f"{number:02d}.png", picture)
    return folder


@pytest.fixture(autouse=True)
def store(place, monkeypatch) -> Path:
    """One store for all tests here: the same features are computed once."""
    monkeypatch.setenv("HEADSTART_STORE", str(place / "store"))
    return place / "store"


@pytest.fixture(scope="module")
def head(place) -> hs.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_STORE", str(place / "store"))
        return hs.train(place / "two", out=place / "head", **HEAD)


@pytest.fixture(scope="module")
def stack(place) -> hs.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_STORE", str(place / "store"))
        return hs.train(place / "two", out=place / "stack", **STACK)


@pytest.fixture(scope="module")
def tapped(place) -> hs.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_STORE", str(place / "store"))
        return hs.train(place / "two", out=place / "tapped", **TAPPED)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def reported(run: hs.Run) -> np.ndarray:
    """The probabilities in predictions.csv."""
    return np.array([[float(row[name]) for name in run.classes] for row in rows(run.path / "predictions.csv")])


def pixels(run: hs.Run, data: Path) -> np.ndarray:
    """The pictures of predictions.csv."""
    found = rows(run.path / "predictions.csv")
    return np.stack([decode((data / row["path"]).read_bytes(), run.decode_recipe) for row in found])


def check(run: hs.Run, data: Path) -> None:
    """The law that holds for every RUN: model and halves say what was reported."""
    said = run.model.predict(pixels(run, data), verbose=0)
    said = np.concatenate([1 - said, said], axis=1) if said.shape[1] == 1 else said
    np.testing.assert_allclose(said, reported(run), atol=1e-4)
    np.testing.assert_allclose(run.probabilities(pixels(run, data)), reported(run), atol=1e-4)


def test_a_solved_head_runs_no_epochs_and_chooses_nothing_on_validation(head, place):
    check(head, place / "two")
    assert head.metrics["chosen_on_these_pictures"] is False
    assert head.metrics["kept"] == "head"
    assert list(head.metrics["stages"]) == ["head"]
    assert {row["stage"] for row in rows(head.path / "history.csv")} == {"head"}
    assert not (head.path / "training").exists()
    assert not (head.path / "checkpoints").exists()


@pytest.mark.parametrize("kind", ["auto", "kernel:10"])
def test_kernel_heads_are_solved_and_say_what_was_chosen(place, tmp_path, kind):
    run = hs.train(place / "three", out=tmp_path / "run", **HEAD | {"head": kind})
    check(run, place / "three")
    if kind == "kernel:10":
        assert run.metrics["head"] == "kernel:10"
        assert {"penalty", "gamma", "landmarks"} <= run.metrics.keys()
        assert [layer.name for layer in run.model.layers[-3:]] == ["unit", "landmarks", "classifier"]
    else:
        assert set(run.metrics["cross_validated"]) == {"linear", "kernel"}


@pytest.mark.parametrize(
    "head",
    [
        "dense:8,dropout:0.2",
        pytest.param("conv:4,flatten,dense:8", marks=pytest.mark.slow),
        pytest.param("flatten", marks=pytest.mark.slow),
    ],
)
def test_heads_of_layers_are_fitted_and_say_that_validation_chose_the_epoch(place, tmp_path, head):
    run = hs.train(place / "two", out=tmp_path / "run", **STACK | {"head": head})
    check(run, place / "two")
    assert run.metrics["chosen_on_these_pictures"] is True
    assert (run.metrics["head"], run.metrics["batch_size"]) == (head, 32)
    history = rows(tmp_path / "run" / "history.csv")
    assert [(row["stage"], row["epoch"]) for row in history] == [("head", "1"), ("head", "2")]
    assert run.metrics["epochs_run"] == 2
    best = min(history, key=lambda row: float(row["val_loss"]))
    assert run.metrics["best_epoch"] == int(best["epoch"])
    assert run.metrics["loss"] == pytest.approx(float(best["val_loss"]), abs=1e-4)
    assert list((tmp_path / "run" / "checkpoints" / "head").iterdir())
    assert not (tmp_path / "run" / "training").exists()


def test_fine_tuning_trains_what_is_unfrozen_and_nothing_else(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | WHOLE)
    check(run, place / "two")
    assert run.metrics["kept"] == "finetune"
    assert run.metrics["trained_from"] == ["conv_pw_13"]
    trained = 256 * 256 + 256 * 2 + 2  # the last convolution and the classifier; BatchNorm is frozen
    assert run.metrics["trainable_params"] == trained
    assert run.metrics["non_trainable_params"] == 218_544 - 256 * 256


def test_where_fine_tuning_is_worse_the_head_is_kept(place, tmp_path):
    head = hs.train(place / "three", out=tmp_path / "head", **HEAD | {"test": 0.2})
    choices = TUNE | {"strategy": "auto", "head": "linear", "learning_rate": 10.0, "test": 0.2}
    run = hs.train(place / "three", out=tmp_path / "run", **choices)
    check(run, place / "three")
    assert run.metrics["kept"] == "head"
    assert run.metrics["chosen_on_these_pictures"] is True
    assert (tmp_path / "run" / "predictions.csv").read_text() == (tmp_path / "head" / "predictions.csv").read_text()
    np.testing.assert_array_equal(
        run.model.predict(pixels(run, place / "three"), verbose=0),
        head.model.predict(pixels(run, place / "three"), verbose=0),
    )
    stages = run.metrics["stages"]
    assert list(stages) == ["head", "finetune"]
    assert stages["head"]["val"]["accuracy"] >= stages["finetune"]["val"]["accuracy"]
    found = run.metrics["gain"]
    assert found["accuracy"] == pytest.approx(stages["finetune"]["val"]["accuracy"] - stages["head"]["val"]["accuracy"])
    assert found["low"] <= found["accuracy"] <= found["high"]
    assert run.metrics["test"]["accuracy"] == stages["head"]["test"]["accuracy"]


def test_where_fine_tuning_is_better_it_is_kept(place, tmp_path, monkeypatch):
    from headstart.training import strategies

    monkeypatch.setattr(strategies, "_merit", lambda session, stage: stage.name == "finetune")
    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | {"strategy": "auto", "head": "linear"})
    check(run, place / "two")
    assert run.metrics["kept"] == "finetune"
    assert run.metrics["trained_from"] == ["conv_pw_5"]
    stages = [row["stage"] for row in rows(tmp_path / "run" / "history.csv")]
    assert set(stages) == {"head", "finetune"}
    assert stages == sorted(stages, key=["head", "finetune"].index)


def test_from_scratch_everything_is_trained_and_nothing_is_kept_but_pixels(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **SMALL | {"strategy": "scratch", "epochs": 2, "patience": 1})
    check(run, place / "two")
    assert run.metrics["kept"] == "scratch"
    assert run.about["runtime"]["name"] == "pixels"
    assert run.metrics["non_trainable_params"] == 2 * NORMALISED  # the moving statistics


def test_one_sigmoid_unit_works_from_end_to_end(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **HEAD | {"output": "sigmoid"})
    check(run, place / "two")
    assert run.model.output_shape == (None, 1)
    assert run.classes == ("blue", "green")
    assert run.probabilities(np.zeros((3, 32, 32, 3), np.uint8)).shape == (3, 2)
    prediction = hs.load(tmp_path / "run").predict(place / "two" / "green" / "01.png")[0]
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-6)
    found = hs.evaluate(tmp_path / "run", place / "two").figures
    assert (found.n, list(found.per_class)) == (48, ["blue", "green"])
    assert np.sum(run.metrics["confusion"]) == run.metrics["n"]


def test_one_fitted_sigmoid_unit_is_the_same_from_end_to_end(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | {"output": "sigmoid", "label_smoothing": 0.1})
    check(run, place / "two")
    assert run.model.output_shape == (None, 1)


def test_one_sigmoid_unit_for_three_classes_is_refused(place, tmp_path):
    with pytest.raises(RecipeError) as caught:
        hs.train(place / "three", out=tmp_path / "run", **HEAD | {"output": "sigmoid"})
    assert str(caught.value) == ("output sigmoid tells two classes apart; there are 3. Leave it out for softmax.")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "choices",
    [
        {"loss": "binary"},
        {"loss": "categorical", "optimizer": "sgd", "schedule": "decay:1e-6"},
        {"label_smoothing": 0.1, "class_weights": "balanced", "optimizer": "amsgrad", "warmup": 0.5},
        {"augmentations": "mixup", "augment": "views=1"},
    ],
    ids=["binary", "categorical", "smoothed-and-balanced", "mixup"],
)
def test_losses_weights_and_mixing_change_what_is_learned(tapped, place, tmp_path, choices):
    run = hs.train(place / "two", out=tmp_path / "run", **TAPPED | choices)
    check(run, place / "two")
    assert not np.array_equal(reported(run), reported(tapped))


def test_weights_of_classes_change_nothing_where_classes_are_alike(stack, place, tmp_path):
    sides = [row for row in rows(stack.path / "splits.csv") if row["side"] == "train"]
    counts = [sum(row["label"] == name for row in sides) for name in stack.classes]
    run = hs.train(place / "two", out=tmp_path / "run", **STACK | {"class_weights": "balanced"})
    same = np.array_equal(reported(run), reported(stack))
    assert same == (counts[0] == counts[1])


def test_a_list_of_labels_may_name_classes_without_pictures(place, tmp_path):
    (tmp_path / "labels.txt").write_text("green\nyellow\nblue\n")
    for name, choices in (("solved", HEAD), ("fitted", STACK)):
        run = hs.train(place / "two", out=tmp_path / name, **choices | {"labels": tmp_path / "labels.txt"})
        check(run, place / "two")
        assert run.classes == ("green", "yellow", "blue")
        assert run.metrics["per_class"]["yellow"] == {"n": 0, "precision": None, "recall": None, "f1": None}
    assert reported(hs.load(tmp_path / "solved"))[:, 1].max() < 1e-6


def test_a_share_for_testing_is_reported_and_leaves_the_validation_pictures_where_they_were(head, place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **HEAD | {"test": 0.25})
    val, with_test = ({row["path"] for row in rows(r.path / "splits.csv") if row["side"] == "val"} for r in (head, run))
    assert val == with_test
    tested = [row for row in rows(tmp_path / "run" / "predictions.csv") if row["side"] == "test"]
    assert run.metrics["test"]["n"] == len(tested) > 0
    assert np.mean([row["label"] == row["predicted"] for row in tested]) == run.metrics["test"]["accuracy"]
    assert run.metrics["stages"]["head"]["test"]["n"] == len(tested)


def test_kept_views_are_computed_once_for_training_pictures_alone(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "store"))
    choices = TUNE | {"augment": "views=2", "augmentations": "flip,crop"}
    run = hs.train(place / "two", out=tmp_path / "run", **choices)
    check(run, place / "two")
    learned = 48 - run.metrics["n"]
    assert (run.metrics["extracted"], run.metrics["augment"]) == (48 + 2 * learned, "views=2")
    again = hs.train(place / "two", out=tmp_path / "again", **choices)
    assert (again.metrics["extracted"], again.metrics["reused"]) == (0, 48 + 2 * learned)
    np.testing.assert_array_equal(reported(again), reported(run))


@pytest.mark.slow
def test_streamed_views_leave_nothing_in_the_store_and_repeat_themselves(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "store"))
    choices = TUNE | {"augment": "stream", "augmentations": "flip,crop,mixup"}
    run = hs.train(place / "two", out=tmp_path / "run", **choices)
    check(run, place / "two")
    assert (run.metrics["extracted"], run.metrics["augment"]) == (48, "stream")
    again = hs.train(place / "two", out=tmp_path / "again", **choices)
    np.testing.assert_array_equal(reported(again), reported(run))


def test_where_nobody_says_there_are_as_many_views_as_fit(place, tmp_path, monkeypatch, caplog):
    from headstart.training import keeping

    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | {"augment": "auto"})
    assert run.metrics["augment"] == "views=8"
    monkeypatch.setattr(keeping, "MOST_KEPT_BYTES", 1000)
    run = hs.train(place / "two", out=tmp_path / "streamed", **TUNE | {"augment": "auto"})
    assert run.metrics["augment"] == "stream"
    (said,) = [message for message in caplog.messages if "streamed" in message]
    assert said == (
        f"one view of {48 - run.metrics['n']} pictures takes 0.0 GB, and there are 0.0 GB for all views, so they are "
        "streamed: every epoch runs the frozen part again. --augment views=K keeps K of them all the same."
    )


def test_cutmix_on_vectors_is_refused_with_what_to_take_instead(place, tmp_path):
    with pytest.raises(RecipeError) as caught:
        hs.train(place / "two", out=tmp_path / "run", **STACK | {"augmentations": "cutmix"})
    assert str(caught.value) == (
        "cutmix pastes boxes of pictures or feature maps, and what is kept here are vectors. "
        "Take mixup, or unfreeze layers before the pooling."
    )
    assert not (tmp_path / "run").exists()


def test_cutmix_on_maps_is_trained_on(place, tmp_path):
    check(
        hs.train(place / "two", out=tmp_path / "run", **TUNE | {"augmentations": "cutmix", "augment": "stream"}),
        place / "two",
    )


def test_a_tap_ends_the_backbone_at_a_layer(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **HEAD | {"tap": "conv_pw_3_relu"})
    check(run, place / "two")
    assert run.metrics["trainable_params"] == 32 * 2 + 2
    assert "conv_pw_4" not in [layer.name for layer in run.model.layers]


def test_the_top_of_the_backbone_may_be_part_of_it(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **HEAD | {"include_top": True, "tap": "conv_preds"})
    check(run, place / "two")
    assert run.metrics["trainable_params"] == 1000 * 2 + 2


@pytest.mark.slow
def test_features_of_two_backbones_are_fused(place, tmp_path):
    choices = HEAD | {"backbone": "mobilenet_0.25,mobilenet_0.5"}
    run = hs.train(place / "three", out=tmp_path / "run", **choices)
    check(run, place / "three")
    assert run.metrics["trainable_params"] == (64 + 128) * 3 + 3
    assert run.metrics["backbone"] == "mobilenet_0.25,mobilenet_0.5"


def test_two_backbones_may_be_fine_tuned_together(place, tmp_path):
    choices = TUNE | {"backbone": "mobilenet_0.25,mobilenet_0.5", "layer_decay": 0.5}
    run = hs.train(place / "two", out=tmp_path / "run", **choices)
    check(run, place / "two")
    assert run.metrics["trained_from"] == ["mobilenet_0.25_conv_pw_5", "mobilenet_0.5_conv_pw_5"]


def test_a_grafted_head_says_what_was_loaded_and_what_is_new(stack, place, tmp_path, caplog):
    choices = TUNE | {"head_from": stack.path, "learning_rate": 1e-9}
    run = hs.train(place / "two", out=tmp_path / "run", **choices)
    check(run, place / "two")
    assert f"from the head of {stack.path}: loaded head_dense_1, classifier." in caplog.messages
    assert run.metrics["head"] == "dense:8"
    for name in ("head_dense_1", "classifier"):
        for ours, theirs in zip(
            run.model.get_layer(name).get_weights(), stack.model.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    caplog.clear()
    hs.train(place / "three", out=tmp_path / "three", **TUNE | {"head_from": stack.path})
    assert (
        f"from the head of {stack.path}: loaded head_dense_1; new: classifier (8x2 and 2 in the run, 8x3 and 3 here)."
    ) in caplog.messages


def test_a_finished_run_goes_on_as_it_is(stack, place, tmp_path):
    choices = SMALL | {"strategy": "finetune", "from_run": stack.path, "unfreeze": "last:3", "augment": "none"}
    run = hs.train(place / "two", out=tmp_path / "run", **choices | {"learning_rate": 1e-9, "epochs": 1})
    check(run, place / "two")
    np.testing.assert_allclose(reported(run), reported(stack), atol=1e-3)
    assert list(run.metrics["stages"]) == ["start", "finetune"]


def test_a_run_that_is_trained_further_never_ends_worse(stack, place, tmp_path):
    choices = SMALL | {"strategy": "finetune", "from_run": stack.path, "unfreeze": "last:20", "augment": "none"}
    run = hs.train(place / "two", out=tmp_path / "run", **choices | {"learning_rate": 10.0, "epochs": 2})
    check(run, place / "two")
    start = run.metrics["stages"]["start"]["val"]
    assert (run.metrics["accuracy"], -run.metrics["loss"]) >= (start["accuracy"], -start["loss"])
    assert (start["accuracy"], start["n"]) == (stack.metrics["accuracy"], stack.metrics["n"])


def test_what_is_taken_over_from_a_run_cannot_be_chosen(stack, place, tmp_path):
    for name, message in (
        ("from_run", ("backbone 'resnet50' is not that of {}, 'mobilenet_0.25'; leave it out.",)),
        ("head_from", ()),
    ):
        choices = SMALL | {"strategy": "finetune", name: stack.path, "backbone": "resnet50", "head": "dense:9"}
        with pytest.raises(RecipeError) as caught:
            hs.train(place / "two", out=tmp_path / "run", **choices)
        assert caught.value.problems == (
            f"head 'dense:9' is not that of {stack.path}, 'dense:8'; leave it out.",
            *(sentence.format(stack.path) for sentence in message),
        )
    assert not (tmp_path / "run").exists()


def test_a_finished_run_with_other_classes_does_not_go_on(stack, place, tmp_path):
    choices = SMALL | {"strategy": "finetune", "from_run": stack.path, "augment": "none"}
    with pytest.raises(RunError) as caught:
        hs.train(place / "three", out=tmp_path / "run", **choices)
    assert str(caught.value) == (
        f"{stack.path} tells {', '.join(stack.classes)} apart, and {place / 'three'} holds blue, green, red. "
        "To train on other classes, leave it out."
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batchnorm", ["adapt", "follow", "trainable"])
def test_batchnorm_is_handled_as_asked(place, tmp_path, batchnorm, caplog):
    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | {"batchnorm": batchnorm})
    check(run, place / "two")
    trained = {"adapt": 0, "follow": 2 * 64, "trainable": 2 * NORMALISED}[batchnorm]
    assert run.metrics["trainable_params"] == 64 * 64 + 64 * 2 + 2 + trained
    said = [message for message in caplog.messages if message.startswith("BatchNorm is trained in the whole network")]
    assert len(said) == (batchnorm == "trainable")


def test_16_bits_in_the_trainable_part_leave_32_in_the_model(place, tmp_path):
    run = hs.train(place / "two", out=tmp_path / "run", **TUNE | {"mixed_precision": "on"})
    assert {layer.dtype_policy.name for layer in run.model.layers} == {"float32"}
    check(run, place / "two")


def test_where_memory_runs_out_the_batch_is_halved_and_the_user_told(place, tmp_path, monkeypatch, caplog):
    real, asked = fitted.fit, []

    def fit(model, objective, optimizer, train, val, plan, *more, **named):
        asked.append(plan.batch_size)
        if len(asked) == 1:
            raise MemoryError
        return real(model, objective, optimizer, train, val, plan, *more, **named)

    monkeypatch.setattr(fitted, "fit", fit)
    run = hs.train(place / "two", out=tmp_path / "run", **STACK)
    assert asked == [32, 16]
    assert run.metrics["batch_size"] == 16
    assert "memory has run out, so head begins again with batches of 16 pictures." in caplog.messages
    check(run, place / "two")


def test_where_not_even_one_picture_fits_it_ends(place, tmp_path, monkeypatch):
    def fit(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(fitted, "fit", fit)
    with pytest.raises(MemoryError):
        hs.train(place / "two", out=tmp_path / "run", **STACK)
    assert not (tmp_path / "run").exists()


def test_where_memory_is_estimated_to_run_out_the_batch_is_halved_beforehand(place, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fitted, "available_memory", lambda: 1_000)
    monkeypatch.setattr(fitted, "training_bytes", lambda model, batch_size: 100 * batch_size)
    run = hs.train(place / "two", out=tmp_path / "run", **STACK)
    assert run.metrics["batch_size"] == 8
    assert [message for message in caplog.messages if "more memory" in message] == [
        "training would take more memory than the 0.0 GB there are: batches of 16 pictures, about 0.0 GB.",
        "training would take more memory than the 0.0 GB there are: batches of 8 pictures, about 0.0 GB.",
    ]


def test_a_folder_for_logs_that_cannot_be_made_is_one_sentence_before_any_epoch(place, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(fitted, "fit", lambda *arguments, **named: pytest.fail("an epoch was begun"))
    with pytest.raises(StorageError) as caught:
        hs.train(place / "two", out=tmp_path / "run", **STACK | {"tensorboard": tmp_path / "file" / "logs"})
    assert str(caught.value) == (
        f"cannot write to {tmp_path}/file/logs/head: part of the path is a file. "
        "Give another --tensorboard folder, or make room there."
    )
    assert not (tmp_path / "run").exists()


def test_logs_go_where_they_are_wanted(place, tmp_path):
    hs.train(place / "two", out=tmp_path / "run", **STACK | {"tensorboard": tmp_path / "logs"})
    assert {path.name for path in (tmp_path / "logs" / "head").iterdir()} == {"train", "validation"}
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_the_recipe_of_a_run_makes_it_again(stack, place, tmp_path):
    recipe = json.loads((stack.path / "bundle.json").read_text())["recipe"]
    again = hs.train(**recipe | {"out": tmp_path / "again"}, progress=False)
    np.testing.assert_array_equal(reported(again), reported(stack))


def test_new_classes_stand_behind_those_of_imagenet(place, tmp_path):
    import keras

    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(["blue", *(f"thing {number}" for number in range(1, 1000))]))
    weights = tmp_path / "top.weights.h5"
    top = keras.applications.MobileNet(alpha=0.25, weights=None, input_shape=(32, 32, 3))
    top.save_weights(weights)
    choices = HEAD | WHOLE | {"weights": weights, "labels": labels, "extend_imagenet": True}
    run = hs.train(place / "three", out=tmp_path / "run", **choices)
    assert len(run.classes) == 1002
    assert run.classes[-2:] == ("green", "red")
    assert (run.metrics["old_classes"], run.metrics["new_classes"]) == (1000, 2)
    kernel, bias = run.model.get_layer("classifier").get_weights()
    theirs = top.get_layer("conv_preds").get_weights()
    np.testing.assert_allclose(kernel[:, :1000], theirs[0].reshape(-1, 1000), atol=1e-6)
    np.testing.assert_allclose(bias[:1000], theirs[1], atol=1e-6)
    assert set(run.metrics["per_class"]) <= set(run.classes)
    assert len(run.metrics["per_class"]) < 10


def test_a_training_does_not_go_on_with_other_pictures(place, tmp_path):
    data = tmp_path / "data"
    for name in ("blue", "green"):
        (data / name).mkdir(parents=True)
        for file in (place / "two" / name).iterdir():
            (data / name / file.name).write_bytes(file.read_bytes())
    out = tmp_path / "run"

    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.pipeline._hand_over", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hs.train(data, out=out, **TUNE)
    write_picture(data / "blue" / "more.png", make_picture(5, hue=0))
    with pytest.raises(RunError) as caught:
        hs.resume(out, progress=False)
    state = out.resolve() / "training" / "finetune.safetensors"
    assert str(caught.value) == (
        "the pictures are not those that finetune was interrupted on. "
        f"Remove {state} to begin it again with those that are there now."
    )
    state.unlink()
    check(hs.resume(out, progress=False), data)


def test_layers_that_found_no_weights_are_not_frozen(place, tmp_path):
    import keras

    whole = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    keras.Model(whole.input, whole.get_layer("conv_pw_12_relu").output).save(tmp_path / "part.keras")
    file = tmp_path / "part.keras"
    with pytest.raises(hs.InputError, match=r"has no weights for 4 layers of mobilenet_0.25 that would be frozen"):
        hs.train(place / "two", out=tmp_path / "run", **HEAD | WHOLE | {"weights": file})
    assert not (tmp_path / "run").exists()
