"""TensorBoard for several RUNs at once."""

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from headstart.boards.write import Board
from headstart.errors import InputError


@contextmanager
def serving(boards: Sequence[Board], host: str, port: int | None) -> Iterator[str]:
    """Run TensorBoard as long as the block runs, and yield its address.

    Args:
        boards: what it shows.
        host: the address it listens at.
        port: the port; None for the first that is free, from 6006 on.

    Raises:
        InputError: if it cannot listen there.
    """
    from tensorboard import program

    with tempfile.TemporaryDirectory(prefix="headstart-boards-") as folder:
        _gather(Path(folder), boards)
        board = program.TensorBoard()
        board.configure(logdir=folder, host=host, port=port)
        said = io.StringIO()  # it tells its users to report on a faster way to read logs, and Werkzeug why it gives up
        try:
            with redirect_stderr(said):
                address = board.launch()
        except (program.TensorBoardServerException, OSError, SystemExit) as error:
            reason = getattr(error, "msg", None) or (said.getvalue().strip().splitlines() or [str(error)])[-1]
            where = host if port is None else f"{host}, port {port}"
            raise InputError(
                f"TensorBoard cannot listen at {where}: {' '.join(reason.split()).rstrip('.')}. "
                "Give another --host or --port."
            ) from None
        yield address


def _gather(folder: Path, boards: Sequence[Board]) -> None:
    """Put links to all logs into one folder, since TensorBoard takes one: NAME/STAGE for the RUN called NAME."""
    for board in boards:
        place = folder / _free_name(folder, Path(board.run).resolve().name or "run")
        place.mkdir()
        for logs in board.logs:
            if not (place / logs.name).exists():
                os.symlink(logs.resolve(), place / logs.name)


def _free_name(folder: Path, name: str) -> str:
    taken = {entry.name for entry in folder.iterdir()}
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(candidate for candidate in names if candidate not in taken)
