"""What commands have in common in what they print."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.texts import printable

INTERRUPTED = 130
"""What a shell reports for a program ended by Ctrl-C."""

_PIPE_WIDTH = 160  # where nobody looks, nothing needs to be folded

console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def say(text: str, *values: Any) -> None:
    """Print a line with rich markup; the values that replace its {} are printed as they are."""
    console.print(text.format(*(escape(printable(str(value))) for value in values)), soft_wrap=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def print_json(content: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(content, indent=2))


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; columns of numbers are aligned to the right."""
    table = Table(
        title=title and escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    for number, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(_text(value))) for value in row))
    console.print(table)


def print_figures(figures: Mapping[str, Any], title: str) -> None:
    """Accuracy and loss, and how each class fares."""
    say(
        "[bold]{}[/]: accuracy [bold]{}[/] (95 % interval {} to {}), loss {}, calibration error {} on {} pictures",
        title,
        *(
            f"{figures[name]:.4f}"
            for name in ("accuracy", "accuracy_low", "accuracy_high", "loss", "calibration_error")
        ),
        f"{figures['n']:,}",
    )
    columns = ("precision", "recall", "f1")
    rows = [(name, row["n"], *(row[column] for column in columns)) for name, row in figures["per_class"].items()]
    rows.append(("mean of classes", figures["n"], *(figures["macro"][column] for column in columns)))
    print_table(None, ("class", "pictures", *columns), rows)


def human_size(size: float) -> str:
    """A size in bytes as a person reads it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
