"""A RUN that has changed takes the place of the one before; who was asked before still answers."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headstart.bundle import Run
from headstart.errors import RunError
from headstart.serving import models as models_file
from headstart.serving.model import open_model
from tests.serving.conftest import client_of, picture, write_run
from tests.serving.test_limits import _until, post


@pytest.fixture
def own(tmp_path):
    return write_run(tmp_path / "own")


def replace(folder, sharpness: float) -> None:
    """Write another RUN in the place of one."""
    other = write_run(folder.parent / f"new-{sharpness}", sharpness)
    shutil.rmtree(folder)
    os.rename(other, folder)


def surety(answer) -> float:
    return answer.json()["predictions"][0]["probability"]


def test_a_run_is_opened_anew_when_it_is_told_to(own):
    with client_of(own) as client:
        before = surety(post(client, picture()))
        replace(own, 1.0)
        assert surety(post(client, picture())) == before
        assert client.post("/api/models/own/reload").json() == {"model": "own", "reloaded": True}
        assert surety(post(client, picture())) < before


def test_a_run_is_opened_anew_when_its_bundle_changes(own, monkeypatch):
    monkeypatch.setattr(models_file, "_SECONDS_BETWEEN_LOOKS", 0.05)
    with client_of(own, watch=True) as client:
        before = surety(post(client, picture()))
        replace(own, 1.0)
        _until(lambda: surety(post(client, picture())) < before)


def test_a_run_that_cannot_be_used_leaves_the_one_before_in_its_place(own, monkeypatch):
    monkeypatch.setattr(models_file, "_SECONDS_BETWEEN_LOOKS", 0.05)
    with client_of(own, watch=True) as client:
        before = surety(post(client, picture()))
        (own / "runtime" / "frozen.bin").write_bytes(b"damaged")
        answer = client.post("/api/models/own/reload")
        assert answer.status_code == 422
        assert "frozen.bin is damaged" in answer.json()["error"]
        (own / "bundle.json").write_text("{")
        _until(lambda: 'headstart_reloads_total{model="own",outcome="failed"}' in client.get("/metrics").text)
        shutil.rmtree(own)
        assert surety(post(client, picture())) == before


def test_who_is_being_answered_is_answered_by_the_run_that_was_asked(own, monkeypatch):
    may, entered = threading.Event(), threading.Event()
    answers, seen = Run.answers, []

    def held(run, pixels):
        seen.append(run)
        if run is seen[0]:
            entered.set()
            assert may.wait(30)
        return answers(run, pixels)

    with client_of(own) as client, ThreadPoolExecutor(1) as thread:
        before = surety(post(client, picture()))
        monkeypatch.setattr(Run, "answers", held)
        waiting = thread.submit(post, client, picture())
        assert entered.wait(30)
        replace(own, 1.0)
        assert client.post("/api/models/own/reload").status_code == 200
        assert surety(post(client, picture())) < before
        may.set()
        assert surety(waiting.result()) == before


def test_old_models_leave_no_threads_behind(own):
    with client_of(own) as client:
        post(client, picture())
        for _ in range(5):
            assert client.post("/api/models/own/reload").status_code == 200
        _until(lambda: sum(thread.name == "model own" for thread in threading.enumerate()) == 1)


def test_a_run_that_only_keras_could_run_is_refused(own):
    about = own / "bundle.json"
    content = json.loads(about.read_text())
    content["digests"] = {"model.keras": content["digests"]["model.keras"]}
    about.write_text(json.dumps(content))
    with pytest.raises(RunError, match="has no runtime/ that OpenVINO could run, and nothing is served by Keras"):
        open_model("own", own)
