"""Features for other tools: what is in the file, and that it is there whole or not at all."""

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet
from safetensors.numpy import load_file

from headstart.cli.main import cli
from headstart.feature_files.table import Table
from headstart.features.store import Store
from headstart.images.digest import picture_digest
from tests.conftest import make_picture, write_picture

ROOT = Path(__file__).parents[2]
NANO = ("--backbone", "nano", "--image-size", "48")
SLOW = pytest.mark.slow
TEXTS = ("paths", "sides", "digests", "groups")


def command(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    code = "import sys; from headstart.cli.main import cli; cli()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=variables | environment,
        timeout=300,
    )


def in_process(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export-features", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with data, what was exported of it, and then a RUN that was trained on it."""
    at = tmp_path_factory.mktemp("export")
    for hue, name in enumerate(("blå", "=green", "red")):
        for number in range(16):
            pixels = make_picture(hue * 1000 + number, hue=hue)
            write_picture(at / "data" / name / f"p{number % 5}_{number}.png", pixels)
    (at / "data" / "red" / "p9_broken.png").write_text("no picture")
    data, store = at / "data", {"HEADSTART_STORE": str(at / "store")}
    choices = (*NANO, "--test", "0.2", "--group-by", "{group}_*", "--seed", 3)
    done = command("export-features", data, "--out", at / "first.npz", *choices, "--json", **store)
    assert (done.returncode, done.stderr) == (0, "")
    (at / "exported.json").write_text(done.stdout)
    done = command("train", data, "--out", at / "run", *choices, "--strategy", "head", "--json", **store)
    assert done.returncode == 0, done.stderr
    return at


@pytest.fixture
def kept(made, monkeypatch) -> dict[str, np.ndarray]:
    """The features in the store, by digest, read as any program would read the files."""
    monkeypatch.setenv("HEADSTART_STORE", str(made / "store"))
    (space,) = (made / "store" / "features").iterdir()
    found = {}
    for shard in map(load_file, space.glob("*.safetensors")):
        found |= {key.tobytes().hex(): row for key, row in zip(shard["keys"], shard["tensor_000"], strict=True)}
    return found


def read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The columns of a file by their names in `.npz`, and what it says of itself; nothing of headstart reads it."""
    if path.suffix == ".npz":
        with np.load(path) as file:  # without pickles
            columns = {name: file[name] for name in file.files}
        return columns, json.loads(columns.pop("about").item())
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            columns = {name: file[name].asstr()[:] for name in (*TEXTS, "classes")}
            columns |= {name: file[name][:] for name in ("features", "labels")}
            about = dict(file.attrs)
            about["decode"] = json.loads(about["decode"])
        return columns, about
    table = parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"headstart"])
    columns = {name: np.array(table[name.removesuffix("s")].to_pylist()) for name in TEXTS}
    columns |= {"labels": table["label"].to_numpy(), "classes": np.array(about.pop("classes"))}
    columns["features"] = table["features"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    assert table["class"].to_pylist() == columns["classes"][columns["labels"]].tolist()
    return columns, about


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet"])
def test_every_format_has_to_the_last_bit_what_the_store_keeps(made, kept, tmp_path, suffix):
    out = tmp_path / f"features{suffix}"
    result = in_process(made / "data", "--out", out, "--run", made / "run", "--json")
    assert result.exit_code == 0, result.stderr
    columns, about = read(out)
    assert columns["features"].dtype == np.float32
    assert columns["labels"].dtype == np.int64
    assert len(columns["features"]) == 48
    np.testing.assert_array_equal(columns["features"], np.stack([kept[digest] for digest in columns["digests"]]))
    for path, digest, label in zip(columns["paths"], columns["digests"], columns["labels"], strict=True):
        assert picture_digest((made / "data" / path).read_bytes()) == digest
        assert path.split("/")[0] == columns["classes"][label]
    assert columns["classes"].tolist() == ["=green", "blå", "red"]
    assert set(columns["groups"]) == {f"{name}/p{number}" for name in columns["classes"] for number in range(5)} or set(
        columns["groups"]
    ) == {f"p{number}" for number in range(5)}
    assert (about["backbone"], about["weights"], about["run"]) == ("nano", "imagenet", str(made / "run"))
    assert about["decode"] == {"height": 48, "width": 48, "fit": "crop"}
    assert about["headstart"]


def test_pictures_are_on_the_sides_that_a_training_puts_them_on(made):
    columns, about = read(made / "first.npz")
    with open(made / "run" / "splits.csv", newline="") as file:
        expected = [(row["path"], row["side"], row["digest"], row["group"]) for row in csv.DictReader(file)]
    found = zip(columns["paths"], columns["sides"], columns["digests"], columns["groups"], strict=True)
    assert [tuple(map(str, row)) for row in found] == [(path.removeprefix("'"), *rest) for path, *rest in expected]
    assert set(columns["sides"]) == {"train", "val", "test"}
    assert about["run"] is None


def test_exporting_warms_a_training_and_the_other_way_round(made, kept, tmp_path):
    exported = json.loads((made / "exported.json").read_text())
    assert (exported["pictures"], exported["extracted"], exported["reused"]) == (48, 48, 0)
    assert [Path(bad["path"]).name for bad in exported["quarantined"]] == ["p9_broken.png"]
    trained = json.loads((made / "run" / "metrics.json").read_text())
    assert (trained["extracted"], trained["reused"]) == (0, 48)
    again = json.loads(in_process(made / "data", "--out", tmp_path / "f.npz", "--run", made / "run", "--json").stdout)
    assert (again["extracted"], again["reused"]) == (0, 48)
    assert (again["pictures"], again["width"]) == (48, len(next(iter(kept.values()))))


def test_the_features_of_a_run_are_those_of_its_recipe(made, kept, tmp_path):
    in_process(made / "data", "--out", tmp_path / "of_run.npz", "--run", made / "run")
    of_run, of_recipe = read(tmp_path / "of_run.npz")[0], read(made / "first.npz")[0]
    assert of_run.keys() == of_recipe.keys()
    for name in of_run:
        np.testing.assert_array_equal(of_run[name], of_recipe[name])


def test_the_features_of_a_run_are_exported_without_keras(made, kept, tmp_path):
    script = (
        "import sys, headstart\n"
        f"headstart.export_features({str(made / 'data')!r}, {str(tmp_path / 'f.npz')!r}, run={str(made / 'run')!r})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"keras", "tensorflow", "sklearn", "scipy", "h5py", "pyarrow"}


def test_a_run_cannot_say_that_its_features_are_those_of_another_network(made, kept, tmp_path, monkeypatch):
    """The store has a network under the name that the RUN gives to its own, and it is not the same."""
    store = tmp_path / "store"
    shutil.copytree(made / "store", store)
    monkeypatch.setenv("HEADSTART_STORE", str(store))
    (model,) = (store / "converted").rglob("model.xml")
    model.write_text(model.read_text() + "\n")
    before = Store().spaces()
    result = in_process(made / "data", "--out", tmp_path / "f.npz", "--run", made / "run", "--json")
    assert json.loads(result.stdout)["extracted"] == 48
    assert len(Store().spaces()) == len(before) + 1
    np.testing.assert_array_equal(read(tmp_path / "f.npz")[0]["features"], read(made / "first.npz")[0]["features"])


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet"])
def test_bytes_in_names_that_are_no_text_are_escaped_and_all_else_is_as_it_was(made, kept, tmp_path, suffix):
    for hue, name in enumerate(("red", "=green")):
        for number in range(4):
            write_picture(tmp_path / "data" / name / f"p{number}_€.png", make_picture(hue * 1000 + number, hue=hue))
    red = os.fsencode(tmp_path / "data" / "red")
    os.rename(red + "/p0_€.png".encode(), red + b"/p0_\xff.png")
    result = in_process(tmp_path / "data", "--out", tmp_path / f"f{suffix}", "--run", made / "run", "--val", "0.5")
    assert result.exit_code == 0, result.stderr
    columns, _ = read(tmp_path / f"f{suffix}")
    names = [f"{name}/p{number}_€.png" for name in ("=green", "red") for number in range(4)]
    assert set(columns["paths"]) == {*names, "red/p0_\\udcff.png"} - {"red/p0_€.png"}


def accuracy_of_the_example(folder: Path) -> float:
    """What the example in the docs prints where it finds `features.npz`."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "features.md").read_text(), re.DOTALL)
    assert code is not None
    done = subprocess.run([sys.executable, "-W", "error", "-c", code[1]], capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return float(done.stdout)


def test_the_example_in_the_docs_learns_from_what_was_exported(made, tmp_path):
    shutil.copyfile(made / "first.npz", tmp_path / "features.npz")
    assert accuracy_of_the_example(tmp_path) > 0.9


def test_a_picture_of_what_was_exported_in_the_terminal(made, kept, tmp_path):
    result = in_process(made / "data", "--out", tmp_path / "f.npz", "--run", made / "run")
    first, second, *_, last = result.stdout.splitlines()
    counts = r"48 pictures of 3 classes, \d+ features each: 0 passes through the frozen part, 48 kept from before"
    assert re.fullmatch(rf"{counts}; \d+\.\d s\.", first)
    assert second == f"left out {made}/data/red/p9_broken.png: not a picture in a known format"
    assert last == f"Written to {tmp_path}/f.npz."


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("there.npz", (), "Error: {at}/there.npz exists. Give another --out, or --force to replace it.\n"),
        ("f.txt", (), "Error: {at}/f.txt has no suffix that says which format: valid are: .h5, .npz, .parquet.\n"),
        ("f", (), "Error: {at}/f has no suffix that says which format: valid are: .h5, .npz, .parquet.\n"),
        ("dir.npz", (), "Error: {at}/dir.npz is a folder. Give the name of a file.\n"),
        (
            "data/f.npz",
            (),
            "Error: {at}/data/f.npz is inside {data}, where it would be taken for pictures. Give another --out.\n",
        ),
        ("f.npz", ("--seed", "-1"), "Error: seed is -1; it lies from 0 to 4294967295.\n"),
        (
            "f.npz",
            ("--backbone", "nano", "--image-size", "48"),
            "Error: {run} says what computes its features; leave --backbone, --image-size out.\n",
        ),
    ],
)
def test_bad_input_is_one_line_before_anything_is_computed(made, tmp_path, out, options, message):
    (tmp_path / "there.npz").write_text("mine")
    (tmp_path / "dir.npz").mkdir()
    data, run = made / "data", made / "run"
    target = data / "f.npz" if out.startswith("data/") else tmp_path / out
    result = in_process(data, "--out", target, "--run", run, *options)
    at = made if out.startswith("data/") else tmp_path
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == message.format(at=at, data=data, run=run)
    assert (tmp_path / "there.npz").read_text() == "mine"


def test_force_replaces_a_file(made, kept, tmp_path):
    (tmp_path / "there.npz").write_text("mine")
    result = in_process(made / "data", "--out", tmp_path / "there.npz", "--run", made / "run", "--force")
    assert result.exit_code == 0, result.stderr
    assert len(read(tmp_path / "there.npz")[0]["labels"]) == 48


@pytest.mark.parametrize(("suffix", "module", "extra"), [(".parquet", "pyarrow", "parquet"), (".h5", "h5py", "keras")])
def test_a_missing_extra_is_named_in_one_line(made, tmp_path, monkeypatch, suffix, module, extra):
    monkeypatch.setattr("headstart.feature_files.formats.is_installed", lambda name: name != module)
    result = in_process(made / "data", "--out", tmp_path / f"f{suffix}", "--run", made / "run")
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: writing {suffix} needs headstart[{extra}]. Install it with: pip install 'headstart[{extra}]'\n"
    )


KILLED = """
import os, signal, sys
from headstart.feature_files import table
from headstart.feature_files.export import export

table._MOST_ROWS = 8
whole = table.Table.features

def features(self, rows):
    if rows.start >= 16:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, rows)

table.Table.features = features
data, out, run = sys.argv[1:]
export(data, out, run, {}, force=True)
"""


@pytest.mark.parametrize("suffix", [".npz", pytest.param(".h5", marks=SLOW), pytest.param(".parquet", marks=SLOW)])
def test_a_kill_in_the_middle_leaves_no_half_written_file(made, kept, tmp_path, suffix):
    out = tmp_path / f"f{suffix}"
    out.write_text("mine")
    done = subprocess.run([sys.executable, "-c", KILLED, made / "data", out, made / "run"], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert out.read_text() == "mine"
    (half,) = (entry for entry in tmp_path.iterdir() if entry != out)
    assert half.name.startswith(f".f{suffix}.")
    assert half.suffix == ".tmp"


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet"])
def test_a_disk_that_fills_up_in_the_middle_is_one_line_and_leaves_nothing(made, kept, tmp_path, monkeypatch, suffix):
    whole = Table.features

    def features(self: Table, rows: slice) -> np.ndarray:
        if rows.start >= 16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, rows)

    monkeypatch.setattr("headstart.feature_files.table._MOST_ROWS", 8)
    monkeypatch.setattr(Table, "features", features)
    result = in_process(made / "data", "--out", tmp_path / f"f{suffix}", "--run", made / "run")
    assert (result.exit_code, result.stdout) == (2, "")
    what_to_do = "Free some space there, or give another --out."
    assert result.stderr == f"Error: cannot write to {tmp_path}/f{suffix}: the disk is full. {what_to_do}\n"
    assert list(tmp_path.iterdir()) == []


MANY = """
import resource, sys
from pathlib import Path
import numpy as np
from headstart.feature_files.formats import WRITERS
from headstart.feature_files.table import Table
from headstart.images.dataset import Example
from headstart.images.pictures import Picture

class Drawn:
    def read(self, paths):
        return [np.random.default_rng(int(paths[0])).random((len(paths), 512), np.float32)]

pictures = (Picture(str(n), str(n), "ab"[n % 2]) for n in range(int(sys.argv[1])))
examples = tuple(Example(picture, f"{n:040x}", "train") for n, picture in enumerate(pictures))
table = Table(("a", "b"), examples, Drawn(), {})
out = Path(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
WRITERS[out.suffix](out, table, lambda count: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet"])
def test_memory_does_not_grow_with_the_features(tmp_path, suffix):
    grown = {}
    for count in (20_000, 200_000):  # 41 and 410 MB of features
        out = tmp_path / f"{count}{suffix}"
        done = subprocess.run([sys.executable, "-c", MANY, str(count), out], capture_output=True, text=True, check=True)
        assert out.stat().st_size > count * 512 * 4 * 0.8
        out.unlink()
        grown[count] = int(done.stdout) / 1024
    assert grown[200_000] < grown[20_000] + 60, grown  # MB


@pytest.mark.slow
def test_maps_of_a_fine_tuned_run_are_averaged(made, kept, tmp_path):
    data, run = made / "data", tmp_path / "tuned"
    options = ("--strategy", "finetune", "--unfreeze", "last:3", "--augment", "none", "--epochs", 1)
    done = command("train", data, "--out", run, *NANO, *options, "--json")
    assert done.returncode == 0, done.stderr
    result = in_process(data, "--out", tmp_path / "f.npz", "--run", run, "--json")
    assert result.exit_code == 0, result.stderr
    features = read(tmp_path / "f.npz")[0]["features"]
    maps = {}
    for file in (made / "store" / "features").rglob("*.safetensors"):
        shard = load_file(file)
        tensors = [shard[name] for name in sorted(shard) if name.startswith("tensor_")]
        if tensors[0].ndim == 4:
            for row, key in enumerate(shard["keys"]):
                maps[key.tobytes().hex()] = np.concatenate([tensor[row].mean(axis=(0, 1)) for tensor in tensors])
    expected = np.stack([maps[digest] for digest in read(tmp_path / "f.npz")[0]["digests"]])
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_example_on_flowers_is_as_good_as_the_docs_say(shared, imagenet_home, tmp_path):
    done = command(
        *("export-features", shared / "data" / "flowers", "--out", tmp_path / "features.npz"),
        *("--backbone", "mobilenet_0.25"),
        KERAS_HOME=str(imagenet_home),
    )
    assert done.returncode == 0, done.stderr
    columns, _ = read(tmp_path / "features.npz")
    assert [(columns["sides"] == side).sum() for side in ("train", "val")] == [2569, 550]
    assert accuracy_of_the_example(tmp_path) == pytest.approx(0.8709, abs=0.004)
