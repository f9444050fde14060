"""Standardisation follows from the training pictures alone and is part of the saved model."""

import json

import cv2
import numpy as np
import pytest

import headstart as hs
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.sources import list_labelled
from headstart.images.split import Shares
from headstart.models.standardise import IMAGENET_MEAN, IMAGENET_STD, Standardisation
from headstart.recipe import Recipe
from headstart.training.keeping import Keeper
from headstart.training.standardising import measure
from tests.conftest import make_picture, write_picture
from tests.test_train import SMALL


@pytest.fixture
def dark(tmp_path):
    """Pictures in the darkest sixth of the range; those for validation are bright."""
    for side, shade in (("train", 0), ("val", 180)):
        for hue, name in enumerate(("a", "b")):
            for number in range(12):
                pixels = make_picture(1000 * hue + number + (500 if side == "val" else 0), hue=hue) // 6 + shade
                write_picture(tmp_path / "data" / side / name / f"{number}.png", pixels.astype(np.uint8))
    return tmp_path / "data"


def test_the_training_pictures_alone_are_measured_and_come_out_as_networks_are_used_to(dark, tmp_path):
    run = hs.train(dark, out=tmp_path / "run", standardise=True, **SMALL)
    found = run.about["standardised"]
    pixels = np.stack([cv2.imread(str(file))[:, :, ::-1] for file in sorted((dark / "train").rglob("*.png"))])
    resized = np.stack([cv2.resize(picture, (32, 32)) for picture in pixels]).reshape(-1, 3).astype(float)
    assert found["mean"] == pytest.approx(resized.mean(axis=0).tolist(), abs=0.5)
    assert found["std"] == pytest.approx(resized.std(axis=0).tolist(), rel=0.05)
    layer = run.model.get_layer("standardise")
    given = np.array([found["mean"], np.add(found["mean"], found["std"])], np.float32).reshape(1, 1, 2, 3)
    expected = [IMAGENET_MEAN, np.add(IMAGENET_MEAN, IMAGENET_STD)]
    assert np.asarray(layer(given)).reshape(2, 3) == pytest.approx(np.array(expected), rel=1e-4)


def test_the_statistics_travel_with_the_model_and_are_not_measured_again(dark, tmp_path):
    first = hs.train(dark, out=tmp_path / "run", standardise=True, **SMALL)
    assert first.evaluate(dark).figures.accuracy == first.metrics["accuracy"]
    more = {"strategy": "finetune", "from_run": tmp_path / "run", "epochs": 1, "unfreeze": "last:3"}
    tuned = hs.train(dark, out=tmp_path / "tuned", progress=False, precision="f32", **more)
    assert tuned.about["standardised"] == first.about["standardised"]
    assert tuned.about["recipe"]["standardise"] is True


def test_damaged_statistics_are_measured_again(dark):
    store = Store()
    store.prepare()
    keeper = Keeper(Recipe(str(dark)), list_labelled(dark), DecodeRecipe(32, 32), store, show=False)
    first = measure(keeper, Shares(0.2))
    (file,) = (store.root / "statistics").iterdir()
    for damaged in ("", "{}", json.dumps({"mean": None, "std": [1]})):
        file.write_text(damaged)
        assert measure(keeper, Shares(0.2)) == first
        assert json.loads(file.read_text())["mean"] == list(first.mean)


def test_without_it_nothing_is_measured(dark, tmp_path):
    run = hs.train(dark, out=tmp_path / "run", **SMALL)
    assert run.about["standardised"] is None
    assert "standardise" not in [layer.name for layer in run.model.layers]


def test_pictures_of_one_colour_give_finite_numbers():
    import keras

    pixels = keras.Input((4, 4, 3))
    model = keras.Model(pixels, Standardisation((7.0, 7.0, 7.0), (0.0, 0.0, 0.0)).apply(pixels))
    assert np.isfinite(np.asarray(model(np.full((1, 4, 4, 3), 255.0)))).all()
