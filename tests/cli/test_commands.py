"""The command line as a person uses it: what it prints, what it refuses, and how."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import headstart
from headstart.cli.main import cli
from tests.conftest import make_picture, write_picture

WHOLE = (
    *("--backbone", "mobilenet_0.25", "--weights", "none", "--image-size", "32", "--precision", "f32"),
    *("--strategy", "head", "--head", "linear"),
)
SMALL = (*WHOLE, "--tap", "conv_pw_5_relu")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """The one line with which a command refuses its input."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with data/ and the RUN trained on it."""
    folder = tmp_path_factory.mktemp("cli")
    os.environ["HEADSTART_STORE"] = str(folder / "store")
    for hue, name in enumerate(("blue", "green")):
        for number in range(12):
            write_picture(folder / "data" / name / f"{number}.png", make_picture(hue * 100 + number, hue=hue))
    result = run("train", folder / "data", "--out", folder / "run", *SMALL)
    assert result.exit_code == 0, result.output
    (folder / "train.txt").write_text(result.output)
    return folder


def test_help_names_every_command_and_each_has_its_own():
    text = run("--help").output
    context = click.Context(cli)
    for name in cli.list_commands(context):
        assert name in text
        assert cli.get_command(context, name).help
        assert run(name, "--help").exit_code == 0


def test_version_is_the_package_s():
    assert run("--version").output == f"headstart, version {headstart.__version__}\n"


def test_train_says_how_good_it_is_what_it_cost_and_what_to_do_next(finished):
    text = (finished / "train.txt").read_text()
    assert re.search(r"validation: accuracy \d\.\d{4} \(95 % interval \d\.\d{4} to \d\.\d{4}\), loss", text)
    assert "24 pictures: 24 passes through the frozen part, 0 kept from before; " in text
    assert f"headstart predict {finished / 'run'} PICTURE" in text


def test_train_json_is_one_object_with_what_was_promised(finished, tmp_path):
    result = run("train", finished / "data", "--out", tmp_path / "run", "--json", *SMALL)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {
        "accuracy", "loss", "n", "strategy", "seconds", "pictures", "extracted", "reused", "quarantined", "classes",
        "trainable_params", "non_trainable_params", "run",
    } <= found.keys()  # fmt: skip
    assert found == json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_evaluate_gives_the_reported_figures(finished):
    result = run("evaluate", finished / "run", finished / "data", "--json")
    found = json.loads(result.stdout)
    metrics = json.loads((finished / "run" / "metrics.json").read_text())
    assert found["n"] == 24
    assert found["trained_on"] == 24 - metrics["n"]
    table = run("evaluate", finished / "run", finished / "data").stdout
    assert f"{found['trained_on']} of these pictures were trained on, so the figures flatter it." in table


def test_predict_as_table_csv_and_json(finished):
    folder = finished / "data" / "blue"
    table = run("predict", finished / "run", folder / "0.png")
    assert table.exit_code == 0
    assert "probability" in table.stdout
    rows = list(csv.DictReader(io.StringIO(run("predict", finished / "run", folder, "--format", "csv").stdout)))
    assert len(rows) == 12
    content = json.loads(run("predict", finished / "run", folder, "--json", "--top", 2).stdout)
    assert [row["path"] for row in rows] == [item["path"] for item in content["predictions"]]
    assert [row["label"] for row in rows] == [item["label"] for item in content["predictions"]]
    for item in content["predictions"]:
        assert sum(entry["probability"] for entry in item["top"]) == pytest.approx(1, abs=1e-5)


def test_predict_fills_in_a_sample_submission(finished, tmp_path):
    (tmp_path / "sample.csv").write_text("id,label\n3,0\n11,0\n")
    printed = run("predict", finished / "run", finished / "data" / "blue", "--submission", tmp_path / "sample.csv")
    header, *rows = csv.reader(io.StringIO(printed.stdout))
    assert (header, [row[0] for row in rows]) == (["id", "label"], ["3", "11"])
    assert {row[1] for row in rows} <= {"0", "1", "2"}


def test_predict_names_what_it_leaves_out_and_goes_on(finished, tmp_path):
    (tmp_path / "bad.jpg").write_text("no picture")
    result = run("predict", finished / "run", tmp_path / "bad.jpg", finished / "data" / "blue" / "0.png", "--json")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert len(content["predictions"]) == 1
    assert content["quarantined"] == [{"path": f"{tmp_path}/bad.jpg", "reason": "not a picture in a known format"}]
    alone = run("predict", finished / "run", tmp_path / "bad.jpg")
    assert alone.exit_code == 2
    assert alone.stderr == (
        f"left out {tmp_path}/bad.jpg: not a picture in a known format\nError: no picture could be decoded.\n"
    )


def test_layers_lists_number_name_type_shape_parameters_and_cost():
    result = run("layers", "mobilenet_0.25", "--json")
    found = json.loads(result.stdout)
    assert found["feature_width"] == 256
    assert found["parameters"] == 218_544
    assert found["layers"][-1] == {
        "number": 85,
        "name": "conv_pw_13_relu",
        "type": "ReLU",
        "output_shape": [7, 7, 256],
        "parameters": 0,
        "bytes_per_picture": 7 * 7 * 256 * 4,
        "block": "conv_pw_13_relu",
    }
    table = run("layers", "mobilenet_0.25").stdout
    assert "conv_pw_13_relu" in table
    assert "218,544 parameters; pooled features are 256 values, 1.0 kB." in table


def test_backbones_lists_them_all():
    listed = json.loads(run("backbones", "--json").stdout)
    assert len(listed) == 51
    assert [entry for entry in listed if entry["packaged"]] == [{"name": "nano", "image_size": 112, "packaged": True}]
    assert "efficientnet_v2_b0" in run("backbones").stdout


def test_cache_lists_verifies_and_prunes(finished, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(finished / "store"))
    listed = json.loads(run("cache", "list", "--json").stdout)
    assert listed["store"] == str(finished / "store")
    assert [(row["backbone"], row["pictures"]) for row in listed["spaces"]] == [("mobilenet_0.25", 24)]
    assert "mobilenet" in run("cache", "list").stdout
    assert json.loads(run("cache", "verify", "--json").stdout) == {"spaces": 1, "pictures": 24, "damaged": 0}
    (shard,) = (finished / "store").rglob("*.safetensors")
    content = bytearray(shard.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    content[(header + len(content)) // 2] ^= 1
    shard.write_bytes(content)
    damaged = run("cache", "verify")
    assert damaged.exit_code == 1
    assert "1 were damaged and are dropped" in damaged.stdout
    assert json.loads(run("cache", "prune", "--json").stdout)["freed"] == 0
    assert json.loads(run("cache", "prune", "--all", "--json").stdout)["freed"] > 1000
    assert json.loads(run("cache", "list", "--json").stdout)["spaces"] == []


def test_bad_input_is_one_line_and_exit_code_2(pictures, tmp_path, finished):
    good = pictures(a=3, b=3)
    out = ("--out", tmp_path / "run", *SMALL)
    assert refused("train", tmp_path / "nothing", *out).startswith("no such folder: ")
    assert refused("train", pictures(at="one", a=3), *out).startswith("only one class in ")
    assert refused("train", pictures(at="empty", a=3, b=0), *out).startswith("class 'b' in ")
    assert refused("train", pictures(at="single", a=3, b=1), *out).startswith("class 'b' in ")
    (tmp_path / "bare").mkdir()
    assert refused("train", tmp_path / "bare", *out).startswith("no classes in ")
    pictures(at="sides/train", a=3, b=3)
    pictures(at="sides/val", a=2, c=2)
    assert refused("train", tmp_path / "sides", *out).startswith("class 'c' is in ")
    assert refused("train", good, "--out", tmp_path / "run", "--backbone", "resnet5") == (
        "unknown backbone 'resnet5'; did you mean resnet50 or resnet152 or resnet50_v2?"
    )
    assert refused("train", good, *out, "--head", "dense") == (
        "'dense' should be dense:UNITS with a whole number from 1 to 65536."
    )
    assert refused("train", good, *out, "--bakbone", "x") == (
        "No such option '--bakbone'. Did you mean '--backbone'? See: headstart train --help"
    )
    assert refused("train", good, *out, "--strategy", "heads").startswith("Invalid value for '--strategy': 'heads'")
    assert refused("train", good, *out, "--epochs", "many").startswith("Invalid value for '--epochs'")
    assert refused("train", good, "--out", tmp_path / "run", "--weights", tmp_path / "none.h5").startswith("weights ")
    assert refused("train", good, "--out", finished / "run", *SMALL) == (
        f"{finished}/run exists and is not empty. Give another --out, or remove it first."
    )
    assert refused("train", good) == "Missing DATA or --out RUN. See: headstart train --help"
    assert refused("layers", "mobilenet_v9").startswith("unknown backbone 'mobilenet_v9'; did you mean mobilenet_v2")
    assert refused("predict", tmp_path / "nothing", good).startswith("no such RUN: ")
    assert refused("predict", good, good).endswith("Give the folder that --out has written.")
    assert refused("predict", finished / "run", tmp_path / "nothing").startswith("no such file or folder: ")
    assert refused("evaluate", finished / "run", good).startswith(f"{finished}/run does not know class 'a', 'b'.")
    assert refused("trian", good).startswith("No such command 'trian'.")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--output sigmoid --loss sparse --strategy scratch --unfreeze none",
            "loss sparse is for softmax; one sigmoid unit takes the binary loss.",
        ),
        (
            "--strategy finetune --head auto --unfreeze from:nothing",
            "unfreeze 'from:nothing': mobilenet_0.25 has no 'nothing'; "
            "`headstart layers mobilenet_0.25` lists what there is.",
        ),
        (
            "--strategy finetune --head auto --unfreeze last:5000",
            "unfreeze 'last:5000': mobilenet_0.25 has 86 layers; last takes 1 to 86 of them.",
        ),
        (
            "--tap nothing",
            "tap 'nothing': mobilenet_0.25 has no 'nothing'; `headstart layers mobilenet_0.25` lists what there is.",
        ),
        ("--tap 5000", "tap '5000': the layers of mobilenet_0.25 are numbered from 0 to 85, from the end -1 to -86."),
        (
            "--augment views=2",
            "augment views=2 is for what is fitted; head linear takes pictures as they are.",
        ),
        (
            "--backbone mobilenet_0.25,mobilenet_0.25",
            "backbone 'mobilenet_0.25,mobilenet_0.25' names one twice.",
        ),
        (
            "--backbone mobilenet_0.25,mobilenet_0.5 --head conv:8,flatten",
            "head 'conv:8,flatten' takes the maps of one backbone; those of 2 are pooled first.",
        ),
        (
            "--include-top --head flatten,dense:4",
            "head 'flatten,dense:4' takes feature maps; the network ends in a vector of 1000 values.",
        ),
        (
            "--from nothing --strategy finetune",
            "no such RUN: nothing. Give the folder that `headstart train --out` has written.",
        ),
        (
            "--labels nothing",
            "the labels in nothing cannot be read: No such file or directory. "
            "It should hold one class name per line, in UTF-8.",
        ),
        ("--val 0", "val is 0; as a share it lies above 0 and below 1."),
    ],
    ids=lambda value: value.split()[0],
)
def test_choices_that_cannot_be_are_one_line_and_exit_code_2(finished, tmp_path, options, message):
    found = refused("train", finished / "data", "--out", tmp_path / "run", *WHOLE, *options.split())
    assert message in found
    assert not (tmp_path / "run").exists()


def test_resume_takes_no_other_choices_and_needs_something_to_go_on_from(finished, tmp_path):
    assert refused("train", finished / "data", "--resume", finished / "run", "--epochs", 3, "--layer-decay", 0.5) == (
        "--resume goes on with the choices the training began with; leave --epochs, --layer-decay, DATA out."
    )
    assert refused("train", "--resume", finished / "run") == (
        f"{finished}/run is finished; there is nothing to resume. To train it further: --from {finished}/run."
    )
    assert refused("train", "--resume", tmp_path / "nothing") == (
        f"there is no unfinished training in {tmp_path}/nothing. Give the --out of the one that was interrupted."
    )


def test_train_shows_head_and_fine_tuned_model_side_by_side(finished, tmp_path):
    options = (*SMALL, "--strategy", "auto", "--epochs", 1, "--augment", "none", "--unfreeze", "last:3", "--test", 0.3)
    result = run("train", finished / "data", "--out", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("val accuracy", "val loss", "test accuracy", "test loss"):
        assert name in result.stdout
    assert f"{'head alone' if metrics['kept'] == 'head' else 'fine-tuned'} (kept)" in result.stdout
    found = metrics["gain"]
    assert (
        f"Fine-tuning changes validation accuracy by {found['accuracy']:+.4f} (95 % interval {found['low']:+.4f} to "
        f"{found['high']:+.4f}: {found['gained']} pictures gained, {found['lost']} lost)."
    ) in result.stdout
    assert "Chosen on these pictures (when to stop, what to keep), so the figures flatter" in result.stdout
    assert f"test, on which nothing was chosen: accuracy {metrics['test']['accuracy']:.4f}" in result.stdout


def test_an_empty_folder_may_become_the_run(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(finished / "store"))
    (tmp_path / "run").mkdir()
    assert run("train", finished / "data", "--out", tmp_path / "run", *SMALL).exit_code == 0
    assert (tmp_path / "run" / "bundle.json").exists()


def headstart_command(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "headstart"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def test_as_a_process_it_keeps_stdout_for_the_answer_and_stderr_clean(finished, tmp_path):
    store = str(finished / "store")
    done = headstart_command(
        "train", finished / "data", "--out", tmp_path / "run", "--json", *SMALL, HEADSTART_STORE=store
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["classes"] == ["blue", "green"]
    assert done.stderr == ""
    picture = finished / "data" / "blue" / "1.png"
    done = headstart_command("predict", tmp_path / "run", picture, "--format", "csv", HEADSTART_STORE=store)
    assert done.stdout.splitlines()[0] == "path,place,label,probability,note"
    assert done.stderr == ""


def test_a_closed_pipe_is_no_traceback(finished):
    command = f"{Path(sys.executable).parent}/headstart predict {finished}/run {finished}/data --format csv | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.slow
def test_the_demo_trains_on_digits_that_come_with_a_library_and_compares(tmp_path):
    folder = tmp_path / "demo"
    result = run("demo", "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["pretrained"]["accuracy"] > 0.95
    assert found["pretrained"]["accuracy"] > found["scratch"]["accuracy"] > 0.1
    for metrics in found.values():
        assert metrics["backbone"] == "nano"
        assert metrics["pictures"] == 1797
        assert metrics["quarantined"] == 0
        assert (Path(metrics["run"]) / "model.keras").exists()
    assert found["pretrained"]["n"] == found["scratch"]["n"]
    assert refused("demo", "--out", folder).endswith("Give another --out, or remove it first.")


def test_places_for_a_run_that_cannot_be_are_refused_before_anything_is_computed(finished, tmp_path, store):
    (tmp_path / "file").write_bytes(b"")
    data = finished / "data"
    assert refused("train", data, "--out", tmp_path / "file" / "run", *SMALL).startswith("cannot write to ")
    assert refused("train", data, "--out", tmp_path / "file", *SMALL).endswith(
        "exists and is a file. Give another --out."
    )
    assert refused("train", data, "--out", data / "run", *SMALL) == (
        f"{data}/run is inside {data}, where it would be taken for pictures. Give another --out."
    )
    assert refused("train", data, "--out", "", *SMALL) == "out is empty; a path is needed."
    assert not (store / "features").exists()


def test_a_link_or_the_working_folder_may_become_the_run(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(finished / "store"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    assert run("train", finished / "data", "--out", tmp_path / "link", *SMALL).exit_code == 0
    assert (tmp_path / "empty" / "bundle.json").exists()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("train", finished / "data", "--out", ".", *SMALL).exit_code == 0
    assert not [name for name in os.listdir() if name.startswith(".")]
    assert json.loads(run("predict", ".", finished / "data", "--json").stdout)["quarantined"] == []


def test_names_that_look_like_markup_are_printed_as_they_are(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(finished / "store"))
    monkeypatch.chdir(tmp_path)
    odd = "o [red]x[/]"
    result = run("train", finished / "data", "--out", odd, *SMALL)
    assert result.exit_code == 0
    assert (
        f"Written to {odd}, with report.html to look at. Next:\n  headstart predict '{odd}' PICTURE\n" in result.stdout
    )


def test_names_are_neither_formulas_in_a_table_nor_commands_for_a_terminal(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_STORE", str(finished / "store"))
    monkeypatch.chdir(tmp_path)
    write_picture(Path("=1+1.png"), make_picture(0))
    Path("\x1b[2J\n\u202e.png").write_bytes(b"no picture")
    result = run("predict", finished / "run", "=1+1.png", "\x1b[2J\n\u202e.png", "--format", "csv")
    assert result.stdout.splitlines()[1].startswith("'=1+1.png,1,")
    assert result.stderr == "left out \\x1b[2J\\n\\u202e.png: not a picture in a known format\n"
    table = run("predict", finished / "run", "=1+1.png")
    assert " =1+1.png" in table.stdout


@pytest.mark.parametrize(
    ("backend", "hint"),
    [
        ("torch", "Install it with: pip install 'headstart[torch]', or unset KERAS_BACKEND for TensorFlow."),
        ("nonsense", "KERAS_BACKEND may be tensorflow, jax, torch; unset it for TensorFlow."),
    ],
)
def test_a_backend_that_is_not_there_is_named(finished, tmp_path, backend, hint):
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\")")  # though it may be
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    choices = (*SMALL, "--out", tmp_path / "never")
    done = headstart_command("train", finished / "data", *choices, KERAS_BACKEND=backend, PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: Keras cannot be loaded with KERAS_BACKEND={backend}: ")
    assert done.stderr.endswith(f". {hint}\n")
