"""A board: what TensorBoard shows of a RUN, derived from what the RUN says, so that no training is slower for it.

RUN/tensorboard/STAGE/       what Keras has logged while a stage was fitted
RUN/tensorboard/results/     what is written here, anew each time
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.boards.draw import captioned, confusion_matrix
from headstart.boards.projector import thumbnails, write_projector
from headstart.boards.record import Record, Seen, read_record
from headstart.bundle import Run
from headstart.errors import HeadstartError, RunError, storage_errors
from headstart.features.store import Store
from headstart.progress import waiting
from headstart.recipe import PATHS, Recipe
from headstart.texts import printable

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

log = logging.getLogger(__name__)

RESULTS = "results"

SIDES = {"val": "validation", "test": "test"}
"""What the sides of a split are called on a board."""

_HINT = "Make room there, or copy the RUN to where you may write."
_ALWAYS_TOLD = ("backbone", "strategy")
_UNTOLD = set(PATHS) - {"weights", "val", "test"}
_FIGURES = ("accuracy", "loss", "n")
_SHOWN = 25
_COLUMNS = 5
_SIDE = 128


@dataclass(frozen=True)
class Board:
    """What was written for one RUN.

    Attributes:
        run: the RUN.
        logs: the folders of events: what was written, and what Keras has logged of each stage.
        pictures: that the RUN was trained and judged with.
        gone: those that are not where they were.
        projected: those in the embedding projector.
        mistakes: those in the grids of mistakes.
    """

    run: str
    logs: tuple[Path, ...]
    pictures: int
    gone: int
    projected: int
    mistakes: int

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "logs": [os.fspath(path) for path in self.logs]}


def write_boards(runs: Sequence[Run], data: str | None = None, show: bool = False) -> list[Board]:
    """Write what TensorBoard shows of RUNs; TensorBoard must be loaded, see `load_tensorboard`.

    Args:
        runs: the RUNs.
        data: where their pictures are now; None for where they were.
        show: whether to draw progress bars.

    Raises:
        RunError: if what a RUN says is damaged.
        StorageError: if a RUN cannot be written to.
    """
    records = []
    for run in runs:
        with waiting(f"reading {run.path}", show):
            records.append(read_record(run, data))
    told = [*_ALWAYS_TOLD, *(field.name for field in fields(Recipe) if _differs(field.name, records))]
    return [_write_board(record, told, show) for record in records]


def _differs(name: str, records: Sequence[Record]) -> bool:
    """Whether a choice of any RUN is not the usual one; a table of all that are would hide those that matter."""
    usual = getattr(Recipe, name, None)
    return name not in (*_UNTOLD, *_ALWAYS_TOLD) and any(record.recipe.get(name, usual) != usual for record in records)


def _write_board(record: Record, told: Sequence[str], show: bool) -> Board:
    run = record.run
    own = run.path / "tensorboard"
    places = [own, *(Path(place) for place in (record.recipe.get("tensorboard"),) if isinstance(place, str))]
    logged = [place / stage for stage in record.history for place in places if (place / stage).is_dir()]
    with storage_errors(own, _HINT):
        own.mkdir(exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=run.path, prefix=".unfinished-"))
        try:
            projected = _project(staging, record, show)
            with waiting(f"writing the board of {run.path}", show):
                mistakes = _write_events(staging, record, told, logged)
            shutil.rmtree(own / RESULTS, ignore_errors=True)
            staging.chmod(0o755)  # others may look at it, as at all else in the RUN
            os.replace(staging, own / RESULTS)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Board(os.fspath(run.path), (own / RESULTS, *logged), len(record.pictures), record.gone, projected, mistakes)


def _project(folder: Path, record: Record, show: bool) -> int:
    if record.gone == len(record.pictures):
        return 0
    store = Store()
    try:
        store.prepare()
        return write_projector(folder, record, store, show)
    except HeadstartError as error:  # a RUN without it still has all the rest
        log.warning("there is no embedding projector: %s", error)
        return 0


def _write_events(folder: Path, record: Record, told: Sequence[str], logged: Sequence[Path]) -> int:
    """Everything but the projector; returns the number of mistakes that are shown."""
    from tensorboardX import SummaryWriter

    try:
        with SummaryWriter(str(folder), filename_suffix=".board") as writer:
            _write_figures(writer, record, told)
            for stage, rows in record.history.items():
                if "epoch" not in rows[0]:
                    _write_tried(writer, stage, rows)
                elif not any(place.name == stage and any(place.rglob("*tfevents*")) for place in logged):
                    _write_epochs(folder / stage, rows)
            return sum(_write_mistakes(writer, record, side) for side in SIDES)
    except (KeyError, TypeError, ValueError) as error:  # what others wrote may be anything
        raise RunError(
            f"the figures in {record.run.path} are damaged: {error}. Copy the whole RUN once more."
        ) from None


def _write_figures(writer: "SummaryWriter", record: Record, told: Sequence[str]) -> None:
    metrics = record.run.metrics
    writer.add_text("summary", summary(record))
    for side, of_side in _figures(metrics):
        drawn = confusion_matrix(np.array(of_side["confusion"]), list(of_side["per_class"]))
        writer.add_image(f"confusion/{SIDES[side]}", drawn, dataformats="HWC")
    chosen = {name: record.recipe.get(name) for name in told} | _outcome(metrics)
    known = {name: value for name, value in chosen.items() if isinstance(value, str | int | float)}
    writer.add_hparams(known, dict(_scalars(metrics)), ".")


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures of each side that was judged."""
    yield "val", metrics
    if "test" in metrics:
        yield "test", metrics["test"]


def _scalars(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for side, of_side in _figures(metrics):
        for name in _FIGURES[:2]:
            yield f"{SIDES[side]}/{name}", float(of_side[name])


def _outcome(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name} (in the end)": metrics[name] for name in ("head", "kept")}


def _write_mistakes(writer: "SummaryWriter", record: Record, side: str) -> int:
    """The surest mistakes of one side, in a grid."""
    wrong = [picture for picture in record.pictures if picture.side == side and picture.is_mistaken and picture.path]
    worst = sorted(wrong, key=lambda picture: -picture.probability)[:_SHOWN]
    if not worst:
        return 0
    pictures = thumbnails([str(picture.path) for picture in worst], _SIDE)
    drawn = captioned(pictures, [_caption(picture) for picture in worst], _COLUMNS)
    writer.add_image(f"mistakes/{SIDES[side]}", drawn, dataformats="HWC")
    return len(worst)


def _caption(picture: Seen) -> tuple[str, str]:
    return picture.label, f"-> {picture.predicted} {picture.probability:.2f}"


def _write_tried(writer: "SummaryWriter", stage: str, rows: Sequence[Mapping[str, str]]) -> None:
    """What was tried where a head was solved: the steps are places in the order of trying."""
    for step, row in enumerate(rows):
        for name, text in row.items():
            if (number := _number(text)) is not None:
                writer.add_scalar(f"{stage}/{name}", number, step)
    columns = list(rows[0])
    writer.add_text(f"{stage}/tried", table(columns, [[row.get(name, "") for name in columns] for row in rows]))


def _write_epochs(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """What Keras' callback would have logged, under its names, where a backend of Keras has none."""
    from tensorboardX import SummaryWriter

    for side, begins in (("train", ""), ("validation", "val_")):
        with SummaryWriter(str(folder / side)) as writer:
            for row in rows:
                for name, text in row.items():
                    if name == "epoch" or name.startswith("val_") != bool(begins) or _number(text) is None:
                        continue
                    writer.add_scalar(f"epoch_{name.removeprefix(begins)}", _number(text), int(row["epoch"]) - 1)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def summary(record: Record) -> str:
    """Figures, recipe and provenance, as tables in Markdown."""
    metrics, about = record.run.metrics, record.run.about
    figures = [[SIDES[side], *(_shown(of_side[name]) for name in _FIGURES)] for side, of_side in _figures(metrics)]
    stages = [
        [stage, *(_shown(found.get(side, {}).get("accuracy", "")) for side in SIDES), _shown(found.get("seconds", ""))]
        for stage, found in metrics["stages"].items()
    ]
    recipe = [[name, value] for name, value in record.recipe.items() if value is not None]
    versions = [*about.get("versions", {}).items(), ("created", about.get("created", ""))]
    parts = {
        f"{metrics['backbone']}, {metrics['head']}": table(("", *_FIGURES), figures),
        "Stages": table(("", *(f"{name} accuracy" for name in SIDES.values()), "seconds"), stages),
        "Recipe": table(("choice", "value"), recipe),
        "Made with": table(("package", "version"), versions),
    }
    return "\n\n".join(f"### {_cell(title)}\n\n{content}" for title, content in parts.items())


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, in which nothing from outside is more than a text."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = printable(str(value))
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+!|~" else char for char in text)
