"""The list of what is compared is read as it is written, and nonsense is refused in one line."""

import pytest

import headstart
from headstart.comparing.entries import Entry, parse_entries
from headstart.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("nano", Entry("nano", "imagenet", None)),
        (" nano@160 ", Entry("nano", "imagenet", 160)),
        ("mobilenet_0.25:none", Entry("mobilenet_0.25", "none", None)),
        ("mobilenet_0.25@128:none", Entry("mobilenet_0.25", "none", 128)),
        (r"vgg16:C:\my weights@2.h5", Entry("vgg16", r"C:\my weights@2.h5", None)),
    ],
)
def test_an_entry_says_backbone_size_and_weights(text, entry):
    assert parse_entries(text) == (entry,)
    assert parse_entries([text]) == (entry,)


def test_those_that_name_no_weights_get_the_ones_for_all():
    assert parse_entries("nano,vgg16:imagenet", "none") == (Entry("nano", "none"), Entry("vgg16", "imagenet"))


@pytest.mark.parametrize("text", ["nano", "nano@160", "nano:none", "nano@160:some.h5"])
def test_an_entry_is_called_what_was_written(text):
    assert str(parse_entries(text)[0]) == text


@pytest.mark.parametrize("text", ["", "nano@", "nano@0", "nano@-3", "nano@big", "nano:", "@160", ":none", "na no"])
def test_nonsense_is_refused_and_shown(text):
    with pytest.raises(RecipeError) as caught:
        parse_entries(["vgg16", text])
    assert str(caught.value) == (
        f"backbone {text!r} is not of the form NAME[@PIXELS][:WEIGHTS], as nano@160 or mobilenet_v2:none."
    )


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(RecipeError) as caught:
        parse_entries("nano@,,vgg16")
    assert len(caught.value.problems) == 2


def test_the_same_twice_is_refused():
    with pytest.raises(RecipeError) as caught:
        parse_entries("nano:none,vgg16,nano,vgg16", "none")
    assert caught.value.problems == (
        "backbone nano:none is named more than once; once is enough.",
        "backbone vgg16:none is named more than once; once is enough.",
    )


def test_what_a_comparison_does_not_heed_is_refused_in_python():
    with pytest.raises(RecipeError) as caught:
        headstart.compare("photos", "nano", head="linear", image_size=64)
    assert caught.value.problems == tuple(
        f"a comparison takes no {name}; it takes labels, label_pattern, group_by, val, test, split, fold, fit, seed, "
        "precision."
        for name in ("head", "image_size")
    )


def test_there_must_be_something_to_compare():
    with pytest.raises(RecipeError) as caught:
        headstart.compare("photos")
    assert str(caught.value) == "there is nothing to compare; name some backbones, or all that are cached."
