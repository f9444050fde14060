"""The commands with addresses in place of folders."""

import json
import shutil
import sys

import numpy as np
import pytest
from click.testing import CliRunner, Result

from headstart.cli.main import cli
from headstart.features.store import Store
from headstart.loading import load_keras

SMALL = ("--backbone", "nano", "--image-size", "32", "--precision", "f32", "--strategy", "head", "--head", "linear")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def printed(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line.removeprefix("Error: ")


def test_what_is_written_stays_on_this_machine(bucket, pictures, tmp_path):
    address = bucket.put_folder(pictures(red=2, green=2), "f")
    for what, command in {
        "a RUN": ("predict", f"{bucket.url}/out", "x.jpg"),
        "what is written": ("export-features", address, "--out", f"{bucket.url}/out"),
    }.items():
        assert refused(*command) == (
            f"{what} cannot be in object storage, as {bucket.url}/out is. Give a folder on this machine, and copy it."
        )


def test_without_pyarrow_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refused("evaluate", "run", "s3://bucket/f").startswith("no such RUN")
    said = "needs headstart[objects]. Install it with: pip install 'headstart[objects]'"
    assert refused("audit", "s3://bucket/f", "--no-features") == f"s3://bucket {said}"
    monkeypatch.setenv("HEADSTART_STORE", "gs://bucket/store")
    assert refused("cache", "list") == f"gs://bucket {said}"


def test_cache_commands_look_after_the_bucket(bucket, remote_store):
    Store().space({"a": 1}, {"backbone": "nano"}).append(["ab" * 20], [np.zeros((1, 4), np.float32)])
    found = printed("cache", "list")
    assert found["store"] == remote_store
    assert [(space["backbone"], space["pictures"]) for space in found["spaces"]] == [("nano", 1)]
    assert printed("cache", "verify") == {"spaces": 1, "pictures": 1, "damaged": 0}
    assert printed("cache", "prune", "--all")["freed"] > 0
    assert bucket.keys() == []


@pytest.mark.slow
def test_a_training_from_a_bucket_with_a_store_in_it_is_the_one_from_a_folder(
    bucket, remote_store, pictures, tmp_path, monkeypatch
):
    load_keras("tests")
    folder = pictures(red=20, green=20)
    address = bucket.put_folder(folder, "pictures")
    there = printed("train", address, "--out", tmp_path / "there", *SMALL)
    assert (there["extracted"], there["reused"], there["data"]) == (40, 0, address)
    here = printed("train", folder, "--out", tmp_path / "here", *SMALL)  # the same store
    assert (here["extracted"], here["reused"]) == (0, 40)
    shutil.rmtree(Store().root)  # and now another machine
    again = printed("train", address, "--out", tmp_path / "again", *SMALL)
    assert (again["extracted"], again["reused"]) == (0, 40)
    monkeypatch.setenv("HEADSTART_STORE", str(tmp_path / "store"))
    alone = printed("train", folder, "--out", tmp_path / "alone", *SMALL)  # as if there were no buckets
    assert (alone["extracted"], alone["reused"]) == (40, 0)
    for name in ("splits.csv", "predictions.csv"):
        contents = {(tmp_path / run / name).read_bytes() for run in ("there", "here", "again", "alone")}
        assert len(contents) == 1
    assert {found["accuracy"] for found in (there, here, again, alone)} == {alone["accuracy"]}
    judged = printed("evaluate", tmp_path / "alone", address)
    assert judged == printed("evaluate", tmp_path / "alone", folder) | {"data": address, "seconds": judged["seconds"]}
    predicted = printed("predict", tmp_path / "alone", f"{address}/red", f"{address}/green/000.png")
    assert predicted["predictions"][-1]["path"] == f"{address}/green/000.png"
    assert len(predicted["predictions"]) == 21
    compared = printed("compare", address, "--backbones", "nano@32", "--sample", "20")
    assert compared["pictures"] == 34  # that can be learned from
    exported = printed("export-features", address, "--out", tmp_path / "f.npz", *SMALL[:6])
    assert (exported["pictures"], exported["extracted"]) == (40, 0)
    unwanted = refused("train", address, "--out", f"{bucket.url}/run", *SMALL)
    assert unwanted.startswith("what is written cannot be in object storage")
