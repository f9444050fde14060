"""What is lost is done again and nothing else: a worker, a machine, and the command itself are killed in mid-run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from headstart.features.store import Space, Store
from tests.conftest import write_picture

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")

BIN = Path(sys.executable).parent
PICTURES = 1500
PART = 128  # pictures that a worker is given at once
MINUTES = 60.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures that take a worker long enough to be killed meanwhile."""
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = random.integers(0, 255, (6, 6, 3), np.uint8)
        pixels = cv2.resize(coarse, (320, 320), interpolation=cv2.INTER_CUBIC)
        write_picture(tmp_path / "data" / ("red", "green")[number % 2] / f"{number}.jpg", pixels)
    return tmp_path / "data"


class Watched(threading.Thread):
    """Counts how often each row of a store was written, also those in shards that are merged later."""

    def __init__(self, root: Path):
        super().__init__(daemon=True)
        self.root, self.seen, self.over = root, {}, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for shard in self.root.glob("features/*/*.safetensors"):
                if shard.name not in self.seen:
                    self.seen[shard.name] = Space(shard.parent)._read_keys(shard.name)

    @property
    def rows(self) -> int:
        """Rows in shards as workers write them; merged ones are larger."""
        return sum(len(keys) for keys in self.seen.values() if len(keys) <= 32)


@pytest.fixture
def watched(store: Path) -> Iterator[Watched]:
    found = Watched(store)
    yield found
    found.over.set()
    found.join()


def begin(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [BIN / "headstart", "export-features", data, "--backbone", "nano", "--out", out, "--force", "--json"]
    return subprocess.Popen(
        [*map(str, command), "--engine", "ray", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "token"},
    )


def until(true: Callable[[], bool], seconds: float = 5 * MINUTES) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.02)


def workers() -> list[int]:
    """The processes in which Ray runs an extractor."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if b"MapWorker" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                pass
    return found


def ended(process: subprocess.Popen[str]) -> dict[str, object]:
    stdout, stderr = process.communicate(timeout=10 * MINUTES)
    assert process.returncode == 0, stderr
    return json.loads(stdout)


def whole(store: Path) -> bool:
    """Whether the store has every picture, each row of it sound."""
    (space,) = Store(store).spaces()
    health = space.verify()
    return (health.rows, health.damaged) == (PICTURES, 0)


def test_a_worker_that_is_killed_costs_its_part_at_most(data, store, watched, tmp_path):
    process = begin(data, tmp_path / "f.npz", "--workers", "2")
    until(lambda: watched.rows >= 200)
    os.kill(workers()[0], signal.SIGKILL)
    assert ended(process)["pictures"] == PICTURES
    assert whole(store)
    assert PICTURES <= watched.rows <= PICTURES + PART


def test_a_command_that_is_killed_goes_on_where_it_was(data, store, watched, tmp_path):
    process = begin(data, tmp_path / "f.npz", "--workers", "2")
    until(lambda: watched.rows >= 300)
    process.kill()
    process.communicate()
    until(lambda: not workers(), 1 * MINUTES)  # they end with it
    (space,) = Store(store).spaces()
    kept = len(space.refresh())
    assert 300 <= kept < PICTURES
    assert ended(begin(data, tmp_path / "f.npz", "--workers", "2"))["extracted"] == PICTURES - kept
    assert whole(store)


@pytest.fixture
def two_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[], None]]]:
    """A cluster whose second node has a network of its own; gives the address, and what kills all of that node."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("only root can make a network of its own for a second machine, with ip")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    name = f"hs{os.getpid() % 10000}"
    made = [
        f"ip netns add {name}",
        f"ip link add {name}a type veth peer name {name}b",
        f"ip link set {name}b netns {name}",
        f"ip addr add 10.231.7.1/30 dev {name}a",
        f"ip link set {name}a up",
        f"ip netns exec {name} ip addr add 10.231.7.2/30 dev {name}b",
        f"ip netns exec {name} ip link set {name}b up",
        f"ip netns exec {name} ip link set lo up",
    ]
    for command in made:
        if subprocess.run(command.split(), capture_output=True).returncode:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            pytest.skip("no network of its own can be made here for a second machine")

    def start(*options: str, inside: Sequence[str] = ()) -> None:
        command = [*inside, str(BIN / "ray"), "start", "--num-cpus=1", "--disable-usage-stats", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=5 * MINUTES)

    def kill() -> None:
        found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        for number in found:
            os.kill(int(number), signal.SIGKILL)

    try:
        start("--head", "--node-ip-address=10.231.7.1", "--port=6399", "--include-dashboard=false")
        start("--address=10.231.7.1:6399", "--node-ip-address=10.231.7.2", inside=["ip", "netns", "exec", name])
        yield "10.231.7.1:6399", kill
    finally:
        kill()
        subprocess.run([BIN / "ray", "stop", "--force"], capture_output=True, timeout=MINUTES)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", f"{name}a"], capture_output=True)


def test_a_machine_that_is_lost_costs_its_parts_at_most(two_machines, data, store, watched, tmp_path):
    address, kill = two_machines
    process = begin(data, tmp_path / "f.npz", "--address", address)
    until(lambda: watched.rows >= 400 and len(workers()) == 2)
    kill()
    assert ended(process)["pictures"] == PICTURES
    assert whole(store)
    assert PICTURES <= watched.rows <= PICTURES + PART
