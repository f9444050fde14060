"""`headstart compare` as a person uses it."""

import json
import shlex

import pytest
from click.testing import CliRunner, Result

from headstart.cli.main import cli
from tests.test_floors import loaded_by
from tests.test_without_tensorflow import command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def test_a_comparison_warms_the_store_for_itself_and_for_the_training_of_any_row(pictures, tmp_path):
    backbones = "nano@32,nano@48,vgg16:nothing.h5"
    given = (pictures(red=24, green=24), "--backbones", backbones, "--weights", "none")
    first = run(*given, "--json", "--out", tmp_path / "out")
    assert first.exit_code == 0, first.output
    content = json.loads(first.stdout)
    assert content == json.loads((tmp_path / "out" / "compare.json").read_text())
    learned = content["pictures"]
    assert 30 < learned == content["rounds"][-1] < 48  # those for validation are not among them
    rows = {row["name"]: row for row in content["rows"]}
    assert rows.keys() == {"nano@32:none", "nano@48:none"}
    assert (content["extracted"], content["reused"]) == (2 * learned, 0)
    assert content["left_out"].keys() == {"vgg16:nothing.h5"}

    again = run(*given)
    assert again.exit_code == 0, again.output
    assert again.stderr == ""
    assert f"{learned} pictures: 0 passes through frozen parts, {2 * learned} kept from before; " in again.stdout
    for row in rows.values():
        assert f"{row['accuracy']:.4f}   {row['low']:.4f} to {row['high']:.4f}" in again.stdout
    assert "left out vgg16:nothing.h5: no such weights file: nothing.h5." in again.stdout

    # Random weights are the same, too.
    words = shlex.split(rows["nano@32:none"]["command"])
    assert (words[:2], words[-2:]) == (["headstart", "train"], ["--out", "RUN"])
    trained = CliRunner().invoke(cli, [*words[1:-1], str(tmp_path / "run"), "--json"])
    assert trained.exit_code == 0, trained.output
    metrics = json.loads(trained.stdout)
    assert (metrics["reused"], metrics["extracted"]) == (learned, 48 - learned)


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
