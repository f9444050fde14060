"""The server as a process: how it begins and ends, and what it does with connections that are no good."""

import importlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import click
import pytest

from headstart.cli.serve import _named, _Size
from headstart.errors import InputError
from tests.serving.conftest import CLASSES, Process, picture, write_run

TOOLS = Path(__file__).parents[2] / "tools"


def request(content: bytes, **headers: str) -> bytes:
    said = {"Host": "localhost", "Content-Type": "image/png", "Content-Length": str(len(content))}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"POST /api/predict HTTP/1.1\r\n{lines}\r\n".encode() + content


def answer_in(line: socket.socket) -> tuple[int, dict]:
    """Read one answer."""
    status, said, _ = whole_answer_in(line)
    return status, said


def whole_answer_in(line: socket.socket) -> tuple[int, dict, bytes]:
    """Read one answer, with its headers."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = line.recv(65536)
        if not piece:
            raise ConnectionError("no answer")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    while len(body) < length:
        body += line.recv(65536)
    return int(head[9:12]), json.loads(body), head.lower()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_a_process_serves_without_keras_and_ends_well_and_logs_nothing(start, run_folder):
    server = start(run_folder, f"other={run_folder}")
    assert server.said == f"Serving colours, other at http://127.0.0.1:{server.port} until Ctrl-C.\n"
    with connect(server.port) as line:
        for hue in range(3):
            line.sendall(request(picture(hue)))
            status, said = answer_in(line)
            assert (status, said["predictions"][0]["label"]) == (200, CLASSES[hue])
    mapped = Path(f"/proc/{server.pid}/maps").read_text()
    assert "tensorflow" not in mapped
    assert "h5py" not in mapped
    server.terminate()
    assert server.ended() == (0, "")


def test_neither_keras_nor_what_trains_is_imported_to_serve():
    code = "import headstart.serving.server, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"keras", "tensorflow", "sklearn", "scipy", "h5py", "jinja2", "pandas"}


def test_every_accepted_request_is_answered_when_the_server_is_told_to_end(start, run_folder):
    """Clients on open connections, each of which sends its next request as soon as the last one is answered."""
    server = start(run_folder)
    outcomes: Counter[str] = Counter()
    ended, lock = threading.Event(), threading.Lock()

    def client(number: int) -> None:
        content = request(picture(number % 3))
        while not ended.is_set():
            try:
                line = connect(server.port)
            except OSError:
                return  # it does not accept any more
            with line:
                outcome = _talk(line, content, CLASSES[number % 3])
            with lock:
                outcomes.update(outcome)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    server.terminate()
    code, errors = server.ended()
    ended.set()
    for thread in threads:
        thread.join()
    assert (code, errors) == (0, "")
    assert outcomes["answered"] > 8
    assert outcomes["lost"] == 0
    assert outcomes["wrong"] == 0


def _talk(line: socket.socket, content: bytes, label: str) -> Counter[str]:
    """Send requests until the server says that it closes the connection; each that was sent before was accepted."""
    found: Counter[str] = Counter()
    while True:
        try:
            line.sendall(content)
        except OSError:
            return found
        try:
            status, said, head = whole_answer_in(line)
        except OSError:
            found["lost"] += 1
            return found
        if status == 503:
            found["busy"] += 1
        else:
            right = status == 200 and said["predictions"][0]["label"] == label
            found["answered" if right else "wrong"] += 1
        if b"connection: close" in head:
            return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_that_is_half_sent_when_the_server_is_told_to_end_is_answered(start, run_folder, number):
    server = start(run_folder)
    content = request(picture(1))
    with connect(server.port) as line:
        line.sendall(content[:-50])
        time.sleep(0.2)
        server._process.send_signal(number)
        time.sleep(0.5)
        line.sendall(content[-50:])
        status, said = answer_in(line)
        assert (status, said["predictions"][0]["label"]) == (200, "green")
        assert line.recv(10) == b""
    assert server.ended()[0] == 0


def test_the_hangup_signal_opens_runs_anew(start, tmp_path):
    run = write_run(tmp_path / "run")
    server = start(run)
    with connect(server.port) as line:
        line.sendall(request(picture()))
        before = answer_in(line)[1]["predictions"][0]["probability"]
        subprocess.run(["rm", "-r", str(run)], check=True)
        write_run(run, sharpness=1.0)
        server._process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            line.sendall(request(picture()))
            after = answer_in(line)[1]["predictions"][0]["probability"]
            if after < before:
                break
        assert after < before


@pytest.fixture(scope="module")
def server(run_folder):
    process = Process(run_folder, "--timeout", "1", "--max-body", "100kB")
    yield process
    process.kill()


def _status(server, content: bytes) -> int:
    with connect(server.port) as line:
        line.sendall(content)
        return answer_in(line)[0]


def test_headers_without_end_end_the_connection(server):
    for headers in (b"X-A: " + b"a" * 200_000, b"X-A: a\r\n" * 20_000, b"a" * 200_000):
        assert _status(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + headers) in (400, 431)


def test_trailers_without_end_end_the_connection(server):
    begin = request(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
    with connect(server.port) as line:
        line.sendall(begin + b"1\r\na\r\n0\r\n")
        with pytest.raises(ConnectionError):
            _send_trailers(line)


def _send_trailers(line: socket.socket) -> None:
    for _ in range(500):
        line.sendall(b"X-A: " + b"a" * 1000 + b"\r\n")
        time.sleep(0.001)


def test_a_body_that_does_not_come_is_not_waited_for(server):
    with connect(server.port) as line:
        line.sendall(request(picture())[:-10])
        status, said = answer_in(line)
    assert status == 408
    assert said == {"error": "the body did not come within 1 seconds."}


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    with connect(server.port) as line:
        line.sendall(request(b"", Expect="100-continue", Content_Length="100001"))
        status, said = answer_in(line)
    assert status == 413
    assert said == {"error": "the body is larger than 100,000 bytes, which is the limit here."}


def test_who_says_no_more_is_still_answered(server):
    with connect(server.port) as line:
        line.sendall(request(picture(2)))
        line.shutdown(socket.SHUT_WR)
        assert answer_in(line)[1]["predictions"][0]["label"] == "blue"


def test_clients_that_hang_up_are_not_an_error_of_the_server(start, run_folder):
    server = start(run_folder)
    for _ in range(5):
        with connect(server.port) as line:
            line.sendall(request(picture())[:-10])
    assert _status(server, request(picture())) == 200
    server.terminate()
    assert server.ended() == (0, "")


def test_a_port_that_is_taken_is_told_before_anything_is_opened(server, tmp_path):
    command = [str(Path(sys.executable).parent / "headstart"), "serve", str(tmp_path), "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: cannot listen at 127.0.0.1, port {server.port}: Address already in use. "
        "Give another --host or --port.\n"
    )


def test_what_is_no_run_is_told_in_one_line(tmp_path):
    command = [str(Path(sys.executable).parent / "headstart"), "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"Error: {tmp_path} is not a RUN: it has no bundle.json. Give the folder that --out has written.\n"
    )


def test_whoever_lets_everybody_in_is_warned(start, run_folder):
    server = start(run_folder, "--host", "0.0.0.0")
    server.terminate()
    assert server.ended()[1] == ("Warning: anybody who reaches 0.0.0.0 may ask; --token lets in only who knows it.\n")
    server = start(run_folder, "--host", "0.0.0.0", HEADSTART_TOKEN="secret")
    assert _status(server, request(picture())) == 401
    server.terminate()
    assert server.ended()[1] == ""


def test_names_of_models(tmp_path):
    assert _named([str(tmp_path / "a"), f"b={tmp_path}/a"]) == {"a": tmp_path / "a", "b": tmp_path / "a"}
    odd = tmp_path / "x=y"
    odd.mkdir()
    assert list(_named([str(odd)])) == ["x=y"]
    with pytest.raises(InputError, match="two RUNs are called 'a'; give NAME=RUN for one of them."):
        _named([str(tmp_path / "a"), str(tmp_path / "b" / "a")])
    with pytest.raises(InputError, match="'a/b' cannot be the name of a model; give NAME=RUN with a plain name."):
        _named([f"a/b={tmp_path}"])


@pytest.mark.slow
def test_nothing_hostile_makes_it_fail_grow_or_touch_a_file(run_folder):
    command = [sys.executable, str(TOOLS / "hostile.py"), str(run_folder), "--requests", "10000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_hostile_makes_it_fail_in_short(run_folder):
    command = [sys.executable, str(TOOLS / "hostile.py"), str(run_folder), "--requests", "200", "--seed", "77000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("text", "size"), [("20MB", 20_000_000), ("100kb", 100_000), ("5", 5), ("1_000B", 1000)])
def test_sizes_are_numbers_with_units(text, size):
    assert _Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["0", "-1", "MB", "1.5MB", "many", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no size; give one like 20MB"):
        _Size().convert(text, None, None)


@pytest.mark.slow
def test_under_far_too_much_load_everything_is_answered_or_refused_and_memory_stays(server, run_folder, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS.parent / "benchmarks"))
    load = importlib.import_module("serving")
    requests = [request(picture(number % 3, seed=number)) for number in range(30)]
    load.loaded(server.port, requests, server.pid, 3, 16, None)
    before = load._memory_of(server.pid)
    seen = load.loaded(server.port, requests, server.pid, 10, 0, 4000.0)
    assert seen.statuses["200"] > 100
    assert set(seen.statuses) <= {"200", "503"}
    assert load._memory_of(server.pid) - before < 30
    assert _status(server, request(picture())) == 200
