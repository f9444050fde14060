"""headstart tensorboard"""

import signal
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING

import click

from headstart.cli.output import json_option, print_json, say
from headstart.loading import load_tensorboard

if TYPE_CHECKING:
    from headstart.boards.write import Board


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--data", metavar="DATA", help="Where the pictures are now, if they have been moved since.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens; 0.0.0.0 lets all look."
)
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", show_default="the first free one from 6006 on")
@click.option("--write-only", "--no-serve", is_flag=True, help="Write the logs and do not start TensorBoard.")
@json_option
def tensorboard(
    runs: Sequence[str], data: str | None, host: str, port: int | None, write_only: bool, as_json: bool
) -> None:
    """Show finished RUNs in TensorBoard.

    Figures, curves of every stage, the confusion matrix, the surest mistakes, the choices side by side, and the kept
    features of up to 2,000 pictures in the embedding projector. It is written to RUN/tensorboard/results when this is
    called, and no training is slower for it.
    """
    load_tensorboard("headstart tensorboard")
    from headstart.boards.write import write_boards
    from headstart.bundle import Run

    boards = write_boards([Run(path) for path in runs], data, show=not as_json)
    for board in boards:
        _warn(board)
    if write_only:
        _report(boards, None, as_json)
        return
    from headstart.boards.serve import serving

    with serving(boards, host, port) as address:
        _report(boards, address, as_json)
        _wait_for_the_end()


def _wait_for_the_end() -> None:
    """Until Ctrl-C or the signal that asks a process to end, either of which is how this usually ends."""
    ended = Event()
    before = [signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)]
    ended.wait()
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


def _warn(board: "Board") -> None:
    if board.gone:
        click.echo(
            f"{board.gone:,} of {board.pictures:,} pictures of {board.run} are not where they were and are left out; "
            "--data says where they are now.",
            err=True,
        )


def _report(boards: "Sequence[Board]", address: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"address": address, "runs": [board.to_dict() for board in boards]})
        return
    for board in boards:
        counts = (board.run, f"{board.projected:,}", f"{board.mistakes:,}")
        say("{}: {} pictures in the projector, {} mistakes.", *counts)
    if address is None:
        for board in boards:
            say("Written to [bold]{}[/].", board.logs[0])
    else:
        say("TensorBoard is at [bold]{}[/] until Ctrl-C.", address)
