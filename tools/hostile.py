"""Send a server what nobody should send, and see that it refuses it, does not grow, and touches no file but its RUN's.

    python tools/hostile.py RUN [--requests 10000] [--seed 0] [--clients 4]

Starts `headstart serve RUN` in an empty folder, with a hook of Python's that writes down every file that is opened, and
sends it pictures that are cut off or damaged, bombs, forms and JSON that are something else, tensors of impossible
shapes, paths that climb, headers without end, bodies without end and connections that end too early. Prints how often
each status came and what memory the server took. The exit code is 1 if it answered with another 5xx than 503, stopped
answering, grew, wrote to disk, opened another file, or ended otherwise than asked to.
"""

import argparse
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz import mutated, pictures

_MARK = "opened: "
_HOOK = """
import os, sys
_TELLING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "subprocess.Popen")
def _tell(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        os.write(2, ("opened: " + repr((os.fsdecode(arguments[0]), arguments[1])) + chr(10)).encode())
    elif event in _TELLING:
        os.write(2, ("opened: " + repr((event, "")) + chr(10)).encode())
sys.addaudithook(_tell)
"""
_CODE = (".py'", ".pyc'")  # of libraries, imported when the first picture of a kind comes
_GROWTH = 40.0
"""MiB that the server may have taken after the second half of the requests more than after the first."""

_SEEDS = [data for data in pictures() if len(data) < 200_000]
_PATHS = (
    "/static/../../../../etc/passwd",
    "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/static/..%5c..%5cwin.ini",
    "//etc/passwd",
    "/static//etc/passwd",
    "/api/models/../../etc/predict",
    "/api/models/%00/predict",
    "/v2/models/%2e%2e/versions/1/infer",
    "/v2/models/" + "a" * 8000 + "/infer",
    "/%ff%fe",
    "/?%s%n%x",
    "/static/page.js/../../model.py",
)


def _request(path: str, body: bytes, kind: str = "image/jpeg", method: str = "POST", more: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if "Content-Length" not in more and "chunked" not in more else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}{more}\r\n"
    return head.encode("latin-1", "replace") + body


def _damaged_picture(chance: Random) -> bytes:
    return _request(f"/api/predict?heatmap={chance.choice(('true', 'false'))}", mutated(_SEEDS, chance))


def _bomb(chance: Random) -> bytes:
    side = chance.choice((8_000, 20_000, 65_535, 2**31 - 1))
    rows = zlib.compress(bytes(1 << 20) * chance.choice((1, 8)), 9)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return _request("/api/predict", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def _form(chance: Random) -> bytes:
    names = ("pictures", "../../x", "a" * 3000, "\x00", "picture")
    part = (
        f'--b\r\nContent-Disposition: form-data; name="{chance.choice(names)}"; '
        f'filename="../{chance.choice(names)}"\r\n'
        f"Content-Type: image/png\r\n\r\n"
    ).encode("latin-1")
    whole = (part + mutated(_SEEDS, chance) + b"\r\n") * chance.choice((1, 2, 70)) + b"--b--\r\n"
    body = mutated([whole], chance) if chance.random() < 0.7 else whole
    kinds = ("b", "", "c", '"b', "b" * 500)
    return _request("/api/predict", body[:400_000], f"multipart/form-data; boundary={chance.choice(kinds)}")


def _json(chance: Random) -> bytes:
    picture = base64.b64encode(mutated(_SEEDS, chance)).decode()
    bodies = (
        json.dumps({"pictures": [picture] * chance.choice((0, 1, 3, 200))}),
        json.dumps({"pictures": chance.choice((None, 1, "x", [1], [None], {"a": 1}, [[picture]]))}),
        '{"pictures":' * 20_000,
        "[" * 100_000,
        '{"pictures": ["' + "A" * 100_000,
        '{"pictures": ["\\ud800"]}',
        json.dumps({"pictures": [], "more": 10**300}),
    )
    body = chance.choice(bodies)[:1_000_000].encode()
    return _request("/api/predict", mutated([body], chance) if chance.random() < 0.3 else body, "application/json")


def _tensors(chance: Random) -> bytes:
    shapes = ([1], [0], [-1], [2**40], [1, 32, 32, 3], [2**31, 2**31, 2**31, 3], [1, 224, 224, 3], [], [1] * 40)
    data = chance.choice(([], [1], ["AAAA"], [[[[1, 2, 3]]]], "x", None, [300], [-1], [1.5], [[1], [1, 2]], [2**70]))
    tensor = {
        "name": chance.choice(("pixels", "pictures", "other")),
        "shape": chance.choice(shapes),
        "datatype": chance.choice(("UINT8", "BYTES", "FP32", "")),
        "data": data,
        "parameters": chance.choice(({}, {"binary_data_size": chance.choice((0, 8, -1, 2**60, "x", True))})),
    }
    asked = {"inputs": [tensor] * chance.choice((0, 1, 1, 1, 2)), "id": chance.choice(("", "a", 1))}
    said = json.dumps(asked).encode()
    rest = chance.choice((b"", b"\xff\xff\xff\xff", bytes(8), struct.pack("<I", 4) + b"\xff\xd8\xff\xe0", bytes(3072)))
    lengths = (str(len(said)), "0", "-1", "9" * 30, "x", str(len(said) + 1))
    more = f"Inference-Header-Content-Length: {chance.choice(lengths)}\r\n" if chance.random() < 0.7 else ""
    name = chance.choice(("run", "MODEL"))
    return _request(f"/v2/models/{name}/infer", said + rest, "application/octet-stream", more=more)


def _path(chance: Random) -> bytes:
    method = chance.choice(("GET", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "PATCH", "HEAD", "BREW"))
    return _request(chance.choice(_PATHS), b"", method=method)


def _query(chance: Random) -> bytes:
    texts = (
        "top=1e9",
        "top=-1",
        "label=%00",
        "min_precision=inf",
        "top=1&top=2",
        "heatmap=",
        "a" * 5000,
        "%",
        "label=%ff",
    )
    return _request(f"/api/predict?{chance.choice(texts)}", chance.choice(_SEEDS))


def _headers(chance: Random) -> bytes:
    more = (
        f"X-A: {'a' * chance.choice((10_000, 100_000, 1_000_000))}\r\n",
        "".join(f"X-{number}: a\r\n" for number in range(chance.choice((100, 5_000)))),
        "Content-Encoding: gzip\r\n",
        "Authorization: Bearer \xff\xfe\r\n",
        "Origin: http://evil.example\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Host: evil.example\r\n",
        "Range: bytes=0-\r\n",
    )
    return _request("/api/predict", chance.choice(_SEEDS), more=chance.choice(more))


def _framing(chance: Random) -> bytes:
    body = chance.choice(_SEEDS)
    texts = (
        _request("/api/predict", body, more="Content-Length: 99999999999999999999\r\n"),
        _request("/api/predict", body, more=f"Content-Length: {len(body) + 100}\r\n"),
        _request("/api/predict", body, more="Content-Length: -5\r\n"),
        _request("/api/predict", body, more="Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        _request("/api/predict", b"ffffffffff\r\n" + body, more="Transfer-Encoding: chunked\r\n"),
        _request("/api/predict", b"5\r\nabc", more="Transfer-Encoding: chunked\r\n"),
        _request("/api/predict", b"1\r\na\r\n" * 3000 + b"0\r\n\r\n", more="Transfer-Encoding: chunked\r\n"),
        _request("/api/predict", b"0\r\n" + b"X-T: a\r\n" * 20_000 + b"\r\n", more="Transfer-Encoding: chunked\r\n"),
        _request("/api/predict", bytes(1 << 20), more="Content-Length: 50000000\r\n"),
        bytes(chance.randrange(256) for _ in range(2000)),
        b"GET /\r\n\r\n",
        b"POST " + b"a" * 100_000,
        body,
    )
    return chance.choice(texts)


_KINDS: tuple[Callable[[Random], bytes], ...] = (
    *(_damaged_picture, _damaged_picture, _bomb, _form, _form, _json, _tensors, _tensors),
    *(_path, _query, _headers, _framing),
)


class Server:
    """`headstart serve` in a folder of its own, with everything that it opens written down."""

    def __init__(self, run: Path, folder: Path):
        self.home = folder / "home"
        hook = folder / "hook"
        for place in (self.home, hook):
            place.mkdir()
        (hook / "sitecustomize.py").write_text(_HOOK)
        paths = [str(hook), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "HEADSTART_STORE": str(self.home / "store"),
        }
        command = [str(Path(sys.executable).parent / "headstart"), "serve", f"run={run.resolve()}", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--timeout", "5"], cwd=self.home, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.port = int(self.process.stdout.readline().partition(" until")[0].rpartition(":")[2])
        send(self.port, _request("/api/predict?heatmap=true", _SEEDS[0]), 20.0)  # what is loaded once is loaded now
        self.before = len(self.opened())
        self.written = self._written()

    def memory(self) -> float:
        """Resident, in MiB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def opened(self) -> list[str]:
        """Everything that was opened, one a line."""
        return [line.removeprefix(_MARK).strip() for line in list(self.said) if line.startswith(_MARK)]

    def faults(self, run: Path) -> list[str]:
        """What it did to files since it started."""
        others = {line for line in self.opened()[self.before :] if str(run.resolve()) not in line}
        found = sorted(line for line in others if not any(code in line for code in _CODE))
        found += [f"{path} is there" for path in self.home.rglob("*")]
        grown = self._written() - self.written
        return found + ([f"{grown:,} bytes were written to disk"] if grown else [])

    def _written(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def send(port: int, request: bytes, seconds: float = 8.0) -> str:
    """Send bytes and give the status of the answer; `closed` where there is none, `silent` where nothing comes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
            try:
                line.sendall(request)
                line.shutdown(socket.SHUT_WR)  # who says more than it sends would wait for the server's patience to end
            except OSError:
                pass  # it has said already what it thinks of it, perhaps
            answer = line.recv(1000).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") or line.recv(1000)
            return answer[9:12].decode("latin-1") if answer else "closed"
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"


def _attack(server: Server, seeds: range, clients: int) -> Counter[str]:
    """Send one request for each seed, from several threads."""
    found: Counter[str] = Counter()
    numbers, lock = iter(seeds), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            chance = Random(number)
            kind = chance.choice(_KINDS)
            status = send(server.port, kind(chance))
            with lock:
                found[status] += 1
                if status in ("500", "silent"):
                    print(f"{kind.__name__} of seed {number}: {status}", file=sys.stderr)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> int:
    """Attack and tell."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path)
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--clients", type=int, default=4)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(given.run, Path(folder))
        memory, statuses, began = [server.memory()], Counter[str](), time.perf_counter()
        for quarter in range(4):
            first = given.seed + quarter * given.requests // 4
            statuses += _attack(server, range(first, given.seed + (quarter + 1) * given.requests // 4), given.clients)
            memory.append(server.memory())
        seconds = time.perf_counter() - began
        alive = send(server.port, _request("/api/predict", _SEEDS[0]), 20.0)
        faults = server.faults(given.run)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=60)
        errors = [line.strip() for line in server.said if "Traceback" in line]
    print(
        f"{given.requests:,} requests in {seconds:.0f} s: "
        + ", ".join(f"{k} {n:,}" for k, n in sorted(statuses.items()))
    )
    print("MiB after each quarter: " + ", ".join(f"{value:.0f}" for value in memory))
    faults += [
        f"{status} came {count} times" for status, count in statuses.items() if status[0] == "5" and status != "503"
    ]
    faults += [] if alive == "200" else [f"a sound picture gets {alive} afterwards"]
    faults += [] if memory[-1] - memory[2] < _GROWTH else [f"it grew by {memory[-1] - memory[2]:.0f} MiB"]
    faults += [] if server.process.returncode == 0 else [f"it ended with {server.process.returncode}"]
    faults += [f"it said: {line}" for line in errors[:20]]
    for fault in faults:
        print(f"FAULT: {fault}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
