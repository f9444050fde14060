"""The same holds on a server that was not written for these tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_all_but_the_mischief_passes_on_the_server_of_moto():
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        environment = {**os.environ, "HEADSTART_TEST_S3": "http://{}:{}".format(*server.get_host_and_port())}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            Path(__file__).parent,
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout
    finally:
        server.stop()
