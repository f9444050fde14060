"""The `headstart` command."""

import io
import logging
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from headstart import __version__
from headstart.cli.output import INTERRUPTED
from headstart.distributed.processes import LAUNCHED, LOST, end
from headstart.errors import HeadstartError, LostProcessError, SaidElsewhereError
from headstart.texts import printable

_COMMANDS = (
    *("audit", "backbones", "cache", "compare", "demo", "evaluate", "explain", "export", "export-features"),
    *("launch", "layers", "predict", "report", "serve", "tensorboard", "train"),
)
"""Each is a function of that name in a file of that name, with _ for -, and imported when it is called."""


class _Commands(click.Group):
    """Says what went wrong in one line on stderr, and exits with 2 when it was the input."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"headstart.cli.{name}"), name)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command and exit."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a path need not fit the terminal's encoding
        try:
            sys.exit(super().main(*args, **kwargs | {"standalone_mode": False, "prog_name": "headstart"}) or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(2)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "headstart"
            message = " ".join(error.format_message().split())
            _fail(f"{message} See: {command} --help", error.exit_code)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except HeadstartError as error:
            _refuse(error)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:  # whatever was not foreseen nearer to where it happens
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror or error}", 2)
        except (KeyboardInterrupt, click.Abort):
            _fail("interrupted. The store keeps what was computed; the same command goes on from there.", INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="headstart")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what is done.")
def cli(verbose: bool) -> None:
    """Transfer learning for image classification.

    From a folder of pictures to a trained classifier that can be used and trusted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("headstart: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    logging.getLogger("headstart").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.captureWarnings(True)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _refuse(error: HeadstartError) -> NoReturn:
    code = LOST if isinstance(error, LostProcessError) else 2
    if isinstance(error, SaidElsewhereError) or (code == LOST and LAUNCHED in os.environ):
        end(code)  # the first process, or the one that started them all, says it better
    _fail(" ".join(str(error).split()), code)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"Error: {printable(message)}", err=True)
    end(code)
