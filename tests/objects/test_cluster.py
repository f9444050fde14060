"""Workers of a cluster read pictures from object storage and keep features there."""

import os
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.features.store import Store

ray = pytest.importorskip("ray")


@pytest.mark.slow
def test_features_of_a_cluster_in_object_storage_are_those_of_a_folder(
    bucket, remote_store, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = pictures(red=20, green=20)
    address = bucket.put_folder(data, "pictures")
    choices = {"backbone": "nano", "image_size": 64, "progress": False}
    monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "local"))
    hs.export_features(data, tmp_path / "local.npz", **choices)
    monkeypatch.setenv("HEADSTART_STORE", remote_store)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # its workers see this environment
    try:
        with hs.RayEngine() as engine:
            done = hs.export_features(address, tmp_path / "cluster.npz", engine=engine, **choices)
    finally:
        ray.shutdown()
    with np.load(tmp_path / "local.npz") as here, np.load(tmp_path / "cluster.npz") as there:
        assert np.array_equal(here["features"], there["features"])
        assert [os.path.basename(path) for path in here["paths"]] == [os.path.basename(path) for path in there["paths"]]
    assert (done.extracted, done.reused) == (40, 0)
    assert [len(space.refresh()) for space in Store(remote_store).spaces()] == [40]
    assert hs.export_features(address, tmp_path / "again.npz", **choices).extracted == 0  # this process finds it there
