"""Every choice of a training: its type, its range, and what does not go with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.recipe import LEARNING_RATES, Recipe, parse_share

BACKBONES = ("mobilenet", "mobilenet_v2", "resnet50")


def problems(**choices) -> tuple[str, ...]:
    """What is wrong with a recipe, if anything."""
    try:
        Recipe(data="x", **choices).check(BACKBONES)
    except RecipeError as error:
        return error.problems
    return ()


def test_the_defaults_go_together():
    assert problems() == ()


def test_python_types_are_taken_as_they_come():
    recipe = Recipe(
        data=Path("x"), out=Path("run"), weights=Path("w.h5"), val=np.float32(0.25), seed=np.int64(3), tap=-2, warmup=1
    )
    assert (recipe.data, recipe.out, recipe.weights) == ("x", "run", "w.h5")
    assert (recipe.val, recipe.seed, recipe.tap, recipe.warmup) == (0.25, 3, "-2", 1.0)
    assert [type(value) for value in (recipe.val, recipe.seed, recipe.warmup)] == [float, int, float]
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    assert Recipe(**recipe.to_dict()) == recipe


def test_other_types_are_named_all_at_once():
    with pytest.raises(RecipeError) as caught:
        Recipe(data="x", head=3, epochs=2.5, seed=True, image_size="32", strict=1, val=None, learning_rate="fast")
    assert caught.value.problems == (
        "head is 3; a text is needed.",
        "val is None; a share or a folder is needed.",
        "epochs is 2.5; a whole number is needed.",
        "learning_rate is 'fast'; a number is needed.",
        "image_size is '32'; a whole number or None is needed.",
        "seed is True; a whole number is needed.",
        "strict is 1; True or False is needed.",
    )


def test_wrong_names_texts_and_numbers_are_named_all_at_once():
    assert problems(
        backbone="resnet5,mobilenet,mobilenet",
        strategy="heads",
        weights="imagnet",
        head="dens:4",
        unfreeze="most",
        augment="views=x",
        augmentations="flop",
        schedule="linear",
        labels="",
        val=0.6,
        test=0.5,
        epochs=0,
        seed=-1,
        warmup=-1,
        layer_decay=0,
        label_smoothing=1,
        learning_rate=0,
    ) == (
        "unknown backbone 'resnet5'; did you mean resnet50?",
        "backbone 'resnet5,mobilenet,mobilenet' names one twice.",
        "unknown strategy 'heads'; did you mean head?",
        "weights 'imagnet' is no file; besides a file there are imagenet and none.",
        "unknown head layer 'dens'; did you mean dense?",
        "'views=x' should be views=COUNT with a whole number from 1 to 1000.",
        "unknown augmentation 'flop'; did you mean flip or vflip?",
        "schedule 'linear' is none of constant, cosine, decay:RATE.",
        "unfreeze 'most' is none of none, all, last:LAYERS, from:NUMBER, from:NAME, block:NAME, top:PERCENT%.",
        "labels is empty; a path is needed.",
        "val and test are 0.6 and 0.5; together they must leave something to learn from.",
        "epochs is 0; at least 1 is needed.",
        "seed is -1; it lies from 0 to 4294967295.",
        "warmup is -1; it lies from 0 to below inf.",
        "label_smoothing is 1; it lies from 0 to below 1.",
        "layer_decay is 0; it lies above 0 and up to 1.",
        "learning_rate is 0; it lies above 0.",
    )


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"val": 1.0}, "val is 1; as a share it lies above 0 and below 1."),
        ({"val": float("nan")}, "val is nan; as a share it lies above 0 and below 1."),
        ({"test": 0.0}, "test is 0; as a share it lies above 0 and below 1."),
        ({"weight_decay": 1.0}, "weight_decay is 1; it lies from 0 to below 1."),
        ({"layer_decay": 1.5}, "layer_decay is 1.5; it lies above 0 and up to 1."),
        ({"learning_rate": float("inf")}, "learning_rate is inf; it lies above 0."),
        ({"image_size": 0}, "image_size is 0; at least 1 is needed."),
        ({"output": "softmx"}, "unknown output 'softmx'; did you mean softmax?"),
        ({"optimizer": "adamax"}, "unknown optimizer 'adamax'; did you mean adam or adamw?"),
    ],
)
def test_what_is_out_of_range_is_named_with_its_range(choices, message):
    assert problems(**choices) == (message,)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"output": "sigmoid", "loss": "categorical"},
            "loss categorical is for softmax; one sigmoid unit takes the binary loss.",
        ),
        (
            {"strategy": "scratch", "weights": __file__},
            "strategy scratch begins with random weights; leave --weights out.",
        ),
        (
            {"strategy": "head", "unfreeze": "last:3"},
            "strategy head trains nothing of the backbone; unfreeze 'last:3' needs finetune or auto.",
        ),
        (
            {"strategy": "finetune", "unfreeze": "none"},
            "unfreeze none leaves strategy finetune no layer of the backbone to train; that is head.",
        ),
        (
            {"strategy": "auto", "from_run": "run"},
            "from_run is where strategy finetune begins; strategy auto makes its own head.",
        ),
        (
            {"strategy": "finetune", "from_run": "run", "head_from": "run"},
            "from_run takes the head along; leave head_from out.",
        ),
        (
            {"strategy": "auto", "head_from": "run"},
            "head_from is where strategy finetune begins; strategy auto makes its own head.",
        ),
        (
            {"strategy": "auto", "extend_imagenet": True},
            "extend_imagenet starts from one backbone's own pretrained classifier, with strategy head.",
        ),
        (
            {"strategy": "head", "extend_imagenet": True, "tap": "-2"},
            "extend_imagenet extends the backbone's own classifier: softmax, without layers before it or a tap.",
        ),
        (
            {"strategy": "head", "batchnorm": "trainable"},
            "strategy head runs the backbone once; BatchNorm trainable is for finetune and auto.",
        ),
        (
            {"strategy": "finetune", "from_run": "run", "batchnorm": "adapt"},
            "from_run takes the statistics of BatchNorm along; batchnorm adapt would estimate them for nothing.",
        ),
        (
            {"schedule": "decay:1e-6", "warmup": 1},
            "warmup goes with schedules constant and cosine; decay falls from the first step on.",
        ),
        (
            {"output": "sigmoid", "augmentations": "cutmix"},
            "mixup and cutmix take softmax; leave them out with one sigmoid unit.",
        ),
        (
            {"strategy": "head", "head": "linear", "augment": "views=2"},
            "augment views=2 is for what is fitted; head linear takes pictures as they are.",
        ),
        (
            {"strategy": "head", "augmentations": "flip,mixup"},
            "mixup and cutmix are for heads that are fitted; a solved one takes pictures as they are.",
        ),
    ],
)
def test_choices_that_contradict_each_other_are_refused(choices, message):
    assert problems(**choices) == (message,)


@pytest.mark.parametrize(
    "choices",
    [
        {"output": "sigmoid", "loss": "binary"},
        {"strategy": "head", "unfreeze": "none"},
        {"strategy": "finetune", "unfreeze": "none", "batchnorm": "trainable"},
        {"strategy": "finetune", "from_run": "run"},
        {"strategy": "finetune", "head_from": "run"},
        {"strategy": "head", "head": "dense:8", "augmentations": "mixup"},
        {"strategy": "scratch", "weights": "none"},
        {"strategy": "head", "extend_imagenet": True},
        {"strategy": "head", "head": "dense:8", "augment": "stream"},
        {"backbone": "mobilenet, resnet50"},
    ],
)
def test_choices_that_go_together_are_accepted(choices):
    assert problems(**choices) == ()


def test_contradictions_are_only_looked_for_where_everything_can_be_read():
    assert problems(output="sigmoid", loss="sparse", head="dens:4") == (
        "unknown head layer 'dens'; did you mean dense?",
    )


def test_every_optimizer_has_a_usual_learning_rate_in_every_phase():
    assert {tuple(sorted(rates)) for rates in LEARNING_RATES.values()} == {
        ("adadelta", "adam", "adamw", "amsgrad", "sgd")
    }


def test_a_share_reads_as_a_number_and_anything_else_as_a_path():
    assert [parse_share(text) for text in ("0.2", "1", "photos/val")] == [0.2, 1.0, "photos/val"]
