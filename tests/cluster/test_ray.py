"""A Ray cluster does what this process does alone, to the last bit, in the same store."""

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import headstart as hs
from headstart.cli.main import cli
from headstart.cluster.worker import ERROR, PATH, Extracting, Extractor
from headstart.errors import InputError
from headstart.features.convert import FrozenRuntime
from headstart.features.store import Space, Store
from headstart.images.decode import DecodeRecipe

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def engine() -> Iterator[hs.RayEngine]:
    """Three workers; one, where each needs a GPU, of which the cluster believes that there is one."""
    ray.init("local", num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False)
    with hs.RayEngine(workers=3) as found:
        yield found
    ray.shutdown()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Go on with another store."""
    return lambda name: monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / name))


def exported(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as found:
        return dict(found)


def features(data: Path, out: Path, **choices: object) -> tuple[dict[str, np.ndarray], object]:
    done = hs.export_features(data, out, backbone="nano", image_size=64, progress=False, force=True, **choices)
    return exported(out), done


def test_three_workers_keep_bit_for_bit_what_this_process_keeps(pictures, engine, elsewhere, tmp_path):
    data = pictures(red=40, green=40)
    (data / "red" / "broken.png").write_bytes(b"\x89PNG and no more")
    elsewhere("local")
    alone, here = features(data, tmp_path / "alone.npz")
    elsewhere("ray")
    together, there = features(data, tmp_path / "together.npz", engine=engine)
    assert alone.keys() == together.keys()
    assert [name for name in alone if not np.array_equal(alone[name], together[name])] == []
    assert (there.extracted, there.reused) == (here.extracted, here.reused) == (80, 0)
    assert [(bad.path, bad.reason) for bad in there.quarantined] == [(bad.path, bad.reason) for bad in here.quarantined]


@pytest.fixture
def on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is frozen is said to run on a GPU, 32 pictures at once; it runs on the processor."""
    pack = FrozenRuntime.pack
    monkeypatch.setattr(FrozenRuntime, "pack", lambda frozen: replace(pack(frozen), on_accelerator=True))


def test_a_worker_with_a_gpu_keeps_what_this_process_keeps(pictures, engine, elsewhere, on_gpus, tmp_path):
    data = pictures(red=20, green=20)
    elsewhere("local")
    alone, _ = features(data, tmp_path / "alone.npz")
    elsewhere("ray")
    together, there = features(data, tmp_path / "together.npz", engine=engine)
    assert there.extracted == 40
    assert np.array_equal(alone["features"], together["features"])


@pytest.mark.slow
def test_a_cluster_without_gpus_says_so(pictures, engine, on_gpus, monkeypatch, store, tmp_path):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 3.0})
    with pytest.raises(InputError, match="has no GPU"):
        features(pictures(red=4, green=4), tmp_path / "none.npz", engine=engine)


@pytest.mark.slow
def test_a_cluster_and_a_process_warm_each_other(pictures, engine, elsewhere, tmp_path):
    data = pictures(red=12, green=12)
    elsewhere("by the cluster")
    features(data, tmp_path / "a.npz", engine=engine)
    _, after = features(data, tmp_path / "b.npz")
    assert (after.extracted, after.reused) == (0, 24)
    elsewhere("by this process")
    features(data, tmp_path / "c.npz")
    pictures(first=12, red=3)
    _, after = features(data, tmp_path / "d.npz", engine=engine)
    assert (after.extracted, after.reused) == (3, 24)


@pytest.mark.slow
def test_a_training_on_a_cluster_has_the_figures_of_one_without(pictures, engine, elsewhere, tmp_path):
    data = pictures(red=30, green=30)
    choices = {"backbone": "nano", "image_size": 64, "strategy": "head", "head": "linear", "progress": False}
    elsewhere("local")
    alone = hs.train(data, out=tmp_path / "alone", **choices)
    elsewhere("ray")
    together = hs.train(data, out=tmp_path / "together", engine=engine, **choices)
    assert [together.metrics[name] for name in ("accuracy", "loss", "n", "extracted")] == [
        alone.metrics[name] for name in ("accuracy", "loss", "n", "extracted")
    ]
    assert (tmp_path / "together" / "predictions.csv").read_bytes() == (
        tmp_path / "alone" / "predictions.csv"
    ).read_bytes()


@pytest.mark.slow
def test_predictions_come_in_the_order_of_the_pictures(pictures, engine, tmp_path):
    data = pictures(red=30, green=30)
    run = hs.train(
        data, out=tmp_path / "run", backbone="nano", image_size=64, strategy="head", head="linear", progress=False
    )
    (tmp_path / "new.png").write_bytes(b"nothing")
    names = [str(path) for path in sorted(data.rglob("*.png"), key=lambda path: path.name)]
    paths = [*names[:20], str(tmp_path / "new.png"), *names[20:]]
    alone, together = list(run.stream(paths)), list(engine.stream(run, paths))
    assert [one.path for one in together] == paths
    assert together[20] == alone[20]
    found, expected = ([one.probabilities for one in several if hasattr(one, "label")] for several in (together, alone))
    assert len(found) == 60
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.slow
def test_damaged_rows_are_computed_again(pictures, engine, tmp_path, store, caplog):
    data = pictures(red=12, green=12)
    before, _ = features(data, tmp_path / "a.npz", engine=engine)
    for space in Store().spaces():
        for shard in space.path.glob("*.safetensors"):
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 1  # in the features, which are most of it
            shard.write_bytes(content)
    after, done = features(data, tmp_path / "b.npz", engine=engine)
    assert done.extracted >= 1
    assert np.array_equal(before["features"], after["features"])
    assert "were damaged" in " ".join(record.getMessage() for record in caplog.records)


@pytest.mark.slow
def test_a_comparison_by_a_cluster_has_the_rows_of_one_without(pictures, engine, elsewhere):
    data = pictures(red=40, green=40)
    choices = {"backbones": ["nano@48", "nano@64"], "progress": False}
    elsewhere("local")
    alone = hs.compare(data, **choices)
    elsewhere("ray")
    together = hs.compare(data, engine=engine, **choices)
    assert [(row.name, row.accuracy, row.loss) for row in together.rows] == [
        (row.name, row.accuracy, row.loss) for row in alone.rows
    ]
    assert together.extracted == alone.extracted > 0


@pytest.mark.slow
def test_names_that_are_no_text_are_read_by_workers_too(pictures, engine, elsewhere, tmp_path):
    data = pictures(red=6, green=6)
    first = data / "red" / "000.png"
    os.rename(first, os.fsencode(first) + b"\xff")
    _, done = features(data, tmp_path / "a.npz", engine=engine)
    assert (done.pictures, done.extracted) == (12, 12)


def worker(task: Extracting) -> Extractor:
    made = Extractor.__new__(Extractor)  # its constructor wants a cluster
    made.task = task
    return made


def error_of(made: Extractor, path: Path) -> Exception:
    found = made({PATH: np.array([os.fsencode(path)], object)})[ERROR][0]
    return pickle.loads(found)


def test_a_worker_that_does_not_see_the_pictures_says_so(tmp_path):
    found = error_of(worker(Extracting(str(tmp_path / "gone.png"))), tmp_path / "gone.png")
    assert str(found).startswith(f"{tmp_path / 'gone.png'} is not to be seen from ")
    assert str(found).endswith(
        "Put the pictures where all machines see them under the same path, or into object storage."
    )


def test_a_worker_that_does_not_see_the_store_says_so(pictures, tmp_path):
    path = next(pictures(red=1).rglob("*.png"))
    from headstart.features.packed import pack_pixels

    task = Extracting(str(path), DecodeRecipe(32, 32), None, pack_pixels(), lambda: Space(tmp_path / "store"))
    assert str(error_of(worker(task), path)).startswith(f"the store {tmp_path / 'store'} is not to be seen from ")


def test_without_ray_the_command_says_what_to_install(monkeypatch, pictures, tmp_path):
    monkeypatch.setattr("headstart.cluster.cluster.is_installed", lambda name: False)
    arguments = ["train", str(pictures(red=4, green=4)), "--out", str(tmp_path / "run"), "--engine", "ray"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "--engine ray needs headstart[ray]. Install it with: pip install 'headstart[ray]'" in done.stderr


@pytest.mark.parametrize("option", ["--address=1.2.3.4:6379", "--workers=2"])
def test_options_of_a_cluster_are_refused_without_one(option, pictures, tmp_path):
    arguments = ["train", str(pictures(red=4, green=4)), "--out", str(tmp_path / "run"), option]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "--address and --workers are for --engine ray." in done.stderr
