"""The small languages of a recipe: what they accept, and how they refuse the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.specs import (
    LANDMARKS,
    HeadLayer,
    HeadSpec,
    Op,
    Schedule,
    Unfreeze,
    Views,
    parse_augment,
    parse_head,
    parse_ops,
    parse_schedule,
    parse_unfreeze,
)


def refusal(parse, text: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is what the test is about
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("auto", HeadSpec("auto", "auto")),
        ("linear", HeadSpec("linear")),
        ("kernel", HeadSpec("kernel", "kernel", landmarks=LANDMARKS)),
        ("kernel:500", HeadSpec("kernel:500", "kernel", landmarks=500)),
        ("dense:400", HeadSpec("dense:400", "layers", (HeadLayer("dense", 400),))),
        (
            "dense:400, dropout:0.2,dense:100",
            HeadSpec(
                "dense:400, dropout:0.2,dense:100",
                "layers",
                (HeadLayer("dense", 400), HeadLayer("dropout", 0.2), HeadLayer("dense", 100)),
            ),
        ),
        (
            "conv:1280,flatten,dense:4",
            HeadSpec(
                "conv:1280,flatten,dense:4",
                "layers",
                (HeadLayer("conv", 1280), HeadLayer("flatten"), HeadLayer("dense", 4)),
            ),
        ),
        ("flatten", HeadSpec("flatten", "layers", (HeadLayer("flatten"),))),
    ],
)
def test_heads_are_read(text, spec):
    assert parse_head(text) == spec


def test_a_head_of_layers_is_fitted_and_the_others_are_solved():
    solved = [parse_head(text).is_solved for text in ("auto", "linear", "kernel", "kernel:9", "dense:4", "flatten")]
    assert solved == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown head layer ''; valid are: auto, conv, dense, dropout, flatten, kernel, linear."),
        ("dens:4", "unknown head layer 'dens'; did you mean dense?"),
        ("dense", "'dense' should be dense:UNITS with a whole number from 1 to 65536."),
        ("dense:0", "'dense:0' should be dense:UNITS with a whole number from 1 to 65536."),
        ("dense:4.5", "'dense:4.5' should be dense:UNITS with a whole number from 1 to 65536."),
        ("dense:65537", "'dense:65537' should be dense:UNITS with a whole number from 1 to 65536."),
        ("conv:x", "'conv:x' should be conv:UNITS with a whole number from 1 to 65536."),
        ("kernel:1", "'kernel:1' should be kernel:UNITS with a whole number from 2 to 65536."),
        ("dropout:1", "'dropout:1' should be dropout:SHARE with a number from 0 to below 1."),
        ("dropout:much", "'dropout:much' should be dropout:SHARE with a number from 0 to below 1."),
        ("dense:4,linear", "linear stands alone; the classifier after other layers is added by itself."),
        ("kernel:5,dense:4", "kernel stands alone; the classifier after other layers is added by itself."),
        ("dense:4,conv:8", "head 'dense:4,conv:8': conv layers come first, since they take feature maps."),
        ("dense:4,flatten", "head 'dense:4,flatten': flatten comes first, or right after conv layers."),
        ("flatten,flatten", "head 'flatten,flatten': flatten comes first, or right after conv layers."),
    ],
)
def test_heads_that_make_no_sense_are_refused(text, message):
    assert refusal(parse_head, text) == message


numbers = st.integers(1, 65_536)
convolutions = numbers.map(lambda units: f"conv:{units}")
on_vectors = st.one_of(
    numbers.map(lambda units: f"dense:{units}"),
    st.floats(0, 1, exclude_max=True).map(lambda share: f"dropout:{share!r}"),
)


@given(st.lists(convolutions, max_size=2), st.booleans(), st.lists(on_vectors, max_size=3))
def test_a_head_of_layers_says_again_what_was_written(maps, is_flat, vectors):
    parts = [*maps, *(["flatten"] if is_flat else []), *vectors]
    if not parts:
        return
    layers = parse_head(",".join(parts)).layers
    assert [f"{layer.kind}:{layer.amount!r}" if layer.amount else layer.kind for layer in layers] == [
        part.removesuffix(":0.0").replace("dropout:-0.0", "dropout") for part in parts
    ]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("none", Unfreeze("none", "none")),
        ("all", Unfreeze("all", "all")),
        ("last:34", Unfreeze("last:34", "last", number=34)),
        ("from:113", Unfreeze("from:113", "from", number=113)),
        ("from:-2", Unfreeze("from:-2", "from", number=-2)),
        ("from:block_12_project", Unfreeze("from:block_12_project", "from", layer="block_12_project")),
        ("block:mixed10", Unfreeze("block:mixed10", "block", layer="mixed10")),
        ("top:20%", Unfreeze("top:20%", "top", share=0.2)),
        ("top:100%", Unfreeze("top:100%", "top", share=1.0)),
    ],
)
def test_what_is_unfrozen_is_read(text, spec):
    assert parse_unfreeze(text) == spec


@pytest.mark.parametrize("text", ["", "some", "none:1", "all:2", "from:", "block:", "last", "first:3"])
def test_what_is_no_way_to_unfreeze_is_refused(text):
    forms = "none, all, last:LAYERS, from:NUMBER, from:NAME, block:NAME, top:PERCENT%"
    wanted = {"last": "'last' should be last:LAYERS with a whole number from 1 to 100000."}
    assert refusal(parse_unfreeze, text) == wanted.get(text, f"unfreeze {text!r} is none of {forms}.")


@pytest.mark.parametrize("text", ["top:", "top:20", "top:0%", "top:101%", "top:-3%", "top:much%", "top:nan%"])
def test_a_share_of_the_parameters_is_a_percentage(text):
    wanted = "should be top:PERCENT% with a number above 0 and up to 100."
    assert refusal(parse_unfreeze, text) == f"unfreeze {text!r} {wanted}"


@given(st.integers(1, 100_000), st.integers(-99_999, 99_999))
def test_numbers_of_layers_say_again_what_was_written(last, first):
    assert parse_unfreeze(f"last:{last}").number == last
    assert parse_unfreeze(f"from:{first}").number == first


def test_augment_is_read():
    found = [parse_augment(text) for text in ("auto", "none", "stream", "views=1", "views=1000")]
    assert found == [
        Views("auto", "auto"),
        Views("none", "none"),
        Views("stream", "stream"),
        Views("views=1", "views", 1),
        Views("views=1000", "views", 1000),
    ]


@pytest.mark.parametrize("text", ["views", "views=", "views=0", "views=1001", "views=2.5"])
def test_a_number_of_views_is_a_whole_one(text):
    assert refusal(parse_augment, text) == f"{text!r} should be views=COUNT with a whole number from 1 to 1000."


@pytest.mark.parametrize("text", ["", "view=3", "streams", "views:3"])
def test_other_ways_to_augment_are_refused(text):
    assert refusal(parse_augment, text) == f"augment {text!r} is none of auto, none, views=K, stream."


def test_augmentations_have_numbers_of_their_own():
    assert parse_ops("flip, vflip:0,crop:0.3,rotate,colour:1,randaugment:3,mixup,cutmix:0.5") == (
        Op("flip", 0.5),
        Op("vflip", 0.0),
        Op("crop", 0.3),
        Op("rotate", 15.0),
        Op("colour", 1.0),
        Op("randaugment", 3.0),
        Op("mixup", 0.2),
        Op("cutmix", 0.5),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "unknown augmentation ''; valid are: colour, crop, cutmix, flip, mixup, randaugment, rotate, vflip.",
        ),
        ("flips", "unknown augmentation 'flips'; did you mean flip or vflip?"),
        ("flip:2", "'flip:2' should be flip:NUMBER with a number from 0 to 1."),
        ("flip,crop:0", "'crop:0' should be crop:NUMBER with a number from 0.01 to 1."),
        ("rotate:around", "'rotate:around' should be rotate:NUMBER with a number from 0 to 180."),
        ("randaugment:1.5", "'randaugment:1.5' should be randaugment:NUMBER with a whole number from 1 to 10."),
        ("mixup:nan", "'mixup:nan' should be mixup:NUMBER with a number from 0.01 to 10."),
        ("flip,crop,flip:1", "augmentations 'flip,crop,flip:1' name one of them twice."),
    ],
)
def test_augmentations_that_make_no_sense_are_refused(text, message):
    assert refusal(parse_ops, text) == message


def test_schedules_are_read():
    assert [parse_schedule(text) for text in ("constant", "cosine", "decay:1e-6", "decay:0")] == [
        Schedule("constant", "constant"),
        Schedule("cosine", "cosine"),
        Schedule("decay:1e-6", "decay", 1e-6),
        Schedule("decay:0", "decay", 0.0),
    ]


@pytest.mark.parametrize("text", ["", "linear", "decay", "decay:", "decay:1", "decay:-0.1", "decay:nan", "cosine:1"])
def test_other_schedules_are_refused(text):
    assert refusal(parse_schedule, text) == f"schedule {text!r} is none of constant, cosine, decay:RATE."
