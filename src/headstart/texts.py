"""Names that come from outside on their way to a terminal or a spreadsheet: shown, never obeyed."""

from typing import TypeVar

Cell = TypeVar("Cell")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = 200


def printable(text: str) -> str:
    r"""A text in one line, in which what would move the cursor or turn the writing round is written as an escape.

    A file may be called `a\nb`, hold the codes that clear a screen, or a right-to-left mark that makes `gpj.exe` of
    `exe.jpg`.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def inert(cell: Cell) -> Cell | str:
    """A cell that no spreadsheet takes for a formula: a text that looks like one gets an apostrophe in front.

    Source: OWASP, CSV Injection.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def active(cell: str) -> str:
    """What a cell was before `inert`. A text that began with an apostrophe and such a sign itself loses it."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


def short(text: object) -> str:
    """A text from outside in one line of bearable length."""
    line = printable(str(text))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
