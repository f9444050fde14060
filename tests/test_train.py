"""The main job, from Python, on pictures made on the spot and random weights."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import headstart as hs
from headstart import pipeline
from headstart.errors import DataError, HeadstartError, RecipeError, RunError
from headstart.features import convert
from headstart.images.decode import decode
from tests.conftest import make_picture, write_picture

SMALL = {
    **{"backbone": "mobilenet_0.25", "weights": "none", "image_size": 32, "precision": "f32", "progress": False},
    **{"strategy": "head", "head": "linear", "tap": "conv_pw_5_relu"},
}
STACK = SMALL | {"head": "dense:16,dropout:0.2", "epochs": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, hs.Run]:
    """One run that several tests look at."""
    folder = tmp_path_factory.mktemp("trained")
    os.environ["HEADSTART_STORE"] = str(folder / "store")
    for hue, name in enumerate(("blue", "green", "red")):
        for number in range(20):
            write_picture(folder / "data" / name / f"{number}.png", make_picture(hue * 1000 + number, hue=hue))
    (folder / "data" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder, hs.train(folder / "data", out=folder / "run", **SMALL)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_have_all_that_was_promised(trained):
    folder, _run = trained
    found = json.loads((folder / "run" / "metrics.json").read_text())
    assert found["accuracy"] > 0.6
    assert found["n"] == len([row for row in rows(folder / "run" / "splits.csv") if row["side"] == "val"])
    assert found["strategy"] == "head"
    assert found["pictures"] == 61
    assert (found["extracted"], found["reused"], found["quarantined"]) == (60, 0, 1)
    assert found["classes"] == ["blue", "green", "red"]
    assert found["trainable_params"] == 64 * 3 + 3
    assert found["non_trainable_params"] == 10_864
    assert found["run"] == str(folder / "run")
    assert found["loss"] > 0
    assert found["seconds"] > 0
    assert found["chosen_on_these_pictures"] is False


def test_figures_follow_from_predictions_csv(trained):
    folder, run = trained
    found = rows(folder / "run" / "predictions.csv")
    assert len(found) == run.metrics["n"]
    assert np.mean([row["label"] == row["predicted"] for row in found]) == run.metrics["accuracy"]
    loss = -np.mean([np.log(float(row[row["label"]])) for row in found])
    assert loss == pytest.approx(run.metrics["loss"], rel=1e-6)
    for row in found:
        assert max(run.classes, key=lambda name: float(row[name])) == row["predicted"]


def test_the_saved_model_is_plain_keras_and_says_what_was_reported(trained):
    folder, run = trained
    script = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1], safe_mode=True)\n"
        "pixels = np.load(sys.argv[2])\n"
        "np.save(sys.argv[3], model.predict(pixels, batch_size=5, verbose=0))\n"
        "np.save(sys.argv[3] + '.one', np.concatenate([model.predict(p[None], verbose=0) for p in pixels]))\n"
        "assert 'headstart' not in sys.modules\n"
    )
    reported = rows(folder / "run" / "predictions.csv")
    pixels = [decode((folder / "data" / row["path"]).read_bytes(), run.decode_recipe) for row in reported]
    np.save(folder / "pixels.npy", np.stack(pixels))
    arguments = [str(folder / name) for name in ("run/model.keras", "pixels.npy", "answers.npy")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, env={**os.environ, "PYTHONWARNINGS": ""})
    expected = np.array([[float(row[name]) for name in run.classes] for row in reported])
    for name in ("answers.npy", "answers.npy.one.npy"):
        np.testing.assert_allclose(np.load(folder / name), expected, atol=1e-4)


def test_a_run_predicts_by_path_and_leaves_out_what_is_no_picture(trained):
    folder, run = trained
    predictions = hs.load(folder / "run").predict(folder / "data" / "red")
    assert len(predictions) == 20
    assert all(Path(p.path).exists() for p in predictions)
    one = run.predict(str(folder / "data" / "red" / "3.png"))[0]
    same = next(p for p in predictions if p.path == one.path)
    assert one.label == same.label
    assert one.probability == pytest.approx(same.probability, abs=1e-6)
    assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert list(one.probabilities) == sorted(one.probabilities, key=one.probabilities.get, reverse=True)


def test_evaluating_the_validation_pictures_gives_the_reported_figures(trained, tmp_path):
    folder, run = trained
    for row in rows(folder / "run" / "splits.csv"):
        if row["side"] == "val":
            target = tmp_path / "val" / row["label"] / Path(row["path"]).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / "data" / row["path"]).read_bytes())
    found = hs.evaluate(folder / "run", tmp_path / "val").figures
    assert run.evaluate(tmp_path / "val").figures == found
    assert found.accuracy == run.metrics["accuracy"]
    assert found.loss == pytest.approx(run.metrics["loss"], rel=1e-4)
    assert found.confusion == run.metrics["confusion"]


def test_a_class_the_run_does_not_know_is_named(trained, tmp_path):
    folder, _ = trained
    write_picture(tmp_path / "more" / "rad" / "1.png", make_picture(1))
    with pytest.raises(DataError) as caught:
        hs.evaluate(folder / "run", tmp_path / "more")
    assert str(caught.value) == f"{folder}/run does not know class 'rad'. 'rad': did you mean red?"


def test_the_bundle_says_where_it_comes_from(trained):
    folder, _run = trained
    about = json.loads((folder / "run" / "bundle.json").read_text())
    assert about["recipe"]["backbone"] == "mobilenet_0.25"
    assert about["versions"]["keras"] == keras.__version__
    assert about["decode"] == {"height": 32, "width": 32, "fit": "crop"}
    assert set(about["digests"]) == {
        "model.keras",
        "runtime/frozen.bin",
        "runtime/frozen.xml",
        "runtime/trainable.bin",
        "runtime/trainable.xml",
    }
    assert rows(folder / "run" / "quarantine.csv")[0]["path"].endswith("broken.jpg")


def test_a_run_can_be_used_where_keras_is_not_installed(trained):
    folder, _ = trained
    script = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'sklearn', 'h5py'): sys.modules[name] = None\n"
        "import headstart as hs\n"
        "run = hs.load(sys.argv[1])\n"
        "assert len(run.predict(sys.argv[2])) == 20\n"
        "assert hs.evaluate(run, sys.argv[3]).figures.n == 60\n"
        "for use in (lambda: run.model, lambda: hs.split, lambda: hs.train('x')):\n"
        "    try: use()\n"
        "    except hs.HeadstartError as error: assert 'headstart[train]' in str(error), error\n"
        "    else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", script, folder / "run", folder / "data" / "red", folder / "data"], check=True)


def test_the_same_again_computes_nothing_and_gives_the_same(trained, monkeypatch, tmp_path):
    folder, _run = trained
    monkeypatch.setenv("HEADSTART_STORE", str(folder / "store"))
    again = hs.train(folder / "data", out=tmp_path / "again", **SMALL)
    assert (again.metrics["extracted"], again.metrics["reused"]) == (0, 60)
    for name in ("predictions.csv", "splits.csv", "history.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "run" / name).read_bytes()


def test_a_damaged_run_is_refused(trained, tmp_path):
    import shutil

    folder, _ = trained
    picture = folder / "data" / "red" / "1.png"
    for name, message in (
        ("runtime/frozen.bin", "is damaged: it is not what was written"),
        ("runtime/trainable.xml", "is damaged: it is not what was written"),
        ("bundle.json", "is damaged or cannot be read. Train it again"),
    ):
        copy = tmp_path / Path(name).name
        shutil.copytree(folder / "run", copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2 : len(content) // 2 + 9] = b"\0" * 9
        (copy / name).write_bytes(content)
        with pytest.raises(RunError, match=message):
            hs.load(copy).predict(picture)
    (copy / "bundle.json").unlink()
    with pytest.raises(RunError, match="is not a RUN: it has no bundle.json"):
        hs.load(copy)
    with pytest.raises(RunError, match="no such RUN"):
        hs.load(tmp_path / "nothing")


def test_a_run_from_the_future_is_refused(trained, tmp_path):
    folder, _ = trained
    about = json.loads((folder / "run" / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(RunError, match=r"written by a newer headstart \(format 99, this one reads 1\)"):
        hs.load(tmp_path)


def test_a_stack_is_trained_and_says_that_its_figures_were_chosen_on(pictures, tmp_path):
    run = hs.train(pictures(a=20, b=20), out=tmp_path / "run", **STACK)
    assert run.metrics["chosen_on_these_pictures"] is True
    history = rows(tmp_path / "run" / "history.csv")
    assert 1 <= len(history) <= 4
    assert set(history[0]) == {"stage", "epoch", "accuracy", "loss", "val_accuracy", "val_loss"}
    again = hs.train(tmp_path / "data", out=tmp_path / "b", **STACK)
    assert (tmp_path / "b" / "predictions.csv").read_bytes() == (tmp_path / "run" / "predictions.csv").read_bytes()
    assert again.metrics["extracted"] == 0  # another head has the same frozen part


def test_train_val_and_test_folders_are_kept_apart(pictures, tmp_path):
    for side, first, count in (("train", 0, 12), ("val", 100, 4), ("test", 200, 6)):
        pictures(at=f"data/{side}", first=first, a=count, b=count)
    run = hs.train(tmp_path / "data", out=tmp_path / "run", **SMALL)
    assert run.metrics["n"] == 8
    assert run.metrics["test"]["n"] == 12
    assert {row["side"] for row in rows(tmp_path / "run" / "predictions.csv")} == {"val", "test"}


def test_bf16_is_reported_beside_f32(pictures, tmp_path):
    run = hs.train(pictures(a=12, b=12), out=tmp_path / "run", **SMALL | {"precision": "bf16"})
    assert run.metrics["precision"] == "bf16"
    assert {"accuracy_f32", "loss_f32"} <= run.metrics.keys()
    assert hs.evaluate(run, tmp_path / "data").figures.n == 24


def test_where_openvino_disagrees_keras_does_it_all(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "PARITY_TOLERANCE", -1.0)
    run = hs.train(pictures(a=12, b=12), out=tmp_path / "run", **SMALL)
    assert run.about["runtime"]["name"] == "keras-tensorflow-cpu"
    assert not (tmp_path / "run" / "runtime").exists()
    assert len(run.predict(tmp_path / "data")) == 24


def test_a_saved_model_that_says_something_else_is_not_handed_over(pictures, tmp_path, monkeypatch):
    real = pipeline.write_models

    def write_wrongly(folder, model, cut):
        classifier = model.get_layer("classifier")
        kernel, bias = classifier.get_weights()
        classifier.set_weights([kernel, bias + [50, 0]])
        real(folder, model, cut)

    monkeypatch.setattr(pipeline, "write_models", write_wrongly)
    with pytest.raises(HeadstartError, match="the saved model differs from what was trained by"):
        hs.train(pictures(a=12, b=12), out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_all_mistakes_of_a_recipe_are_named_at_once(tmp_path):
    with pytest.raises(RecipeError) as caught:
        hs.train(tmp_path, backbone="mobilnet_v2", head="dens:4", val=1.5, epochs=0, weights="imagnet", precision="f8")
    assert caught.value.problems == (
        "unknown backbone 'mobilnet_v2'; did you mean mobilenet_v2 or mobilenet_v2_1.4 or mobilenet_v2_1.3?",
        "unknown precision 'f8'; valid are: auto, bf16, f32.",
        "weights 'imagnet' is no file; besides a file there are imagenet and none.",
        "unknown head layer 'dens'; did you mean dense?",
        "val is 1.5; as a share it lies above 0 and below 1.",
        "epochs is 0; at least 1 is needed.",
    )


def test_files_that_cannot_be_decoded_can_be_refused(pictures, tmp_path):
    data = pictures(a=6, b=6)
    (data / "a" / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 files? cannot be decoded, the first is .*x\.jpg: not a picture"):
        hs.train(data, out=tmp_path / "run", strict=True, **SMALL)


def test_a_class_of_which_nothing_can_be_decoded_is_refused_and_the_store_keeps_the_rest(pictures, tmp_path):
    data = pictures(a=6, b=2)
    for path in (data / "b").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="class 'b' in .* has no pictures"):
        hs.train(data, out=tmp_path / "run", **SMALL)
    pictures(a=6, b=4)
    assert hs.train(data, out=tmp_path / "run", **SMALL).metrics["reused"] == 6


def test_pictures_that_are_all_the_same_leave_none_for_validation(pictures, tmp_path):
    data = pictures(a=3, b=3)
    for name in "ab":
        for path in (data / name).iterdir():
            write_picture(path, make_picture(ord(name)))
    with pytest.raises(DataError, match="no picture is left for validation"):
        hs.train(data, out=tmp_path / "run", **SMALL)


def test_pixels_of_another_kind_are_refused(trained):
    _, run = trained
    for pixels in (np.zeros((1, 32, 32, 3), np.float32), np.zeros((1, 9, 9, 3), np.uint8), np.zeros((0, 32, 32, 3))):
        with pytest.raises(DataError, match=r"uint8 \(pictures, \*\(32, 32, 3\)\) are needed"):
            run.probabilities(pixels)
    assert run.probabilities(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 3)


def test_a_picture_on_both_sides_and_one_in_two_classes_are_reported(pictures, tmp_path, caplog):
    pictures(at="data/train", a=6, b=6)
    pictures(at="data/val", a=3, b=3, first=50)
    (tmp_path / "data/val/a/copy.png").write_bytes((tmp_path / "data/train/a/000.png").read_bytes())
    (tmp_path / "data/train/b/wrong.png").write_bytes((tmp_path / "data/train/a/001.png").read_bytes())
    run = hs.train(tmp_path / "data", out=tmp_path / "run", **SMALL)
    assert run.metrics["duplicates_across_sides"] == 1
    assert "1 pictures are both trained on and evaluated on" in caplog.text
    assert "1 pictures are in more than one class" in caplog.text


def test_classes_called_like_columns_do_not_hide_them(pictures, tmp_path):
    hs.train(pictures(path=6, label=6), out=tmp_path / "run", **SMALL)
    found = rows(tmp_path / "run" / "predictions.csv")[0]
    assert set(found) == {"path", "side", "label", "predicted", "probability", "class path", "class label"}
    assert found["path"].endswith(".png")


def test_a_zip_gives_what_its_folder_gives_and_reuses_its_features(trained, tmp_path, monkeypatch):
    folder, run = trained
    monkeypatch.setenv("HEADSTART_STORE", str(folder / "store"))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted((folder / "data").rglob("*.*")):
            archive.write(file, file.relative_to(folder / "data"))
    zipped = hs.train(tmp_path / "data.zip", out=tmp_path / "run", **SMALL)
    assert (zipped.metrics["extracted"], zipped.metrics["reused"], zipped.metrics["quarantined"]) == (0, 60, 1)
    for name in ("accuracy", "loss", "confusion"):
        assert zipped.metrics[name] == run.metrics[name]
    assert (tmp_path / "run" / "splits.csv").read_bytes() == (folder / "run" / "splits.csv").read_bytes()
    (left_out,) = rows(tmp_path / "run" / "quarantine.csv")
    assert left_out["path"] == f"{tmp_path}/data.zip/red/broken.jpg"
    assert zipped.evaluate(tmp_path / "data.zip").figures == run.evaluate(folder / "data").figures
    labels = [found.label for found in run.predict(folder / "data")]
    assert [found.label for found in zipped.predict(tmp_path / "data.zip")] == labels


def test_a_table_gives_what_its_folder_gives_and_reuses_its_features(trained, tmp_path, monkeypatch):
    folder, run = trained
    monkeypatch.setenv("HEADSTART_STORE", str(folder / "store"))
    files = sorted((folder / "data").rglob("*.*"))
    with open(tmp_path / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((path, path.parent.name) for path in files)])
    by_table = hs.train(tmp_path / "table.csv", out=tmp_path / "run", **SMALL)
    assert (by_table.metrics["extracted"], by_table.metrics["reused"]) == (0, 60)
    for name in ("accuracy", "loss", "confusion", "quarantined"):
        assert by_table.metrics[name] == run.metrics[name]
    assert by_table.evaluate(tmp_path / "table.csv").figures == run.evaluate(folder / "data").figures


def test_groups_are_on_one_side_of_a_run(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setenv("HEADSTART_STORE", str(folder / "store"))
    hs.train(folder / "data", out=tmp_path / "run", group_by="{group}*.png", **SMALL)
    sides: dict[str, set[str]] = {}
    for row in rows(tmp_path / "run" / "splits.csv"):
        sides.setdefault(Path(row["path"]).name[0], set()).add(row["side"])
    assert {len(found) for found in sides.values()} == {1}
    assert set.union(*sides.values()) == {"train", "val"}


def test_the_split_of_an_earlier_run_can_be_given_again(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setenv("HEADSTART_STORE", str(folder / "store"))
    first = hs.train(folder / "data", out=tmp_path / "first", seed=5, test=0.2, **SMALL)
    again = hs.train(folder / "data", out=tmp_path / "again", seed=6, split=tmp_path / "first" / "splits.csv", **SMALL)
    assert again.about["dataset"] == first.about["dataset"]
    assert again.metrics["test"]["n"] == first.metrics["test"]["n"]
    with pytest.raises(DataError, match="no columns digest and side"):
        hs.train(folder / "data", out=tmp_path / "bad", split=tmp_path / "first" / "history.csv", **SMALL)
