"""The page of a RUN: what was gathered, judged and laid out, drawn into one file of HTML."""

import logging
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.atomic import whole_file
from headstart.bundle import Run
from headstart.errors import DataError, storage_errors
from headstart.images.pictures import SIDE_WORDS, Side
from headstart.pages import STYLE, digest_for_policy, read_template
from headstart.progress import bar
from headstart.records import find_pictures
from headstart.reporting import layout, plots
from headstart.reporting.commands import train_command
from headstart.reporting.gathered import Case, Gathered, gather
from headstart.reporting.pictures import Album, Place, places_of
from headstart.reporting.verdict import judge
from headstart.run_files import STAGES
from headstart.texts import printable

log = logging.getLogger(__name__)

PAGE = "report.html"
"""The page in a RUN."""

MOST_BYTES = 5_000_000
"""A page never has more."""

HEAT_IN_TRAINING = 8
"""Mistakes with a heat map where somebody waits for a training to end."""

_PICTURES = 400
_PICTURE_BYTES = 2_400_000
_LISTED = (5000, 1500, 300, 0)  # pictures in all cells: fewer where names are so long that the page would not fit
_HINT = "Free some space there, or give another --out."
_MARKS = {"good": "✓", "note": "•", "care": "!", "bad": "✕"}
_SECTIONS = {
    "verdict": "Verdict",
    "stages": "Head against fine-tuned",
    "training": "Training",
    "confusion": "What is taken for what",
    "mistakes": "Mistakes",
    "certainty": "How sure it is",
    "data": "The data",
    "figures": "All figures",
    "recipe": "Recipe",
}

Locate = Callable[[str, Side], str]


def write_report(
    run: Run,
    out: str | os.PathLike[str] | None = None,
    data: str | None = None,
    title: str | None = None,
    heat: int = layout.MISTAKES,
    show: bool = False,
) -> Path:
    """Write the page of a RUN; an older one is replaced, whole or not at all.

    Args:
        run: the RUN.
        out: the file; None for `report.html` in the RUN.
        data: where its pictures are now; None for where they were in training.
        title: what it is called on the page; None for its folder.
        heat: mistakes with a heat map, at most; they cost a run of the network each.
        show: whether to draw a progress bar.

    Returns:
        The file.

    Raises:
        RunError: if a table of the RUN is damaged.
        DataError: if `data` is given and not there.
        StorageError: if the page cannot be written.
    """
    page = render(run, data, title, heat, show)
    path = run.path / PAGE if out is None else Path(out)
    with storage_errors(path, _HINT):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    return path


def report_training(folder: Path, run: str) -> None:
    """Write the page of a RUN that has just been trained. No training is lost for it: what goes wrong is said.

    Args:
        folder: where the RUN is written.
        run: where it will be.
    """
    try:
        write_report(Run(folder), title=run, heat=HEAT_IN_TRAINING)
    except Exception as error:  # whatever it is, the models and the figures are there
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("%s was not drawn: %s Try: headstart report %s", PAGE, reason, shlex.quote(run))


def render(
    run: Run, data: str | None = None, title: str | None = None, heat: int = layout.MISTAKES, show: bool = False
) -> str:
    """The page of a RUN; arguments as for `write_report`."""
    found = gather(run)
    album, where = Album(), ""
    place: Locate | None = None
    try:
        place = find_pictures(run, data)
    except DataError as error:
        if data is not None:
            raise
        where = printable(str(error)).partition(". ")[0].rstrip(".")
    lists = _lists(found)
    cells = layout.Cells(found.val, _LISTED[0])
    layout.matrix_of(found.val, cells)
    layout.pairs_of(found.val, cells)
    wanted = [*_places(found, lists), *cells.places()][:_PICTURES]
    with bar("drawing the page", len(set(wanted)), "pictures", show) as advance:
        album.embed(wanted, place, _PICTURE_BYTES, advance)
        album.embed_heat(run, lists["mistakes"][:heat], place)
    page = ""
    for listed in _LISTED:
        page = _page(found, album, lists, listed, title or str(run.path), where)
        if len(page.encode("utf-8")) <= MOST_BYTES:
            break
    return page


def _lists(found: Gathered) -> dict[str, list[Case]]:
    """The pictures that are shown in a row."""
    return {
        "mistakes": found.val.mistakes[: layout.MISTAKES],
        "suspects": found.suspects[: layout.STRIP],
        "least": found.val.least_certain[: layout.STRIP],
        "most": found.val.most_certain[: layout.STRIP],
    }


def _places(found: Gathered, lists: Mapping[str, Sequence[Case]]) -> list[Place]:
    """What is embedded, what matters most first."""
    places = [place for cases in lists.values() for place in places_of(cases)]
    places += [(members[0].name, members[0].side) for members in found.split.shared[: layout.STRIP]]
    examples = layout.examples_of(found).values()
    return places + [(member.name, member.side) for members in examples for member in members]


def _page(found: Gathered, album: Album, lists: Mapping[str, list[Case]], listed: int, title: str, where: str) -> str:
    here = Path(__file__)
    files = (STYLE, here.with_name("page.css"), here.with_name("page.js"))
    house, own, script = (file.read_text(encoding="utf-8") for file in files)
    style = house + own
    cells = layout.Cells(found.val, listed)
    test = found.panels.get("test")
    rows = layout.class_rows(found)
    content = {
        "found": found,
        "album": album,
        "verdict": judge(found),
        "tiles": _tiles(found),
        "title": title,
        "where": where,
        "pictures": sum(sum(sides.values()) for sides in found.split.counts.values()),
        "created": str(found.run.about.get("created", ""))[:16].replace("T", " "),
        "matrix": layout.matrix_of(found.val, cells),  # before the pairs, whose cells it shades
        "pairs": layout.pairs_of(found.val, cells),
        "test_matrix": None if test is None else layout.matrix_of(test, None),
        "cells": list(cells.opened.values()),
        **lists,
        "hidden_suspects": len(found.suspects) - len(lists["suspects"]),
        "shared": found.split.shared[: layout.STRIP],
        "hidden_shared": max(0, len(found.split.shared) - layout.STRIP),
        "class_rows": rows,
        "hidden_classes": len(found.classes) - len(rows),
        "examples": layout.examples_of(found),
        "figure_rows": layout.figure_rows(found),
        "no_heat": ": they need OpenVINO's form of the model" if album.symbols else ": the pictures are not there",
        "canvas": plots,
        "marks": _MARKS,
        "kinds": SIDE_WORDS,
        "sides": ["train", *found.panels],
        "style": style,
        "style_digest": digest_for_policy(style),
        "script": script,
        "script_digest": digest_for_policy(script),
    }
    template = read_template(here.with_name("page.html.j2"))
    return template.render(**content, **_of_training(found), **_of_recipe(found))


def _tiles(found: Gathered) -> list[dict[str, Any]]:
    """The figures that are looked at first."""
    panel = found.cleanest
    side, figures = panel.side, panel.figures
    of_side = SIDE_WORDS[side]
    reach = f"95 % interval {figures.accuracy_low:.3f} to {figures.accuracy_high:.3f}"
    return [
        {"key": f"{side}.accuracy", "title": f"accuracy, {of_side}", "value": figures.accuracy, "under": reach},
        {
            "key": f"{side}.macro.f1",
            "title": "mean F1",
            "value": figures.macro["f1"],
            "under": f"over {len(figures.per_class):,} classes",
        },
        {"key": f"{side}.loss", "title": "loss", "value": figures.loss, "under": "cross-entropy in nats"},
        {
            "key": f"{side}.calibration_error",
            "title": "calibration error",
            "value": figures.calibration_error,
            "under": f"mean confidence {panel.mean_confidence:.3f}",
        },
    ]


def _of_training(found: Gathered) -> dict[str, Any]:
    """Stages, curves and plots."""
    curves = {stage: list(plots.curves(stage, rows)) for stage, rows in found.history.items()}
    stages: dict[str, Any] = found.metrics.get("stages") or {}
    first: dict[str, Any] = next(iter(stages.values()), {})
    has_stages = "stages" if len(stages) > 1 else None
    return {
        "sections": [(key, text) for key, text in _SECTIONS.items() if key != "stages" or has_stages],
        "stage_names": STAGES,
        "stage_sides": [side for side in ("val", "test") if side in first],
        "gain": found.metrics.get("gain"),
        "curves": {stage: items for stage, items in curves.items() if items},
        "tried": [row for rows in found.history.values() for row in rows if "tried" in row],
        "solved": _solved(found.metrics),
        "plots": [
            plots.reliability_plot(found.val),
            plots.coverage_plot(found.val),
            *plots.ranking_plots(found.val, found.classes),
        ],
    }


def _solved(metrics: Mapping[str, Any]) -> str:
    """In words, how a head that was solved was chosen."""
    stages = metrics.get("stages") or {}
    judged = next((stage["cross_validated"] for stage in stages.values() if "cross_validated" in stage), None)
    if not judged:
        return ""
    each = ", ".join(f"{kind} {figures['accuracy']:.4f}" for kind, figures in judged.items())
    return f"Accuracy in cross-validation on the training pictures alone: {each}."


def _of_recipe(found: Gathered) -> dict[str, Any]:
    about, metrics = found.run.about, found.metrics
    facts = {
        "backbone": found.recipe.backbone,
        "head": about.get("head", ""),
        "parameters": f"{metrics.get('trainable_params', 0):,} trained, {metrics.get('non_trainable_params', 0):,} not",
        "input": f"{about['decode']['height']} x {about['decode']['width']} pixels, {about['decode']['fit']}",
        "frozen part ran in": f"{about['precision']}, on {about['runtime'].get('name', '')}",
        "seconds": f"{metrics.get('seconds', 0):.1f}",
        "data set": about.get("dataset", ""),
        "frozen part": about.get("frozen_part", ""),
        "versions": ", ".join(f"{name} {version}" for name, version in about.get("versions", {}).items()),
    }
    return {
        "command": train_command(found.recipe),
        "facts": {name: value for name, value in facts.items() if value},
        "choices": {name: "-" if value is None else value for name, value in found.recipe.to_dict().items()},
    }
