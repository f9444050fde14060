"""What a person sees while something runs: a bar with the speed and the time left, or at least a sign of life."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[[int], None]
"""Called with the number of units just finished."""


class _Speed(ProgressColumn):
    """Units a second since the task started."""

    def __init__(self, unit: str):
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self.unit}/s", style="progress.data.speed")


@contextmanager
def waiting(label: str, show: bool = True) -> Iterator[None]:
    """Show on stderr that something is being done that cannot be counted, while the block runs.

    Nothing is drawn when `show` is false or when stderr is not a terminal.
    """
    if not (show and _is_terminal()):
        yield
        return
    with Console(stderr=True).status(f"{label} ..."):
        yield


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def bar(label: str, total: int | None, unit: str, show: bool = True) -> Iterator[Advance]:
    """Show a progress bar on stderr while the block runs, and yield the function that moves it.

    Nothing is drawn when `show` is false or when stderr is not a terminal.

    Args:
        label: what is being done, in a word or two.
        total: how many units there are; None when that is not known.
        unit: the name of one unit, in the plural.
        show: whether anybody wants to look.
    """
    if not (show and _is_terminal()):
        yield lambda count: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(unit),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


Say = Callable[[str], None]
"""Called with a text that stands behind a progress bar from now on."""


@contextmanager
def training_bar(label: str, steps: int, show: bool = True) -> Iterator[tuple[Advance, Say]]:
    """Show a progress bar with a text behind it; yield what moves it, and what changes the text.

    Args:
        label: what is being done, in a word or two.
        steps: how many there are.
        show: whether anybody wants to look.
    """
    if not (show and _is_terminal()):
        yield lambda count: None, lambda text: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Speed("steps"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=steps, text="")
        yield lambda count: progress.advance(task, count), lambda text: progress.update(task, text=text)
