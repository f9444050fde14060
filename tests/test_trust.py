"""Whether a RUN can be trusted on a picture: calibration in the model, abstention, and what is unlike the training."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

import headstart as hs
from headstart.cli.main import cli
from headstart.errors import DataError, RunError
from headstart.evaluation.calibration import at_temperature, calibration_error
from headstart.images.decode import decode
from headstart.run_files import columns, read_judged, write_csv
from tests.conftest import make_picture, write_picture

SMALL = {
    **{"backbone": "mobilenet_0.25", "weights": "none", "image_size": 32, "precision": "f32", "progress": False},
    **{"strategy": "head", "head": "linear", "tap": "conv_pw_5_relu", "val": 0.4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pictures of two classes, a sixth of them in the wrong one, and some that are like nothing else."""
    folder = tmp_path_factory.mktemp("trust")
    os.environ["HEADSTART_STORE"] = str(folder / "store")
    for hue, name in enumerate(("blue", "green")):
        for number in range(60):
            wrong = number % 6 == 0
            write_picture(folder / "data" / name / f"{number}.png", make_picture(100 * hue + number, hue=hue ^ wrong))
    noise = np.random.default_rng(0)
    for number in range(3):
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[::2, ::2] = noise.integers(200, 256, 3)
        write_picture(folder / "odd" / f"{number}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def plain(folder) -> hs.Run:
    return hs.train(folder / "data", out=folder / "plain", **SMALL)


@pytest.fixture(scope="module")
def calibrated(folder) -> hs.Run:
    return hs.train(folder / "data", out=folder / "calibrated", calibrate=True, **SMALL)


def in_keras(run: hs.Run, folder: Path) -> np.ndarray:
    """What `model.keras` says of the validation pictures, opened as a stranger would."""
    model = keras.saving.load_model(run.path / "model.keras", safe_mode=True)
    names = run.judged("val").names
    pixels = [decode((folder / "data" / name).read_bytes(), run.decode_recipe) for name in names]
    return np.asarray(model(np.stack(pixels).astype(np.float32)))


def test_the_temperature_is_in_the_saved_model(folder, plain, calibrated):
    temperature = calibrated.metrics["temperature"]
    before, after = plain.judged("val"), calibrated.judged("val")
    assert before.names == after.names
    assert abs(temperature - 1) > 0.01
    assert np.allclose(after.probabilities, at_temperature(before.probabilities, temperature), atol=1e-4)
    assert np.allclose(in_keras(calibrated, folder), after.probabilities, atol=1e-4)
    assert calibrated.metrics["accuracy"] == plain.metrics["accuracy"]
    assert calibrated.metrics["loss"] <= plain.metrics["loss"]


def test_calibration_is_reported_with_and_without_it(plain, calibrated):
    found, judged = calibrated.metrics, plain.judged("val")
    assert found["calibration_error_without"] == pytest.approx(plain.metrics["calibration_error"], abs=1e-6)
    assert found["calibration_error_without"] == pytest.approx(
        calibration_error(judged.probabilities, judged.labels), abs=1e-6
    )
    assert 0 <= found["calibration_error_held_out"] <= 1
    assert "temperature" not in plain.metrics


@pytest.mark.parametrize("head", ["dense:8", "kernel:20"])
def test_a_fitted_head_and_one_unit_are_calibrated_too(folder, tmp_path, head):
    choices = SMALL | {"head": head, "output": "sigmoid", "epochs": 2, "calibrate": True}
    run = hs.train(folder / "data", out=tmp_path / "run", **choices)
    units = in_keras(run, folder)
    assert units.shape[1] == 1
    assert np.allclose(units[:, 0], run.judged("val").probabilities[:, 1], atol=1e-4)
    assert run.metrics["temperature"] > 0


def test_what_was_judged_is_read_as_it_was_reported(plain):
    judged = plain.judged("val")
    assert len(judged.names) == plain.metrics["n"]
    assert np.mean(judged.probabilities.argmax(axis=1) == judged.labels) == plain.metrics["accuracy"]
    assert plain.judged("test").probabilities.shape == (0, 2)


def test_classes_with_names_that_are_columns_or_formulas_are_told_apart(tmp_path):
    classes, path = ("=1+1", "path", "a\rb"), tmp_path / "predictions.csv"
    rows = [("x.png", "val", name, "path", 0.5, 0.25, 0.5, 0.25) for name in classes]
    write_csv(path, columns(classes), rows)
    found = read_judged(path, classes, "val")
    assert found.labels.tolist() == [0, 1, 2]
    assert found.probabilities[0].tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    "content", ["", "path,side\n", "path,side,label,predicted,probability,blue,green\nx,val,red,blue,1,1,0\n"]
)
def test_a_damaged_table_of_predictions_is_refused_in_one_sentence(plain, tmp_path, content):
    shutil.copytree(plain.path, tmp_path / "run")
    (tmp_path / "run" / "predictions.csv").write_text(content)
    with pytest.raises(RunError, match="damaged"):
        hs.load(tmp_path / "run").judged("val")


def test_pictures_like_nothing_else_are_flagged_and_others_are_not(folder, plain):
    odd, usual = plain.predict(folder / "odd"), plain.predict(folder / "data")
    assert all(one.unlike for one in odd)
    assert np.mean([bool(one.unlike) for one in usual]) < 0.1
    assert all(one.familiarity is not None and 0 < one.familiarity <= 1 for one in odd + usual)


def test_evaluation_says_how_many_are_unlike_the_training(folder, plain):
    found = plain.evaluate(folder / "data")
    assert found.unlike is not None
    assert found.unlike.shape == (120,)


def test_damage_to_what_is_usual_is_noticed(folder, plain, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(plain.path, copy)
    file = copy / "runtime" / "usual.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"usual\.safetensors is damaged"):
        hs.load(copy).predict(folder / "odd")


def test_without_enough_validation_pictures_nothing_is_flagged(folder, tmp_path):
    run = hs.train(folder / "data", out=tmp_path / "run", **SMALL | {"val": 0.1})
    (first, *_) = run.predict(folder / "odd")
    assert first.unlike is None
    assert first.familiarity is None
    assert run.evaluate(folder / "data").unlike is None


def headstart(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_command_marks_what_is_unlike_in_every_form(folder, plain):
    assert "unlike the training data" in headstart("predict", plain.path, folder / "odd").stdout
    rows = headstart("predict", plain.path, folder / "odd", "--format", "csv").stdout.splitlines()
    assert all(row.endswith(",unlike the training data") for row in rows[1:])
    found = json.loads(headstart("predict", plain.path, folder / "odd", "--json").stdout)
    assert [row["unlike"] for row in found["predictions"]] == [True] * 3


def test_answers_that_are_not_sure_enough_are_not_given(folder, plain):
    chosen = plain.abstain_for(0.9)
    result = headstart("predict", plain.path, folder / "data", "--min-precision", "0.9", "--json")
    assert f"answering from a probability of {chosen.threshold:.4f} on" in result.stderr
    for row in json.loads(result.stdout)["predictions"]:
        assert (row["label"] is None) == (row["probability"] < chosen.threshold)
        assert row["top"][0]["label"] in ("blue", "green")
    table = headstart("predict", plain.path, folder / "data", "--min-precision", "0.9").stdout
    assert "not sure enough" in table


@pytest.mark.parametrize("precision", ["0", "1.5", "-1", "nan"])
def test_a_precision_that_is_none_is_refused(plain, precision):
    with pytest.raises(DataError, match="above 0 and at most 1"):
        plain.abstain_for(float(precision))
    result = headstart("predict", plain.path, "x.png", "--min-precision", precision)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
