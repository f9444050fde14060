"""Print the command reference as Markdown, for docs/commands.md."""

import inspect
from collections.abc import Iterator

import click

from headstart.cli.main import cli


def reference() -> str:
    """The help of every command, as `--help` prints it."""
    parts = ["# Commands\n\nMade by `python tools/command_reference.py`; a test keeps it up to date.\n"]
    for path, command in _commands(cli, ("headstart",)):
        context = click.Context(command, info_name=" ".join(path), terminal_width=100, max_content_width=100)
        parts.append(f"## {' '.join(path)}\n\n```\n{inspect.cleandoc(command.get_help(context))}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


if __name__ == "__main__":
    print(reference(), end="")
