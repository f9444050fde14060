"""What is too much is refused at once, and what was let in is answered."""

import asyncio
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headstart.bundle import Run
from headstart.serving.batcher import Batcher, ExpiredError
from headstart.serving.limits import Limits
from tests.serving.conftest import CLASSES, client_of, picture


def post(client, content: bytes, **headers: str):
    return client.post("/api/predict", content=content, headers={"Content-Type": "image/png", **headers})


@pytest.fixture(scope="module")
def strict(run_folder):
    with client_of(run_folder, limits=Limits(body_bytes=20_000, pixels=10_000, pictures=3, queue=2)) as client:
        yield client


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(strict):
    answer = post(strict, bytes(20_001))
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body is larger than 20,000 bytes, which is the limit here."}


def test_a_body_that_does_not_say_how_large_it_is_is_counted(strict):
    def endless():
        for _ in range(100):
            yield bytes(1000)

    answer = strict.post("/api/predict", content=endless(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 413


def test_too_many_pictures_in_one_request_are_refused(strict):
    four = [("pictures", (f"{n}.png", b"x", "image/png")) for n in range(4)]
    answer = strict.post("/api/predict", files=four)
    assert answer.status_code == 413
    assert answer.json() == {"error": "more than 3 pictures in one request, which is the limit here."}


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(strict):
    answer = post(strict, picture(size=(101, 100)))
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "the picture cannot be decoded: 100x101 pixels are more than the limit of 10,000 here"
    }
    assert post(strict, picture(size=(100, 100))).status_code == 200


def test_a_bomb_is_refused_without_being_decoded(client):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    began = time.perf_counter()
    answer = post(client, bomb)
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "the picture cannot be decoded: a PNG with more than the limit of 178,956,970 pixels"
    }
    assert time.perf_counter() - began < 5


def test_compressed_bodies_are_not_unpacked(client):
    answer = post(client, zlib.compress(picture()), **{"Content-Encoding": "gzip"})
    assert answer.status_code == 415


class _Held:
    """A network that computes nothing before it may."""

    def __init__(self, monkeypatch):
        self.may, self.begun = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        answers = Run.answers

        def held(run: Run, pixels: np.ndarray):
            self.begun.set()
            assert self.may.wait(30)
            self.sizes.append(len(pixels))
            return answers(run, pixels)

        self.patch = lambda: monkeypatch.setattr(Run, "answers", held)


def test_what_comes_while_the_queue_is_full_is_refused_at_once_and_the_others_are_answered(run_folder, monkeypatch):
    held = _Held(monkeypatch)
    with client_of(run_folder, limits=Limits(queue=3)) as client, ThreadPoolExecutor(3) as threads:
        held.patch()
        waiting = [threads.submit(post, client, picture(hue)) for hue in range(3)]
        _until(lambda: "headstart_requests_under_way 3.0" in client.get("/metrics").text)
        began = time.perf_counter()
        refused = post(client, picture())
        assert time.perf_counter() - began < 1
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.json() == {
            "error": "too busy: 3 requests are under way, and no more are taken. Try again in a second."
        }
        held.may.set()
        labels = [one.result().json()["predictions"][0]["label"] for one in waiting]
        assert labels == list(CLASSES)
        assert post(client, picture()).status_code == 200


def test_requests_of_several_clients_are_computed_together(run_folder, monkeypatch):
    held = _Held(monkeypatch)
    with client_of(run_folder) as client, ThreadPoolExecutor(9) as threads:
        held.patch()
        waiting = [threads.submit(post, client, picture(number % 3, seed=number)) for number in range(9)]
        _until(lambda: "headstart_pictures_under_way 9.0" in client.get("/metrics").text)
        time.sleep(0.2)  # for all of them to be decoded
        held.may.set()
        labels = [one.result().json()["predictions"][0]["label"] for one in waiting]
    assert labels == [CLASSES[number % 3] for number in range(9)]
    assert sum(held.sizes) == 9
    assert len(held.sizes) <= 3


def test_a_request_whose_time_is_over_is_refused_and_not_computed(run_folder, monkeypatch):
    held = _Held(monkeypatch)
    with client_of(run_folder, limits=Limits(seconds=0.3)) as client, ThreadPoolExecutor(2) as threads:
        held.patch()
        first = threads.submit(post, client, picture(0))
        assert held.begun.wait(30)
        second = threads.submit(post, client, picture(1))
        for one in (first, second):
            assert one.result().status_code == 503
            assert one.result().json()["error"].startswith("too busy: it was not this request's turn in time.")
        held.may.set()
        assert post(client, picture()).status_code == 200
    assert held.sizes == [1, 1]  # the one that had been begun, and the last


def _until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_batcher_gives_each_its_own_result_and_goes_on_after_errors():
    def compute(items):
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]

    async def run():
        loop, batcher = asyncio.get_running_loop(), Batcher(compute, 1, "test")
        answers = [loop.create_future() for _ in range(4)]
        for item, answer in zip(("a", "bad", "b"), answers, strict=False):
            batcher.put(item, answer, time.monotonic() + 10)
        batcher.put("late", answers[3], time.monotonic() - 1)
        found = await asyncio.gather(*answers, return_exceptions=True)
        batcher.close()
        return found

    first, bad, second, late = asyncio.run(run())
    assert (first, second) == ("A", "B")
    assert isinstance(bad, ValueError)
    assert isinstance(late, ExpiredError)


def test_a_closed_batcher_still_computes_what_waits():
    async def run():
        loop = asyncio.get_running_loop()
        batcher = Batcher(lambda items: items, 2, "test")
        answers = [loop.create_future() for _ in range(7)]
        for number, answer in enumerate(answers):
            batcher.put(number, answer, time.monotonic() + 10)
        batcher.close()
        return await asyncio.gather(*answers)

    assert asyncio.run(run()) == list(range(7))
