"""Cross-validation: every picture is held out once, and what is finished is not trained again."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import headstart as hs
from headstart.cli.main import cli
from headstart.errors import RecipeError, RunError
from tests.conftest import make_picture, write_picture
from tests.test_train import SMALL


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("folds")
    for hue, name in enumerate(("blue", "green")):
        for number in range(20):
            write_picture(at / "data" / name / f"{number}.png", make_picture(hue * 1000 + number, hue=hue))
    return at


def test_every_picture_is_held_out_once_and_the_figures_are_those_of_all_of_them(folder, tmp_path):
    found = hs.cross_validate(folder / "data", 3, out=tmp_path / "out", **SMALL)
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["path"] for row in rows) == sorted(
        f"{name}/{number}.png" for name in ("blue", "green") for number in range(20)
    )
    assert {row["fold"] for row in rows} == {"1", "2", "3"}
    assert found.metrics["n"] == 40
    hits = [row["label"] == row["predicted"] for row in rows]
    assert found.metrics["accuracy"] == pytest.approx(np.mean(hits))
    each = [fold["accuracy"] for fold in found.metrics["folds"]]
    assert found.metrics["accuracy_mean"] == pytest.approx(np.mean(each))
    assert found.metrics["accuracy_std"] == pytest.approx(np.std(each, ddof=1))
    assert [run.metrics["extracted"] for run in found.runs] == [40, 0, 0]
    assert found.runs[1].about["recipe"]["fold"] == "2/3"
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == found.metrics


def test_a_fold_that_is_finished_is_not_trained_again(folder, tmp_path):
    first = hs.train(folder / "data", out=tmp_path / "out" / "fold-1", fold="1/2", **SMALL)
    before = (tmp_path / "out" / "fold-1" / "bundle.json").stat().st_mtime_ns
    found = hs.cross_validate(folder / "data", 2, out=tmp_path / "out", **SMALL)
    assert (tmp_path / "out" / "fold-1" / "bundle.json").stat().st_mtime_ns == before
    assert found.metrics["folds"][0]["accuracy"] == first.metrics["accuracy"]


def test_on_the_command_line(folder, tmp_path):
    choices = ["--backbone", "mobilenet_0.25", "--weights", "none", "--image-size", "32", "--precision", "f32"]
    choices += ["--tap", "conv_pw_5_relu"]
    arguments = ["train", str(folder / "data"), "--out", str(tmp_path / "out"), *choices, "--strategy", "head"]
    done = CliRunner().invoke(cli, [*arguments, "--folds", "2", "--test", "0.2"])
    assert done.exit_code == 0, done.output
    assert "standard deviation" in done.output
    assert "test accuracy" in done.output
    assert "pictures, each held out once" in done.output


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"fold": "3/2"}, "fold '3/2' should be one of several, as 2/5 is the second of five"),
        ({"fold": "1/3", "val": 0.3}, "fold 1/3 says which pictures are for validation; leave val 0.3 out."),
    ],
)
def test_folds_that_are_none_are_refused(folder, tmp_path, choices, message):
    with pytest.raises(RecipeError) as caught:
        hs.train(folder / "data", out=tmp_path / "out", **choices, **SMALL)
    assert str(caught.value) == message


def test_a_place_that_holds_a_run_is_refused(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bundle.json").write_text("{}")
    with pytest.raises(RunError) as caught:
        hs.cross_validate(folder / "data", 2, out=tmp_path / "out", **SMALL)
    assert str(caught.value) == f"{tmp_path}/out holds a RUN already. Give another --out."
    with pytest.raises(RecipeError, match="folds is 1; it lies from 2 to 100"):
        hs.cross_validate(folder / "data", 1, **SMALL)
