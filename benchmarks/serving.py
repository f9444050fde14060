"""A server under load: throughput against raw decoding and computing, five times too much, memory, start.

    python benchmarks/serving.py DATA [--run RUN] [--backbone mobilenet_v2] [--seconds 60] [--form] [--out FILE]

Trains a head on DATA first, unless a RUN is given. The server is a process of its own, and so is the client, which is
this one; both share the machine's cores, and the table says what share of the time each of them took. Raw is a third
process that decodes and computes the same files as fast as it can. Prints a table in Markdown; nothing else should run
on the machine meanwhile.
"""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import headstart, spent
from pictures import jpegs
from report import Report, parser, table

RAW = """
import sys, time
import numpy as np
from headstart.bundle import Run
from headstart.features.extract import in_batches, load_pictures
run, seconds, paths = Run(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
def once():
    for batch in in_batches(load_pictures(paths, run.decode_recipe)):
        run.answers(np.stack([pixels for _, pixels in batch]))
once()
began, spent, done = time.perf_counter(), time.process_time(), 0
while time.perf_counter() < began + seconds:
    once()
    done += len(paths)
print(done / (time.perf_counter() - began), (time.process_time() - spent) / done)
"""
_MOST_CONNECTIONS = 400


@dataclass
class Seen:
    """What a client has seen.

    Attributes:
        statuses: how often each came; `failed` where the connection ended without an answer.
        seconds: of every answer with a prediction.
        unsent: requests that were due while every connection waited.
        elapsed: seconds in all.
        client: processor seconds of this process.
        server: those of the server.
        memory: of the server, resident, in MiB, each second.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    unsent: int = 0
    elapsed: float = 0.0
    client: float = 0.0
    server: float = 0.0
    memory: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Predictions a second."""
        return len(self.seconds) / self.elapsed

    def quantile(self, share: float) -> float:
        """So many of the predictions came within so many seconds."""
        return sorted(self.seconds or [float("nan")])[
            min(max(0, len(self.seconds) - 1), int(share * len(self.seconds)))
        ]


class Line(asyncio.Protocol):
    """A connection that sends one request after another."""

    def __init__(self, load: "Load"):
        self._load = load
        self._answer = bytearray()
        self._sent: float | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport
        self._load.free(self)

    def send(self, request: bytes) -> None:
        """Send a request; the load is told when it is answered."""
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._answer[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self._answer) < end + 4 + length:
            return
        self._answer.clear()
        began, self._sent = self._sent or 0.0, None
        self._load.answered(head[9:12].decode(), time.perf_counter() - began)
        if b"connection: close" in head:
            self._transport.close()
        else:
            self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        self._load.lost(self, self._sent is not None)

    def close(self) -> None:
        """End it."""
        self._transport.close()


class Load:
    """Requests to a server: as many as it answers on some connections, or so many a second whatever it does."""

    def __init__(self, port: int, requests: list[bytes], connections: int, rate: float | None):
        self._port, self._requests, self._connections, self._rate = port, requests, connections, rate
        self._free: list[Line] = []
        self._lines = 0
        self._next = 0
        self._over = False
        self.seen = Seen()

    def free(self, line: Line) -> None:
        """A connection may send again."""
        if self._over:
            line.close()
        elif self._rate is None:
            self._send(line)
        else:
            self._free.append(line)

    def answered(self, status: str, seconds: float) -> None:
        """An answer has come."""
        self.seen.statuses[status] += 1
        if status == "200":
            self.seen.seconds.append(seconds)

    def lost(self, line: Line, waited: bool) -> None:
        """A connection has ended."""
        self._lines -= 1
        if line in self._free:
            self._free.remove(line)
        if waited:
            self.seen.statuses["failed"] += 1

    def _send(self, line: Line) -> None:
        line.send(self._requests[self._next % len(self._requests)])
        self._next += 1

    async def _connect(self) -> bool:
        self._lines += 1
        try:
            await asyncio.get_running_loop().create_connection(lambda: Line(self), "127.0.0.1", self._port)
        except OSError:
            self._lines -= 1
            self.seen.statuses["refused"] += 1
            return False
        return True

    async def run(self, seconds: float, server: int) -> Seen:
        """Send for so long, then wait for what is not answered yet."""
        began, spent_here, spent_there = time.perf_counter(), _own_seconds(), _seconds_of(server)
        if self._rate is None:
            await asyncio.gather(*(self._connect() for _ in range(self._connections)))
        due, second = 0.0, began
        while (now := time.perf_counter()) < began + seconds:
            if self._rate is not None:
                due = await self._send_due(due, (now - began) * self._rate)
            if now >= second:
                self.seen.memory.append(_memory_of(server))
                second += 1
            await asyncio.sleep(0.005 if self._rate else 0.1)
        self._over = True
        self.seen.elapsed = time.perf_counter() - began
        self.seen.client, self.seen.server = _own_seconds() - spent_here, _seconds_of(server) - spent_there
        for line in self._free:
            line.close()
        for _ in range(300):
            if not self._lines:
                break
            await asyncio.sleep(0.1)
        return self.seen

    async def _send_due(self, sent: float, due: float) -> float:
        while sent < due:
            if self._free:
                self._send(self._free.pop())
            elif self._lines < _MOST_CONNECTIONS and await self._connect():
                continue  # with the connection that is free now
            else:
                self.seen.unsent += 1
            sent += 1
        return sent


def loaded(port: int, requests: list[bytes], server: int, seconds: float, connections: int, rate: float | None) -> Seen:
    """See `Load`."""

    async def load() -> Seen:
        return await Load(port, requests, connections, rate).run(seconds, server)

    try:
        import uvloop
    except ImportError:
        return asyncio.run(load())
    return uvloop.run(load())


def request_of(data: bytes, form: bool) -> bytes:
    """A request with one picture, as it is or in a form."""
    kind = "image/jpeg"
    if form:
        head = b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n'
        data, kind = (
            head + b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        )
    head = (
        f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Server:
    """`headstart serve` as a process, for the time of a block."""

    def __init__(self, run: Path, request: bytes):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        began = time.perf_counter()
        command = headstart("serve", run, "--port", self.port)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.pid = self._process.pid
        self.first_answer = self._answered(request) - began

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *problem: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _answered(self, request: bytes) -> float:
        """When the first answer was there."""
        while self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
                    line.sendall(request)
                    if line.recv(16).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter()
            except ConnectionError:
                time.sleep(0.01)
        raise SystemExit(f"the server ended before it answered, with {self._process.returncode}")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _seconds_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_of(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def raw_rate(run: Path, paths: list[str], seconds: float) -> tuple[float, float]:
    """Pictures a second that a process decodes and computes that does nothing else, and processor seconds of each."""
    done = subprocess.run(
        [sys.executable, "-c", RAW, str(run), str(seconds), *paths], capture_output=True, text=True, check=True
    )
    rate, spent = done.stdout.split()
    return float(rate), float(spent)


def _row(name: str, seen: Seen, raw: float) -> list[str]:
    cores = (os.cpu_count() or 1) * seen.elapsed
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    return [
        name,
        f"{seen.rate:.1f}",
        f"{seen.rate / raw:.2f}",
        statuses + (f", not sent: {seen.unsent:,}" if seen.unsent else ""),
        *(f"{1000 * seen.quantile(share):.0f}" for share in (0.5, 0.99)),
        f"{seen.server / cores:.0%}, {seen.client / cores:.0%}",
        f"{1000 * seen.server / len(seen.seconds):.1f}, {1000 * seen.client / len(seen.seconds):.1f}",
        f"{seen.memory[min(5, len(seen.memory) - 1)]:.0f}, {seen.memory[-1]:.0f}, {max(seen.memory):.0f}",
    ]


def measure(run: Path, paths: list[str], arguments: Any) -> tuple[list[list[str]], dict[str, Any]]:
    """Raw, then the server: its start, as much as it answers, five times that."""
    requests = [request_of(Path(path).read_bytes(), arguments.form) for path in paths]
    starts = []
    for _ in range(arguments.starts):
        with Server(run, requests[0]) as server:
            starts.append(server.first_answer)
    raw = [raw_rate(run, paths, arguments.seconds / 3)]
    with Server(run, requests[0]) as server:
        full = loaded(server.port, requests, server.pid, arguments.seconds, arguments.connections, None)
        over = loaded(server.port, requests, server.pid, arguments.seconds, 0, 5 * full.rate)
        after = loaded(server.port, requests, server.pid, arguments.seconds / 4, arguments.connections, None)
    raw.append(raw_rate(run, paths, arguments.seconds / 3))
    mean = sum(rate for rate, _ in raw) / len(raw)
    rows = [
        _row(f"{arguments.connections} connections, one request after another", full, mean),
        _row("five times that many a second", over, mean),
        _row("as at first", after, mean),
    ]
    return rows, {"raw": raw, "starts": starts, "ratio": full.rate / mean}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("--run", type=Path, help="A RUN to serve; otherwise one is made.")
    options.add_argument("--backbone", default="mobilenet_v2", help="Of the RUN that is made.")
    options.add_argument("--weights", default="none")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--connections", type=int, default=31)
    options.add_argument("--pictures", type=int, default=500, help="How many different ones are sent.")
    options.add_argument("--starts", type=int, default=5)
    options.add_argument("--form", action="store_true", help="Send forms rather than pictures as they are.")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "run"
        if arguments.run is None:
            # Random weights tell pictures apart so little that other heads make much of rounding.
            network = ("--backbone", arguments.backbone, "--weights", arguments.weights, "--head", "linear")
            spent(headstart("train", arguments.data, "--strategy", "head", *network, "--out", run), f"{folder}/store")
        paths = list(map(str, jpegs(arguments.data)))[: arguments.pictures]
        rows, found = measure(run, paths, arguments)
    report = Report("serving")
    columns = ["load", "predictions/s", "of raw", "answers", "p50 ms", "p99 ms", "cores: server, client",
               "MiB: 5 s, end, most"]  # fmt: skip
    report.text += [
        f"Raw decoding and computing, before and after: {found['raw'][0][0]:.1f} and {found['raw'][1][0]:.1f} "
        f"pictures/s, {1000 * found['raw'][0][1]:.1f} and {1000 * found['raw'][1][1]:.1f} ms of a processor each. "
        f"Start to first answer: {sorted(found['starts'])[len(found['starts']) // 2]:.2f} s "
        f"({min(found['starts']):.2f} to {max(found['starts']):.2f}).",
        table(columns, rows),
    ]
    report.measured = found
    report.publish(arguments.out)


if __name__ == "__main__":
    main()
