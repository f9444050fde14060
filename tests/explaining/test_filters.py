"""Which pictures activate channels most: streamed, against all at once."""

from pathlib import Path

import keras
import numpy as np
import pytest

from headstart.errors import DataError
from headstart.explaining.filter_sheet import crop, in_examples
from headstart.explaining.filters import Place, first_filters, telling_channels
from headstart.explaining.inside import Inside
from headstart.explaining.receptive import receptive_field
from headstart.images.decode import DecodeRecipe
from tests.conftest import write_picture
from tests.explaining.conftest import averaged, build, pixels


@pytest.fixture
def opened(write, tmp_path):
    """A RUN, its network, and 70 pictures, three batches of them, with one that is none."""
    model, shown = build(averaged), pixels(70)
    odds = np.log(np.asarray(model(shown.astype(np.float32))))
    model.get_layer("classifier").bias.assign_add([0, np.median(odds[:, 0] - odds[:, 1])])  # so that answers differ
    run = write(model, "classifier", runtime=False)
    paths = [str(write_picture(tmp_path / "pictures" / f"{n:02d}.png", picture)) for n, picture in enumerate(shown)]
    broken = tmp_path / "pictures" / "broken.png"
    broken.write_bytes(b"no picture")
    return run, Inside(run), [*paths[:40], str(broken), *paths[40:]], shown


def test_what_is_found_a_batch_at_a_time_is_what_is_there(opened):
    run, inside, paths, shown = opened
    layer = inside.layer("conv_1")
    found = telling_channels(run, inside, layer, paths, channels=10, examples=5)
    (maps,) = inside.giving([layer], 70)(shown)
    answers = run.probabilities(shown).argmax(1)
    good = [path for path in paths if "broken" not in path]
    assert sorted(channel.number for channel in found) == list(range(10))
    for channel in found:
        strongest = maps[..., channel.number].max((1, 2))
        order = np.argsort(-strongest, kind="stable")[:5]
        assert [place.path for place in channel.places] == [good[i] for i in order]
        row, column = np.unravel_index(maps[order[0], :, :, channel.number].argmax(), (8, 8))
        assert (channel.places[0].row, channel.places[0].column) == ((row + 0.5) / 8, (column + 0.5) / 8)
        averages = maps[..., channel.number].mean((1, 2)).astype(float)
        groups = [averages[answers == answer] for answer in (0, 1)]
        within = sum(((group - group.mean()) ** 2).sum() for group in groups if len(group))
        explained = 1 - within / ((averages - averages.mean()) ** 2).sum() if np.ptp(averages) else 0
        assert channel.explained == pytest.approx(explained, abs=1e-4)


def test_channels_of_all_answers_take_turns(opened):
    run, inside, paths, shown = opened
    assert set(run.probabilities(shown).argmax(1)) == {0, 1}
    found = telling_channels(run, inside, inside.layer(None), paths, channels=12, examples=1)
    assert len({channel.label for channel in found[:2]}) == 2
    by_label = {label: [c.explained for c in found if c.label == label] for label in run.classes}
    for explained in by_label.values():
        assert explained == sorted(explained, reverse=True)


def test_with_fewer_pictures_than_examples_there_are_as_many_as_there_are(opened):
    run, inside, paths, _ = opened
    found = telling_channels(run, inside, inside.layer(None), paths[:2], channels=3, examples=6)
    assert all(len(channel.places) == 2 for channel in found)


def test_without_a_picture_there_is_nothing_to_show(opened, tmp_path):
    run, inside, *_ = opened
    with pytest.raises(DataError, match=r"^none of the 1 files is a picture that can be decoded\.$"):
        telling_channels(run, inside, inside.layer(None), [str(tmp_path / "pictures" / "broken.png")], 3, 3)


def test_crops_lie_around_their_place_and_inside_the_picture():
    recipe = DecodeRecipe(100, 100)
    assert crop(Place("", 0.5, 0.5), 21, recipe) == (slice(40, 61), slice(40, 61))
    assert crop(Place("", 0.0, 1.0), 21, recipe) == (slice(0, 21), slice(79, 100))
    assert crop(Place("", 0.5, 0.1), 400, recipe) == (slice(30, 70), slice(0, 40))


def test_the_first_filters_are_those_of_the_first_convolution():
    model = build(averaged)
    name, filters = first_filters(model)
    kernel = np.asarray(model.get_layer("conv_0").kernel)
    assert (name, filters.shape) == ("conv_0", (6, 3, 3, 3))
    np.testing.assert_array_equal(filters[4], kernel[:, :, :, 4])


def test_filters_of_networks_that_take_bgr_are_shown_in_rgb():
    shown = keras.Input((8, 8, 3))
    model = keras.Model(shown, keras.layers.Conv2D(2, 3, name="first")(keras.ops.flip(shown, axis=-1)))
    _, filters = first_filters(model)
    np.testing.assert_array_equal(filters[1], np.asarray(model.get_layer("first").kernel)[:, :, ::-1, 1])


def test_a_network_that_begins_otherwise_has_no_filters_to_show():
    shown = keras.Input((8, 8, 3))
    assert first_filters(keras.Model(shown, keras.layers.DepthwiseConv2D(3)(shown))) is None


def test_the_sheet_shows_filters_pictures_and_crops(opened, tmp_path):
    run, inside, paths, _ = opened
    layer = inside.layer(None)
    channels = telling_channels(run, inside, layer, paths, channels=2, examples=3)
    field = receptive_field(inside.model, layer)
    with_filters = in_examples(first_filters(inside.model), "conv_2", channels, field, run.decode_recipe).pixels
    without = in_examples(None, "conv_2", channels, field, run.decode_recipe).pixels
    assert with_filters.shape[0] > without.shape[0]
    Path(channels[0].places[0].path).write_bytes(b"gone")
    with pytest.raises(DataError, match="could be decoded a moment ago and cannot be any more"):
        in_examples(None, "conv_2", channels, field, run.decode_recipe)
