"""RUNs in TensorBoard: what is written, and what TensorBoard itself says of it."""

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from headstart.boards.write import table
from headstart.cli.main import cli
from tests.conftest import make_picture, write_picture
from tests.feature_files.test_export import command

NANO = ("--backbone", "nano", "--image-size", "48", "--strategy", "head")


def in_process(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tensorboard", *map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with data of which some labels are wrong, and a RUN that was trained on it."""
    at = tmp_path_factory.mktemp("board")
    for hue, name in enumerate(("blue", "=green", "red")):
        for number in range(20):
            shown = (hue + 1) % 3 if number in (3, 8, 14, 19) else hue
            write_picture(at / "data" / name / f"{number}.png", make_picture(hue * 1000 + number, hue=shown))
    done = command(
        *("train", at / "data", "--out", at / "run", *NANO, "--test", "0.3", "--val", "0.3", "--json"),
        HEADSTART_STORE=str(at / "store"),
    )
    assert done.returncode == 0, done.stderr
    return at


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the RUN, and the store that it was trained with."""
    monkeypatch.setenv("HEADSTART_STORE", str(trained / "store"))
    return Path(shutil.copytree(trained / "run", tmp_path / "run"))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def events(folder: Path) -> Any:
    """What TensorBoard reads in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()


def write(run: Path, *options: object) -> Any:
    result = in_process(run, "--write-only", "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["runs"][0]


def test_figures_and_what_was_tried_are_scalars(run):
    write(run)
    metrics = json.loads((run / "metrics.json").read_text())
    found = events(run / "tensorboard" / "results")
    expected = {"validation/accuracy": metrics["accuracy"], "validation/loss": metrics["loss"]}
    expected |= {f"test/{name}": metrics["test"][name] for name in ("accuracy", "loss")}
    for tag, value in expected.items():
        assert [event.value for event in found.Scalars(tag)] == [pytest.approx(value, rel=1e-6)]
    tried = [float(row["cross_validated_loss"]) for row in rows(run / "history.csv")]
    assert [event.value for event in found.Scalars("head/cross_validated_loss")] == pytest.approx(tried, rel=1e-6)


def test_matrices_and_mistakes_are_images(run):
    board = write(run)
    found = events(run / "tensorboard" / "results")
    mistakes = [row for row in rows(run / "predictions.csv") if row["label"] != row["predicted"]]
    assert 0 < len(mistakes) <= 25
    assert board["mistakes"] == len(mistakes)
    tags = {f"mistakes/{side}" for side, name in (("validation", "val"), ("test", "test")) if _some(mistakes, name)}
    assert set(found.Tags()["images"]) == {"confusion/validation", "confusion/test", *tags}
    assert len(tags) == 2
    (image,) = found.Images("mistakes/validation")
    drawn = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
    worst = max((row for row in mistakes if row["side"] == "val"), key=lambda row: float(row["probability"]))
    difference = np.abs(drawn[8:136, 8:136].astype(int) - _picture(run, worst["path"]))
    assert difference.mean() < 6  # the first is the surest; resized by another library


def _some(mistakes: list[dict[str, str]], side: str) -> bool:
    return any(row["side"] == side for row in mistakes)


def _picture(run: Path, name: str) -> np.ndarray:
    data = Path(json.loads((run / "metrics.json").read_text())["data"])
    with Image.open(data / name.removeprefix("'")) as picture:
        return np.asarray(picture.convert("RGB").resize((128, 128)), int)


def test_texts_hold_recipe_and_figures_and_names_stay_names(run):
    write(run)
    found = events(run / "tensorboard" / "results")
    (text,) = found.Tensors("summary/text_summary")
    said = text.tensor_proto.string_val[0].decode()
    metrics = json.loads((run / "metrics.json").read_text())
    assert f"| validation | {metrics['accuracy']:.4f} | {metrics['loss']:.4f} | {metrics['n']} |" in said
    assert "| image\\_size | 48 |" in said
    assert table(("a",), [["<b>|`x`\n"]]) == "| a |\n| --- |\n| \\<b\\>\\|\\`x\\`\\\\n |"


def test_the_projector_shows_features_with_labels_sides_and_thumbnails(run, trained):
    board = write(run)
    results = run / "tensorboard" / "results"
    points = np.loadtxt(results / "features.tsv", delimiter="\t")
    with open(results / "metadata.tsv", newline="") as file:
        known = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    splits = rows(run / "splits.csv")
    assert board["projected"] == len(points) == len(known) == len(splits) == 60
    judged = {row["path"]: row for row in rows(run / "predictions.csv")}
    by_digest = sorted(splits, key=lambda row: row["digest"])
    assert [row["path"] for row in known] == [row["path"] for row in by_digest]
    assert [row["side"] for row in known] == [row["side"] for row in by_digest]
    for row in known:
        assert row["predicted"] in ("blue", "'=green", "red", "=green")
        if row["path"] in judged:
            assert row["predicted"] == judged[row["path"]]["predicted"]
    out = trained / "features.npz"
    if not out.exists():
        exported = CliRunner().invoke(
            cli, ["export-features", str(trained / "data"), "--out", str(out), "--run", str(run)]
        )
        assert exported.exit_code == 0, exported.output
    with np.load(out) as file:
        place = {digest: row for row, digest in enumerate(file["digests"])}
        expected = file["features"][[place[row["digest"]] for row in by_digest]]
    np.testing.assert_allclose(points, expected, rtol=1e-4, atol=1e-7)
    with Image.open(results / "sprite.jpg") as sprite:
        assert sprite.size == (8 * 64, 8 * 64)
    config = (results / "projector_config.pbtxt").read_text()
    assert "single_image_dim: 64" in config


def test_a_board_is_written_anew_and_leaves_nothing_else(run):
    write(run)
    before = sorted(path.name for path in (run / "tensorboard" / "results").iterdir())
    write(run)
    after = sorted(path.name for path in (run / "tensorboard" / "results").iterdir())
    assert len(before) == len(after) == 6  # two files of events, and four of the projector
    assert not [entry for entry in run.iterdir() if entry.name.startswith(".")]


def test_neither_keras_nor_tensorflow_is_imported(run):
    script = (
        "import sys\n"
        "from headstart.cli.main import cli\n"
        f"sys.argv = ['headstart', 'tensorboard', {str(run)!r}, '--write-only', '--json']\n"
        "try: cli()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stderr.split()) & {"keras", "tensorflow", "sklearn", "scipy", "torch"}


def test_pictures_that_are_gone_or_changed_are_left_out_with_one_line(run, trained, tmp_path, monkeypatch):
    moved = Path(shutil.copytree(trained / "data", tmp_path / "moved"))
    (moved / "blue" / "0.png").unlink()
    write_picture(moved / "blue" / "1.png", make_picture(77))
    result = in_process(run, "--write-only", "--json", "--data", moved)
    assert json.loads(result.stdout)["runs"][0]["projected"] == 58
    assert result.stderr == (
        f"1 of 60 pictures of {run} are not where they were and are left out; --data says where they are now.\n"
    )
    result = in_process(run, "--write-only", "--json", "--data", tmp_path / "nowhere")
    board = json.loads(result.stdout)["runs"][0]
    assert (board["gone"], board["projected"], board["mistakes"]) == (60, 0, 0)
    assert len(result.stderr.splitlines()) == 1
    found = events(run / "tensorboard" / "results")
    assert set(found.Tags()["images"]) == {"confusion/validation", "confusion/test"}


def test_a_run_that_was_moved_and_its_pictures_zipped_has_all_of_it(run, trained, tmp_path):
    shutil.make_archive(str(tmp_path / "data"), "zip", trained / "data")
    board = write(run, "--data", tmp_path / "data.zip")
    assert (board["gone"], board["projected"]) == (0, 60)


def test_a_run_without_a_frozen_half_has_all_but_the_projector(run, trained, tmp_path):
    about = json.loads((run / "bundle.json").read_text())
    about["digests"] = {name: digest for name, digest in about["digests"].items() if "frozen" not in name}
    (run / "bundle.json").write_text(json.dumps(about))
    done = command("tensorboard", run, "--write-only", "--json")
    why = f"{run} has no frozen half: all of it was trained, or Keras alone can run it."
    assert done.stderr == f"headstart: there is no embedding projector: {why}\n"
    (board,) = json.loads(done.stdout)["runs"]
    assert (board["projected"], board["mistakes"] > 0) == (0, True)
    exported = CliRunner().invoke(
        cli, ["export-features", str(trained / "data"), "--out", str(tmp_path / "f.npz"), "--run", str(run)]
    )
    assert (exported.exit_code, exported.stderr) == (2, f"Error: {why}\n")


def test_only_choices_that_are_not_the_usual_ones_are_told(run):
    write(run)
    found = events(run / "tensorboard" / "results").SummaryMetadata("_hparams_/session_start_info")
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    told = HParamsPluginData.FromString(found.plugin_data.content).session_start_info.hparams
    assert set(told) == {
        *("backbone", "strategy", "image_size", "val", "test"),
        *("head (in the end)", "kept (in the end)"),
    }
    assert told["image_size"].number_value == 48


def test_epochs_that_keras_has_not_logged_come_from_the_history(run):
    (run / "history.csv").write_text(
        "stage,epoch,accuracy,loss,val_accuracy,val_loss\nfinetune,1,0.5,0.7,0.4,0.8\nfinetune,2,0.75,0.5,0.5,0.6\n"
    )
    write(run)
    train, validation = (events(run / "tensorboard" / "results" / "finetune" / s) for s in ("train", "validation"))
    assert [(event.step, event.value) for event in train.Scalars("epoch_accuracy")] == [(0, 0.5), (1, 0.75)]
    assert [event.value for event in validation.Scalars("epoch_loss")] == pytest.approx([0.8, 0.6])
    assert set(validation.Tags()["scalars"]) == {"epoch_accuracy", "epoch_loss"}
    logged = run / "tensorboard" / "finetune" / "train"
    logged.mkdir(parents=True)
    (logged / "events.out.tfevents.1.host").write_bytes(b"")
    write(run)
    assert not (run / "tensorboard" / "results" / "finetune").exists()


@pytest.mark.parametrize("name", ["splits.csv", "predictions.csv", "history.csv"])
def test_a_damaged_table_is_one_line(run, name):
    file = run / name
    file.write_text(file.read_text().replace(",", ",,", 7))
    result = in_process(run, "--write-only")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {file} is damaged or cannot be read. ")


def test_a_stage_cannot_lead_out_of_the_run(run, tmp_path):
    (run / "history.csv").write_text("stage,epoch,loss\n../../../out,1,0.5\n")
    result = in_process(run, "--write-only")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "history.csv has a stage '../../../out'" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ['"per_class": {', '"accuracy":', '"confusion":', '"stages":'])
def test_damaged_figures_are_one_line_and_leave_nothing(run, damage):
    file = run / "metrics.json"
    file.write_text(file.read_text().replace(damage, damage.replace('"', '"x', 1)))
    result = in_process(run, "--write-only")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: the figures in {run} are damaged: ")
    assert not [entry for entry in run.iterdir() if entry.name.startswith(".")]


def test_a_missing_extra_and_no_run_are_one_line(run, tmp_path, monkeypatch):
    result = in_process(tmp_path / "nothing", "--write-only")
    assert result.stderr == (
        f"Error: no such RUN: {tmp_path}/nothing. Give the folder that `headstart train --out` has written.\n"
    )
    monkeypatch.setattr("headstart.loading.is_installed", lambda name: name != "tensorboardX")
    result = in_process(run)
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: headstart tensorboard needs headstart[tensorboard]. "
        "Install it with: pip install 'headstart[tensorboard]'\n",
    )


class Served:
    """TensorBoard as a person starts it, asked as a browser asks it."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self.process = process
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read() if process.stderr else ""
        self.said = json.loads("".join(lines))

    def get(self, route: str) -> Any:
        with urllib.request.urlopen(self.said["address"] + "data/" + route, timeout=30) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers["Content-Type"] else body

    def wait(self, route: str, enough: Any) -> Any:
        """Ask until the answer is as it should be: logs are read while it answers."""
        for _ in range(150):
            if enough(found := self.get(route)):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{route}: {found}")


@pytest.fixture
def served(run, tmp_path) -> Iterator[Served]:
    other = shutil.copytree(run, tmp_path / "elsewhere" / "run")
    code = "from headstart.cli.main import cli; cli()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "tensorboard", run, other, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        yield Served(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert not list(tmp_path.glob("headstart-boards-*"))


def test_tensorboard_itself_finds_everything_of_both_runs(served, run):
    assert served.said["address"].startswith(("http://127.0.0.1:", "http://localhost:"))
    names = {"run/results", "run-2/results"}
    assert set(served.wait("runs", lambda found: names <= set(found))) == names
    scalars = served.wait("plugin/scalars/tags", lambda found: names <= set(found))
    wanted = {"validation/accuracy", "test/accuracy", "head/cross_validated_loss"}
    scalars = served.wait("plugin/scalars/tags", lambda found: wanted <= set(found.get("run/results", {})))
    ((_, _, accuracy),) = served.get("plugin/scalars/scalars?run=run/results&tag=validation/accuracy")
    assert accuracy == pytest.approx(json.loads((run / "metrics.json").read_text())["accuracy"], rel=1e-6)
    assert set(scalars) == names
    images = {"confusion/validation", "confusion/test", "mistakes/validation", "mistakes/test"}
    served.wait("plugin/images/tags", lambda found: set(found.get("run/results", {})) == images)
    (image,) = served.get("plugin/images/images?run=run/results&tag=confusion/test&sample=0")
    drawn = served.get(f"plugin/images/individualImage?{image['query']}")
    assert Image.open(io.BytesIO(drawn)).width > 200
    texts = served.wait("plugin/text/tags", lambda found: names <= set(found))
    assert {"summary", "head/tried"} <= {tag.removesuffix("/text_summary") for tag in texts["run/results"]}
    assert set(served.wait("plugin/projector/runs", lambda found: len(found) == 2)) == names
    config = served.get(f"plugin/projector/info?run={quote('run/results', safe='')}")
    (embedding,) = config["embeddings"]
    assert embedding["tensorShape"][0] == 60
    where = f"run={quote('run/results', safe='')}&name=features"
    points = np.frombuffer(served.get(f"plugin/projector/tensor?{where}"), np.float32).reshape(embedding["tensorShape"])
    np.testing.assert_allclose(points, np.loadtxt(run / "tensorboard" / "results" / "features.tsv"), rtol=1e-6)
    metadata = served.get(f"plugin/projector/metadata?{where}").decode()
    assert metadata == (run / "tensorboard" / "results" / "metadata.tsv").read_text()
    sprite = Image.open(io.BytesIO(served.get(f"plugin/projector/sprite_image?{where}")))
    assert sprite.size == (512, 512)
    first = np.asarray(sprite.crop((0, 0, 64, 64)), int)
    path = metadata.splitlines()[1].split("\t")[3]
    expected = np.asarray(Image.fromarray(_picture(run, path).astype(np.uint8)).resize((64, 64)), int)
    assert np.abs(first - expected).mean() < 8


def test_a_port_that_is_taken_is_one_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("tensorboard", run, "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: TensorBoard cannot listen at 127.0.0.1, port {port}: TensorBoard could not bind to port {port}, "
        "it was already in use. Give another --host or --port.\n"
    )
