"""An audit written down: CSV files with everything, and one page with the worst of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.auditing.findings import SHOWN, Audit, Check, Finding, Pictured
from headstart.errors import storage_errors
from headstart.pages import read_template, thumbnail
from headstart.progress import bar
from headstart.run_files import write_csv

PAGE = "audit.html"

TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "duplicates.csv": (("exact", "near"), ("group", "rank", "size")),
    "labels.csv": (("labels",), ("suggested", "probability", "suggested_probability")),
    "outliers.csv": (("outliers",), ("deviations",)),
    "shift.csv": (("shift",), ("against", "auc", "low", "high", "probability")),
    "files.csv": (("unreadable", "formats", "skipped", "sizes"), ("found", "width", "height")),
}
"""For each file the checks that it holds, and the columns of their own."""

_PAGE_PICTURES = 1000  # more than that is nothing to look at
_PAGE_BYTES = 3_500_000  # of thumbnails; with the text the page stays below 5 MB
_MEMBERS = 6
_HINT = "Free some space there, or give another --out."


def write_report(audit: Audit, folder: Path, shown: int = SHOWN, show: bool = False) -> None:
    """Write the tables and the page.

    Args:
        audit: what was found.
        folder: where to, see `headstart.workplace.check_folder`.
        shown: findings of each check on the page, at most; the tables hold all.
        show: whether to draw a progress bar.

    Raises:
        StorageError: if it cannot be written.
    """
    with storage_errors(folder, _HINT):
        folder.mkdir(parents=True, exist_ok=True)
        for name, (checks, columns) in TABLES.items():
            header = ("check", "kind", "path", "label", "side", *columns, "why")
            write_csv(folder / name, header, _rows(audit, checks, columns))
        (folder / PAGE).write_text(render(audit, shown, show), encoding="utf-8")


def _rows(audit: Audit, names: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for check in audit.checks:
        for finding in check.findings if check.name in names else ():
            figures = [finding.figures.get(column, "") for column in columns]
            for picture in finding.pictures:
                place = (picture.path, picture.label or "", picture.side or "")
                yield (check.name, finding.kind, *place, *figures, finding.why)


def render(audit: Audit, shown: int = SHOWN, show: bool = False) -> str:
    """The page: one file of HTML that asks nobody for anything.

    Args:
        audit: what was found.
        shown: findings of each check, at most.
        show: whether to draw a progress bar.
    """
    template = read_template(Path(__file__).with_name("page.html.j2"))
    sections = _Sections(audit, shown)
    with bar("drawing the page", None, "pictures", show) as advance:
        drawn = [sections.section(check, advance) for check in audit.checks]
    sides = [side for side in ("train", "val", "test") if any(side in of_class for of_class in audit.counts.values())]
    return template.render(audit=audit, sections=drawn, sides=sides)


class _Sections:
    """Makes what the page shows, as long as there is room on it."""

    def __init__(self, audit: Audit, shown: int):
        self._shown = min(shown, _PAGE_PICTURES // max(1, len(audit.checks)))
        self._bytes = _PAGE_BYTES
        self._pictures = _PAGE_PICTURES
        self._drawn: dict[str, str] = {}

    def section(self, check: Check, advance: Any) -> dict[str, Any]:
        """One check with its worst findings."""
        findings = [self._finding(finding, advance) for finding in check.findings[: self._shown]]
        return {"check": check, "findings": findings, "hidden": len(check.findings) - len(findings)}

    def _finding(self, finding: Finding, advance: Any) -> dict[str, Any]:
        pictures = []
        for picture in finding.pictures[: min(_MEMBERS, self._pictures)]:
            pictures.append({"picture": picture, "thumbnail": self._thumbnail(picture)})
            advance(1)
        self._pictures -= len(pictures)
        return {"finding": finding, "pictures": pictures, "hidden": len(finding.pictures) - len(pictures)}

    def _thumbnail(self, picture: Pictured) -> str:
        """A data URI; empty for what cannot be decoded, and when the page is full."""
        if picture.path not in self._drawn:
            found = thumbnail(picture.path)
            drawn = "" if found is None else found.uri
            if len(drawn) > self._bytes:
                return ""
            self._drawn[picture.path] = drawn
        self._bytes -= len(self._drawn[picture.path])
        return self._drawn[picture.path] if self._bytes >= 0 else ""
