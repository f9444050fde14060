"""A RUN in other formats: it says the same there, whole or not at all, and whoever has only the export can use it."""

import errno
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import headstart as hs
from headstart.cli.main import cli
from headstart.errors import HeadstartError, InputError, MissingExtraError, RunError, StorageError
from headstart.exporting import comparison, formats
from headstart.exporting.comparison import run_export
from headstart.exporting.export import Exported, export
from headstart.exporting.pictures import drawn_pictures
from headstart.exporting.rounding import in_f16, match, spread_rows
from headstart.images.decode import DecodeRecipe, decode
from tests.conftest import make_picture, write_picture

SLOW = pytest.mark.slow
LABELS = ['blå "1"', "<a&b>"]


def train(at: Path, *choices: object) -> Path:
    """A RUN of nano, trained in a process of its own."""
    code = "from headstart.cli.main import cli; cli()"
    nano = ("--backbone", "nano", "--image-size", "32", "--strategy", "head", "--out", at / "run")
    command = [sys.executable, "-c", code, "train", at / "data", *nano, *choices]
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment["HEADSTART_STORE"] = str(at / "store")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return at / "run"


def draw(at: Path, names: list[str], count: int = 24) -> None:
    for hue, name in enumerate(names):
        for number in range(count):
            shown = hue if number % 4 else hue + 1  # a quarter looks like others, so that nothing is ever quite sure
            write_picture(at / "data" / name / f"{number}.jpg", make_picture(hue * 1000 + number, (80, 60), shown % 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("exporting")
    draw(at, LABELS)
    return train(at, "--output", "sigmoid", "--standardise")


@pytest.fixture(scope="module")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """That RUN for OpenVINO."""
    return hs.export(made, "openvino", out=tmp_path_factory.mktemp("exported"))[0]


@pytest.fixture
def run(made: Path) -> hs.Run:
    return hs.load(made)


def in_process(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def refusal(result: Result) -> str:
    """The one line of an error on the command line."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def used(folder: Path, *pictures: Path) -> list[tuple[str, float]]:
    """What the export's own `use.py` prints, from a folder where it is nothing."""
    command = [sys.executable, "-P", str(folder / "use.py"), *map(str, pictures)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    printed = [line.partition(": ")[2].rpartition(" ") for line in done.stdout.splitlines()]
    return [(label, float(probability)) for label, _, probability in printed]


def says_the_same(folder: Path, run: hs.Run, tmp_path: Path, tolerance: float) -> None:
    """Compare at batches that headstart itself does not try, on pixels that it has not seen."""
    size = run.decode_recipe
    pixels = np.random.default_rng(7).integers(0, 256, (7, size.height, size.width, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    found = run_export(folder, tmp_path / "pixels.npy", tmp_path, (3, 7, 1))
    for batch in ("3", "7", "1"):
        assert found[batch].dtype == np.float32
        np.testing.assert_allclose(found[batch], run.probabilities(pixels), atol=tolerance)


def test_an_export_for_openvino_has_all_classes_and_its_labels_inside(run, exported, tmp_path):
    import openvino

    done, folder = exported, Path(exported.folder)
    assert sorted(os.listdir(folder)) == ["export.json", "labels.txt", "model.bin", "model.xml", "use.py"]
    assert os.listdir(folder.parent) == ["openvino"]
    assert done.bytes == sum((folder / name).stat().st_size for name in ("model.bin", "model.xml"))
    assert done.compared.shown == "validation pictures"
    assert done.compared.largest_difference <= 1e-4
    assert done.compared.reported_difference <= 2e-3
    model = openvino.Core().read_model(folder / "model.xml")
    assert json.loads(model.get_rt_info(["headstart", "labels"]).astype(str)) == list(run.classes)
    assert model.inputs[0].get_element_type() == openvino.Type.u8
    assert [port.get_any_name() for port in (*model.inputs, *model.outputs)] == ["pixels", "probabilities"]
    says_the_same(folder, run, tmp_path, 1e-4)


def test_use_py_says_what_the_run_says_of_picture_files(run, made, exported):
    pictures = sorted((made.parent / "data").rglob("*1.jpg"))
    expected = run.predict(pictures)
    found = used(Path(exported.folder), *pictures)
    assert [label for label, _ in found] == [one.label for one in expected]
    assert max(abs(p - one.probability) for (_, p), one in zip(found, expected, strict=True)) < 0.02


def test_half_precision_is_half_the_size_and_says_nearly_the_same(run, exported, tmp_path):
    half = hs.export(run, "openvino", out=tmp_path, precision="f16")[0]
    assert half.bytes < 0.75 * exported.bytes
    assert half.compared.largest_difference <= half.compared.tolerance
    says_the_same(tmp_path / "openvino-f16", run, tmp_path, 2e-2)


def test_int8_is_smaller_still_and_says_what_it_costs(run, tmp_path):
    result = in_process(
        run.path, "--format", "openvino", "--precision", "int8", "--out", tmp_path, "--json", "--max-drop", 50
    )
    assert result.exit_code == 0, result.output
    (done,) = json.loads(result.stdout)["exports"]
    known = json.loads((tmp_path / "openvino-int8" / "export.json").read_text())
    assert known["accuracy"] == done["accuracy"]
    assert known["calibration_pictures"] >= 16
    assert done["accuracy"]["n"] == run.metrics["n"]
    assert done["accuracy"]["before"] == pytest.approx(run.metrics["accuracy"])
    assert done["accuracy"]["drop"] <= 50
    assert done["compared"]["tolerance"] is None


def test_export_for_openvino_needs_no_keras(run, tmp_path):
    code = f"""
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
import headstart as hs
hs.export({str(run.path)!r}, "openvino", out={str(tmp_path)!r}, progress=False)
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not {"jinja2", "sklearn", "scipy", "onnx", "nncf"} & set(done.stdout.split())


def test_where_the_pictures_are_gone_drawn_ones_are_compared_but_int8_is_refused(made, tmp_path):
    moved = shutil.copytree(made, tmp_path / "run")
    about = json.loads((moved / "bundle.json").read_text())
    about["recipe"]["data"] = str(tmp_path / "gone")
    about["precision"] = "bf16"  # of which exports know nothing: they are compared with the RUN in f32
    (moved / "bundle.json").write_text(json.dumps(about))
    (done,) = hs.export(moved, "openvino", precision="f16")
    assert done.folder == str(moved / "export" / "openvino-f16")
    assert done.compared.shown == "drawn pictures"
    assert done.compared.reported_difference is None
    message = refusal(in_process(moved, "--format", "openvino", "--precision", "int8"))
    assert message == (
        f"int8 is calibrated on pictures that {moved} has learned from, at least 16, and fewer are where they were. "
        "Give --data, or take f16."
    )
    assert os.listdir(moved / "export") == ["openvino-f16"]
    again = hs.export(moved, "openvino", data=made.parent / "data")
    assert again[0].compared.shown == "validation pictures"


def test_an_export_that_is_there_stays_unless_it_may_be_replaced(run, tmp_path):
    hs.export(run, "openvino", out=tmp_path)
    before = (tmp_path / "openvino" / "export.json").read_text()
    message = refusal(in_process(run.path, "--format", "openvino", "--out", tmp_path))
    assert message == f"{tmp_path / 'openvino'} exists. Give another --out, or --force to replace it."
    assert (tmp_path / "openvino" / "export.json").read_text() == before
    (tmp_path / "openvino" / "stray.txt").write_text("of an older one")
    hs.export(run, "openvino", out=tmp_path, force=True)
    assert not (tmp_path / "openvino" / "stray.txt").exists()
    assert os.listdir(tmp_path) == ["openvino"]


def test_force_does_not_replace_what_is_no_export(run, tmp_path):
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="It is no export"):
        hs.export(run, "openvino", out=tmp_path, force=True)
    assert (tmp_path / "openvino" / "thesis.txt").read_text() == "mine"


def test_choices_that_make_no_sense_name_those_that_do(run, tmp_path, monkeypatch):
    def refused(**choices):
        with pytest.raises(InputError) as caught:
            export(run, **{"formats": ["openvino"], "out": tmp_path / "out", **choices})
        return str(caught.value)

    assert refused(formats=["onyx"]) == "there is no format 'onyx'; did you mean onnx?"
    assert refused(formats=["keras"], precision="f16") == (
        "keras is exported in f32, not in f16; f16 is for onnx, openvino, litert."
    )
    assert refused(precision="f64").startswith("there is no precision 'f64'; ")
    assert refused(formats=[]).startswith("no format is chosen; valid are: keras, litert")
    assert refused(max_drop=float("nan")) == "a drop of at most nan points cannot be asked for; give 0 or more."
    assert not (tmp_path / "out").exists()
    with pytest.raises(RunError, match="no such RUN"):
        hs.export(tmp_path / "none", "openvino")


@pytest.mark.parametrize(
    ("form", "precision", "gone", "extra"),
    [
        ("onnx", "f32", "tf2onnx", "onnx"),
        ("litert", "f16", "ai_edge_litert", "litert"),
        ("openvino", "int8", "nncf", "int8"),
    ],
)
def test_a_format_names_its_extra(run, tmp_path, monkeypatch, form, precision, gone, extra):
    monkeypatch.setattr(formats, "is_installed", lambda name: name != gone)
    with pytest.raises(MissingExtraError, match=rf"pip install 'headstart\[{extra}\]'"):
        hs.export(run, form, precision=precision, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_differs_by_more_than_rounding_is_refused_with_the_figures(run, tmp_path, monkeypatch):
    monkeypatch.setitem(comparison.TOLERANCES, "f16", -1)
    monkeypatch.setitem(comparison.KERNEL_TOLERANCES, "f16", -1)
    with pytest.raises(
        HeadstartError, match=r"differs from the RUN by \S+ in a probability of .* at most -1"
    ) as caught:
        hs.export(run, "openvino", precision="f16", out=tmp_path / "out")
    assert str(caught.value).endswith("Nothing was written. Take --precision f32.")
    assert not (tmp_path / "out").exists()


@SLOW
def test_int8_that_costs_too_much_is_tried_once_more_and_refused_with_the_figures(run, tmp_path, monkeypatch):
    real, judged = comparison.run_export, []

    def wrong(export, pixels, folder, batches):
        judged.extend(batches[1:] or ["all"])
        return {
            name: rows[:, ::-1] if rows.ndim == 2 else rows
            for name, rows in real(export, pixels, folder, batches).items()
        }

    monkeypatch.setattr(comparison, "run_export", wrong)
    result = in_process(run.path, "--format", "openvino", "--precision", "int8", "--out", tmp_path / "out")
    accuracy = run.metrics["accuracy"]
    assert refusal(result).startswith(
        f"int8 costs {100 * (2 * accuracy - 1):.2f} points of accuracy: {accuracy:.4f} before,"
    )
    assert judged.count("all") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_nothing_is_left_of_an_export_that_is_interrupted_or_finds_no_room(run, tmp_path, monkeypatch, stop):
    def fail(*arguments):
        raise stop

    monkeypatch.setattr("headstart.exporting.export.write_usage", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(stop, KeyboardInterrupt) else StorageError):
        hs.export(run, "openvino", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_killed_export_has_left_goes_a_day_later(run, tmp_path):
    for name, hours in (("old", 25), ("new", 1)):
        left = tmp_path / f".unfinished-{name}"
        (left / "export").mkdir(parents=True)
        os.utime(left, (time.time() - hours * 3600,) * 2)
    hs.export(run, "openvino", out=tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".unfinished-new", "openvino"]


def test_a_damaged_run_is_not_exported(made, tmp_path):
    for name in ("runtime/frozen.bin", "model.keras"):
        broken = shutil.copytree(made, tmp_path / name.replace("/", "-"))
        content = bytearray((broken / name).read_bytes())
        content[len(content) // 2] ^= 1
        (broken / name).write_bytes(content)
        with pytest.raises(RunError, match="damaged"):
            hs.export(broken, "openvino" if "bin" in name else "keras")
        assert not (broken / "export").exists()


def test_an_export_that_does_not_run_elsewhere_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.exporting.usage._PAGE", __import__("string").Template("raise ValueError('no')"))
    with pytest.raises(HeadstartError, match="the export does not run in a new process: ValueError: no"):
        hs.export(run, "openvino", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_that_were_scaled_and_shifted_are_put_right():
    wanted = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    found = wanted * [2, 0.5, 1, 0] + [1, -3, 0, 5]
    wanted[:, 3] = 7  # a feature that never changes is only shifted
    correction = match(found, wanted)
    np.testing.assert_allclose(found * correction.scale + correction.shift, wanted, atol=1e-5)
    assert correction.scale[3] == 1


def test_what_does_not_fit_into_half_precision_becomes_the_largest_number():
    np.testing.assert_array_equal(in_f16(np.array([1e6, -1e6, 0.5])), np.array([65504, -65504, 0.5], np.float16))


def test_rows_are_taken_evenly():
    assert spread_rows(np.arange(100), 5).tolist() == [0, 24, 49, 74, 99]
    assert spread_rows(np.arange(3), 5).tolist() == [0, 1, 2]


def test_drawn_pictures_are_the_same_every_time_and_unlike_each_other():
    recipe = DecodeRecipe(20, 30)
    first, second = drawn_pictures(recipe), drawn_pictures(recipe)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (16, 20, 30, 3)
    assert first.std(axis=(1, 2, 3)).min() > 10
    assert min(np.abs(first[0].astype(int) - other).mean() for other in first[1:].astype(int)) > 5


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (33, 50), (20, 90)])
def test_use_py_reads_pictures_as_headstart_does(run, tmp_path, fit, size):
    hs_use = tmp_path / "export"
    hs_use.mkdir()
    about = {"labels": LABELS, "decode": {"height": 40, "width": 32, "fit": fit}}
    from headstart.exporting.usage import write_usage

    write_usage(hs_use, formats.FORMATS["openvino"], about)
    text = (hs_use / "use.py").read_text().replace("import openvino", "").replace("model = openvino", "model = None  #")
    (hs_use / "use.py").write_text(text)
    picture = write_picture(tmp_path / "a.png", make_picture(3, size))
    used = runpy.run_path(str(hs_use / "use.py"))
    expected = decode(picture.read_bytes(), DecodeRecipe(40, 32, fit))
    assert np.abs(used["read"](picture).astype(int) - expected).max() <= 2


@SLOW
@pytest.mark.parametrize(
    "choices",
    [
        ("--head", "kernel:8"),
        ("--output", "sigmoid", "--calibrate"),
        ("--strategy", "auto", "--epochs", "1", "--head", "dense:8,dropout:0.1"),
    ],
)
def test_every_format_says_what_the_run_says_with_any_head(tmp_path, choices):
    draw(tmp_path, LABELS)
    made = train(tmp_path, *choices)
    run = hs.load(made)
    names = list(formats.FORMATS)
    for done in hs.export(run, names):
        tolerance = done.compared.tolerance
        assert done.compared.largest_difference <= tolerance
        says_the_same(Path(done.folder), run, tmp_path, tolerance)
        ((label, probability),) = used(Path(done.folder), made.parent / "data" / LABELS[0] / "1.jpg")
        expected = run.predict(made.parent / "data" / LABELS[0] / "1.jpg")[0]
        assert label == expected.label
        assert probability == pytest.approx(expected.probability, abs=0.02)
    for done in hs.export(run, ["onnx", "openvino", "litert"], precision="f16"):
        says_the_same(Path(done.folder), run, tmp_path, 2e-2)
    labels_are_inside(made / "export", list(run.classes))


def labels_are_inside(folder: Path, labels: list[str]) -> None:
    import onnxruntime
    import tensorflow as tf

    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == labels
    assert [(one.name, one.shape[0]) for one in (*session.get_inputs(), *session.get_outputs())] == [
        ("pixels", "n"),
        ("probabilities", "n"),
    ]
    with zipfile.ZipFile(folder / "litert" / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().splitlines() == labels
    loaded = tf.saved_model.load(str(folder / "saved_model" / "saved_model"))
    assert [label.decode() for label in loaded.labels()["labels"].numpy()] == labels
    assert {"serve", "serve_files", "labels", "serving_default"} <= set(loaded.signatures)
    picture = next((folder.parent.parent / "data" / labels[0]).glob("*.jpg"))
    said = loaded.serve_files(tf.constant([picture.read_bytes()] * 2))["probabilities"].numpy()
    expected = hs.load(folder.parent).predict(picture)[0].probabilities
    np.testing.assert_allclose(said, [[expected[label] for label in labels]] * 2, atol=0.02)


@SLOW
@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_saved_model_decodes_files_as_headstart_does(run, tmp_path, monkeypatch, fit, name):
    from headstart.exporting.of_tensorflow import Source

    recipe = DecodeRecipe(40, 32, fit)
    monkeypatch.setattr(run, "decode_recipe", recipe)
    data = write_picture(tmp_path / name, make_picture(3, (200, 310))).read_bytes()
    found = Source(run, tmp_path)._decode(data).numpy()
    assert np.abs(found.astype(int) - decode(data, recipe)).max() <= 1


@SLOW
def test_networks_side_by_side_are_exported(tmp_path):
    draw(tmp_path, LABELS)
    made = train(tmp_path, "--backbone", "nano,mobilenet_v2", "--weights", "none")
    for done in hs.export(made, list(formats.FORMATS)):
        assert done.compared.largest_difference <= done.compared.tolerance
    for done in hs.export(made, ["openvino", "litert"], precision="int8", max_drop=100):
        assert done.accuracy is not None


@SLOW
@pytest.mark.parametrize(
    "backbone", ["mobilenet_v2", "resnet50", "efficientnet_v2_b0", "inception_v3", "convnext_tiny"]
)
def test_every_format_says_what_the_run_says_with_any_backbone(tmp_path, backbone):
    draw(tmp_path, LABELS, 8)
    made = train(tmp_path, "--backbone", backbone, "--weights", "none", "--image-size", "80")
    for done in hs.export(made, list(formats.FORMATS)):
        assert done.compared.largest_difference <= done.compared.tolerance
    for done in hs.export(made, ["onnx", "openvino", "litert"], precision="f16"):
        assert done.compared.largest_difference <= done.compared.tolerance


@SLOW
def test_int8_of_mobilenet_on_flowers_costs_at_most_a_point_and_a_half(real_head):
    for done in hs.export(real_head("flowers"), ["openvino", "litert"], precision="int8"):
        assert done.accuracy is not None
        assert done.accuracy.n == 550
        assert done.accuracy.drop <= 1.5
