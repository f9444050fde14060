"""headstart launch"""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from headstart.cli.train import train
from headstart.errors import HeadstartError, InputError, MissingExtraError
from headstart.loading import is_installed
from headstart.workplace import unfinished

_START = "from headstart.cli.main import cli; cli()"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--processes", "-p", type=click.IntRange(1), required=True, metavar="N", help="How many processes train together."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="train ARGUMENTS...")
@click.pass_context
def launch(context: click.Context, processes: int, command: tuple[str, ...]) -> None:
    """Train in several processes on this machine that share the work, and end as one.

    Keras computes with JAX in them. The recipe is that of one process, unchanged: --batch-size is that of all of them
    together, and the losses are those of one process. On several machines, start `headstart train` on each of them
    with Keras' variables set: docs/several-processes.md.
    """
    name, *arguments = command
    if name != "train":
        raise InputError(
            f"launch starts `train` in several processes, not {name!r}: headstart launch -p 2 train DATA ..."
        )
    given = train.make_context("headstart train", list(arguments)).params  # what is wrong with it is said once, here
    if processes == 1:
        context.exit(train.main(arguments, standalone_mode=False) or 0)
    if (backend := os.environ.setdefault("KERAS_BACKEND", "jax")) != "jax":
        raise InputError(f"Keras trains in several processes with JAX alone; KERAS_BACKEND is {backend}. Unset it.")
    if not is_installed("jax"):
        raise MissingExtraError("headstart launch", "jax")
    if given["resume"] is not None:
        unfinished(given["resume"])
    from headstart.distributed.launching import launch as start

    verbose = ["-v"] if context.parent is not None and context.parent.params.get("verbose") else []
    outcome = start([sys.executable, "-c", _START, *verbose, *command], processes)
    if outcome.fault:
        raise click.ClickException(f"{outcome.fault}, so all were ended. {_next_step(given, processes)}")
    context.exit(outcome.code)


def _next_step(given: dict[str, Any], processes: int) -> str:
    run = given["resume"] or given["out"]
    try:
        unfinished(run)
    except HeadstartError:
        return "The same command begins again; the store keeps what was computed."
    return f"Go on with: headstart launch --processes {processes} train --resume {shlex.quote(str(Path(run)))}"
