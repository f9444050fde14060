"""Where the drawn explanations go: one PNG for one picture, a sheet for several, or a folder with one for each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from headstart.errors import RecipeError, RunError
from headstart.explaining.canvas import check_png, in_short, write_png
from headstart.explaining.explain import TITLES, Explanation
from headstart.explaining.sheets import MOST_ON_A_SHEET, in_detail, in_grid
from headstart.objects.addresses import require_local

ENDING = ".explained.png"


class Writer(Protocol):
    """Anything that explanations are given to be drawn."""

    def add(self, explanation: Explanation) -> Path:
        """Take one; gives the file that it is in once `close` is called."""
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


def writer_for(paths: Sequence[str], out: str | None, top: int) -> Writer:
    """Decide where explanations go, before anything is computed.

    Args:
        paths: the pictures.
        out: a PNG; or a folder, which is what has no ending or is one already; None for a PNG in the working folder,
            named after the picture where there is one.
        top: how many classes are named.

    Raises:
        InputError: if nothing can be written there, or there are too many pictures for a sheet.
    """
    require_local(out or "", "an explanation")
    if out is not None and (Path(out).is_dir() or not Path(out).suffix):
        return _Folder(Path(out), top)
    usual = f"{_stem(paths[0])}{ENDING}" if len(paths) == 1 else f"pictures{ENDING}"
    file = check_png(Path(out or usual))
    if len(paths) > MOST_ON_A_SHEET:
        raise RecipeError(
            [f"{len(paths)} pictures are more than a sheet takes, {MOST_ON_A_SHEET}. Give a folder as --out."]
        )
    return _OneFile(file, top, in_detail=len(paths) == 1)


class _OneFile:
    def __init__(self, file: Path, top: int, in_detail: bool):
        self._file = file
        self._top = top
        self._in_detail = in_detail
        self._kept: list[Explanation] = []

    def add(self, explanation: Explanation) -> Path:
        self._kept.append(explanation)
        return self._file

    def close(self) -> None:
        if self._kept:
            drawn = in_detail(self._kept[0], self._top) if self._in_detail else in_grid(self._kept)
            write_png(drawn, self._file, _about(self._kept[0]))


class _Folder:
    def __init__(self, folder: Path, top: int):
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file. Give another --out, or one that ends in .png.")
        self._folder = folder
        self._top = top
        self._taken: Counter[str] = Counter()

    def add(self, explanation: Explanation) -> Path:
        stem = _stem(explanation.path)
        self._taken[stem] += 1
        again = f"-{self._taken[stem]}" if self._taken[stem] > 1 else ""  # of pictures with one name in two folders
        file = check_png(self._folder / f"{stem}{again}{ENDING}")
        write_png(in_detail(explanation, self._top), file, _about(explanation))
        return file

    def close(self) -> None:
        return


def _stem(path: str) -> str:
    return Path(path).stem


def _about(explanation: Explanation) -> dict[str, str]:
    return {"Title": f"{TITLES[explanation.method]}, {explanation.layer}", "Source": in_short(explanation.path)}
