"""Other people's converters: run without what they print, of which the last line is kept in case they fail."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from headstart.texts import short


def run_module(module: str, *arguments: str) -> str:
    """Run a module as a script in a new process, until it ends.

    Returns:
        The last line that it has printed, which says what went wrong if something did.
    """
    return run_python("-W", "ignore", "-m", module, *arguments)[1]


def run_python(*arguments: str) -> tuple[int, str]:
    """Run Python in a new process.

    Returns:
        Its exit code, and the last line that it has printed.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    )
    lines = done.stdout.strip().splitlines()
    return done.returncode, short(lines[-1]) if lines else "it says nothing"


@contextmanager
def kept_quiet(log: Path) -> Iterator[None]:
    """Send to a file what libraries print while the block runs, from C++ too; a progress bar on stderr goes on."""
    if sys.stderr is None or sys.stdout is None:  # somebody has closed them
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    with (
        open(log, "a", encoding="utf-8", errors="replace") as file,
        os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as shown,
    ):
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(file), redirect_stderr(shown):
                yield
        finally:
            sys.stdout.flush()
            for number, copy in enumerate(before, start=1):
                os.dup2(copy, number)
                os.close(copy)
