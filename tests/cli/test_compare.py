"""`headstart compare` as a person uses it."""

import json
import re
import shlex

import pytest
from click.testing import CliRunner, Result

from headstart.cli.main import cli
from tests.test_floors import loaded_by
from tests.test_without_tensorflow import command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def test_a_comparison_warms_the_store_for_itself_and_for_the_training_that_it_recommends(pictures, tmp_path):
    data, options = pictures(red=24, green=24), ("--backbones", "nano@32,mobilenet_0.25@32:none", "--json")
    first = run(data, *options, "--out", tmp_path / "out")
    assert first.exit_code == 0, first.output
    content = json.loads(first.stdout)
    assert content == json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content["pictures"] == content["rounds"][-1] < 48  # those for validation are not among them
    assert {row["name"] for row in content["rows"]} == {"nano@32", "mobilenet_0.25@32:none"}
    assert [row["extracted"] for row in content["rows"]] == [content["pictures"]] * 2
    assert all(row["pictures_per_second"] > 0 for row in content["rows"])

    again = json.loads(run(data, *options).stdout)
    assert [row["extracted"] for row in again["rows"]] == [0, 0]
    assert (content["reused"], again["extracted"], again["reused"]) == (0, 0, content["extracted"])
    figures = ("name", "accuracy", "low", "high", "loss", "pictures")
    assert sorted([row[f] for f in figures] for row in again["rows"]) == sorted(
        [row[f] for f in figures] for row in content["rows"]
    )

    (row,) = (row for row in content["rows"] if row["weights"] == "none")  # drawn at random, and the same all the same
    words = shlex.split(row["command"])
    assert (words[:2], words[-2:]) == (["headstart", "train"], ["--out", "RUN"])
    trained = CliRunner().invoke(cli, [*words[1:-1], str(tmp_path / "run"), "--json"])
    assert trained.exit_code == 0, trained.output
    metrics = json.loads(trained.stdout)
    assert (metrics["reused"], metrics["extracted"]) == (content["pictures"], 48 - content["pictures"])


def test_two_backbones_are_paired_and_what_cannot_be_had_is_said(pictures):
    backbones = "nano@32,mobilenet_0.25@32,vgg16:nothing.h5"
    result = run(pictures(red=24, green=24), "--backbones", backbones, "--weights", "none")
    assert result.exit_code == 0, result.output
    assert re.search(r"(nano|mobilenet_0.25)@32:none \+ ", result.stdout)
    assert "left out vgg16:nothing.h5: no such weights file: nothing.h5." in result.stdout
    assert "  headstart train " in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Missing --backbones A,B,C or --all-cached. See: headstart compare --help"),
        (("--backbones", "nano@x"), "backbone 'nano@x' is not of the form NAME[@PIXELS][:WEIGHTS], as"),
        (("--backbones", "nano,nano"), "backbone nano is named more than once; once is enough."),
        (("--backbones", "nano", "--val", "2"), "val is 2; as a share it lies above 0 and below 1."),
        (("--backbones", "nano", "--labels", "nothing"), "the labels in nothing cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_before_keras_is_there(pictures, options, message):
    result = run(pictures(red=4, green=4), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("backbones", "message"),
    [
        ("nano,vgg61,nana", "unknown backbone 'vgg61'; did you mean vgg19 or vgg16? unknown backbone 'nana'; did you"),
        ("nano,nano@112", "backbone nano is named more than once; once is enough."),
        ("nano:nothing.h5", "none of the backbones can be had. nano:nothing.h5: no such weights file: nothing.h5."),
        ("nano@16", "none of the backbones can be had. nano@16: nano cannot be built for 16x16 pictures"),
    ],
)
def test_backbones_that_are_none_are_one_line_and_exit_code_2(pictures, backbones, message):
    result = run(pictures(red=4, green=4), "--backbones", backbones)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_pretrained_backbones_are_compared_without_tensorflow(pictures):
    printed, modules = command("compare", pictures(red=8, green=8), "--backbones", "nano@48", "--json")
    assert json.loads(printed)["recommended"] == "nano@48"
    assert not modules & {"tensorflow", "jinja2"}


def test_looking_at_the_help_loads_neither_keras_nor_scipy():
    loaded = loaded_by("from headstart.cli.main import cli; cli.main(['compare', '--help'], standalone_mode=False)")
    assert not loaded & {"keras", "tensorflow", "scipy", "sklearn", "jinja2", "openvino"}
