"""`headstart audit` as a person uses it."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headstart.cli.main import cli
from tests.auditing.conftest import copy, sides  # noqa: F401 a fixture
from tests.test_floors import loaded_by


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["audit", *map(str, arguments)])


@pytest.fixture
def leaky(sides: Path) -> Path:  # noqa: F811
    copy(sides / "train" / "cat" / "01.png", sides / "val" / "cat" / "leak.png")
    (sides / "train" / "dog" / "bad.png").write_text("no picture")
    return sides


def test_a_table_says_what_was_found_and_the_worst_of_it(leaky):
    result = run(leaky, "--no-features")
    assert result.exit_code == 0, result.output
    assert "Exact duplicates       1   1 groups: 1 across sides, 0 with different labels." in result.stdout
    assert "train/cat/01.png, val/cat/leak.png   across sides" in result.stdout
    assert "train/dog/bad.png                    not a picture in a known format" in result.stdout
    assert "38 files, without features; " in result.stdout
    assert "`--out FOLDER` writes all of it down, with a page to look at." in result.stdout


def test_json_is_one_object_with_all_findings(leaky):
    result = run(leaky, "--no-features", "--json", "--max-shown", 0)
    content = json.loads(result.stdout)
    assert content.keys() == {"data", "files", "found", "backbone", "refused", "seconds", "classes", "checks"}
    assert (content["found"], content["backbone"]) == (2, None)
    for check in content["checks"].values():
        assert check.keys() == {"found", "summary", "findings"}
    (finding,) = content["checks"]["exact"]["findings"]
    assert finding == {
        "kind": "exact",
        "why": "across sides",
        "group": 1,
        "rank": "across sides",
        "size": 2,
        "pictures": [
            {"path": f"{leaky}/train/cat/01.png", "name": "train/cat/01.png", "label": "cat", "side": "train"},
            {"path": f"{leaky}/val/cat/leak.png", "name": "val/cat/leak.png", "label": "cat", "side": "val"},
        ],
    }


def test_findings_are_no_failure_unless_strict(leaky, sides):  # noqa: F811
    assert run(leaky, "--no-features").exit_code == 0
    assert run(leaky, "--no-features", "--strict").exit_code == 1
    (sides / "val" / "cat" / "leak.png").unlink()
    (sides / "train" / "dog" / "bad.png").unlink()
    assert run(sides, "--no-features", "--strict").exit_code == 0


def test_a_hostile_name_does_not_reach_the_terminal(leaky):
    copy(leaky / "train" / "cat" / "02.png", leaky / "val" / "cat" / "\x1b[2J[red]\u202e.png")
    result = run(leaky, "--no-features")
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "val/cat/\\x1b[2J[red]\\u202e.png" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--val", "2"), "val is 2; as a share it lies above 0 and below 1."),
        (("--label-pattern", "x"), "x"),
        (("--against", "nothing"), "no such file or folder: nothing"),
        (("--backbone", "a,b"), "an audit takes one backbone, not 'a,b'."),
        (("--labels", "nothing"), "the labels in nothing cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(leaky, options, message):
    result = run(leaky, "--no-features", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def test_a_missing_extra_is_named_in_one_line(leaky, monkeypatch):
    original = importlib.util.find_spec
    monkeypatch.setattr("headstart.loading.find_spec", lambda name: None if name == "cleanlab" else original(name))
    result = run(leaky)
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: headstart audit needs headstart[audit]. Install it with: pip install 'headstart[audit]'\n"
    )


def test_without_features_neither_keras_nor_a_runtime_is_loaded(leaky):
    loaded = loaded_by(f"import headstart; headstart.audit({str(leaky)!r}, features=False, progress=False)")
    assert not loaded & {"keras", "tensorflow", "openvino", "cleanlab", "pandas"}
