"""A comparison written down: a table, the same as JSON, and one page with the plot."""

import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from headstart.comparing.comparison import Comparison, Row
from headstart.comparing.plot import HEIGHT, WIDTH, label, plot
from headstart.errors import storage_errors
from headstart.pages import read_template
from headstart.run_files import write_csv, write_json
from headstart.texts import printable
from headstart.workplace import check_folder

PAGE, TABLE, DATA = "compare.html", "compare.csv", "compare.json"
_HINT = "Free some space there, or give another --out."

_COLUMNS = tuple(field.name for field in fields(Row) if field.name != "behind")
_BEHIND = ("behind", "behind_accuracy", "behind_low", "behind_high")


def check_report(out: str | os.PathLike[str], data: str | os.PathLike[str]) -> Path:
    """Make sure, before anything is computed, that a comparison can be written to a folder; an older one is replaced.

    Raises:
        RunError: if it is a file, a folder that holds something else, or inside the data.
        StorageError: if nothing can be written there.
    """
    return check_folder(out, data, {PAGE, TABLE, DATA})


def write_report(comparison: Comparison, folder: Path) -> None:
    """Write the table, the JSON and the page; each is there whole or not at all.

    Args:
        comparison: what was found.
        folder: where to, see `check_report`.

    Raises:
        StorageError: if it cannot be written.
    """
    with storage_errors(folder, _HINT):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            staging = Path(name)
            write_csv(staging / TABLE, (*_COLUMNS, *_BEHIND), [_cells(row) for row in comparison.rows])
            write_json(staging / DATA, comparison.to_dict())
            (staging / PAGE).write_text(render(comparison), encoding="utf-8", errors="backslashreplace")
            for file in (TABLE, DATA, PAGE):
                os.replace(staging / file, folder / file)


def _cells(row: Row) -> list[Any]:
    values = [getattr(row, name) for name in _COLUMNS]
    apart = row.behind
    behind = [""] * len(_BEHIND) if apart is None else [apart.name, apart.accuracy, apart.low, apart.high]
    return [" + ".join(value) if isinstance(value, tuple) else value for value in values] + behind


def render(comparison: Comparison) -> str:
    """The page: one file of HTML that asks nobody for anything."""
    template = read_template(Path(__file__).with_name("page.html.j2"))
    drawn = plot(comparison)
    return template.render(found=comparison, plot=drawn, width=WIDTH, height=HEIGHT, label=label, printable=printable)
