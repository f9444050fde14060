"""The page in Chromium: no error, no request, every cell opens its pictures, by keyboard, in light and dark."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headstart.reporting.report import MOST_BYTES, write_report
from tests.browser import PHONE, WIDE, faults, needs_chromium
from tests.reporting.conftest import Made, drawn, fill
from tests.reporting.test_figures import said
from tests.reporting.test_report import HOSTILE

pytestmark = needs_chromium


class Seen:
    """A page that is open, with everything that went wrong.

    Attributes:
        page: of Playwright.
        trouble: what the console said, errors of scripts, and requests for anything but the file itself.
    """

    def __init__(self, browser, path: Path, **context):
        self._context = browser.new_context(**{"viewport": WIDE, "color_scheme": "light", **context})
        self.page = self._context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("request", lambda request: self._note(request.url, path.as_uri()))
        self.page.goto(path.as_uri())

    def _note(self, url: str, own: str) -> None:
        if url != own and not url.startswith("data:"):
            self.trouble.append(f"request: {url}")

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Seen]]:
    """Open a page; when the test is over nothing must have gone wrong."""
    opened: list[Seen] = []

    def opens(path: Path, **context: object) -> Seen:
        opened.append(Seen(browser, path, **context))
        return opened[-1]

    yield opens
    for seen in opened:
        seen.close()
        assert seen.trouble == []


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """Three classes, one with a name that means harm, 36 validation pictures, hostile names among them."""
    made = Made(tmp_path_factory.mktemp("made"), ("cats", "dogs", "<script>alert(1)</script>"))
    fill(made, train=8, val=12, test=4)
    for seed, name in enumerate(HOSTILE):
        made.picture(f"val/dogs/{name}", "val", "dogs", 900 + seed, drawn(seed, 3, 0, 9.0))
    shutil.copy(made.data / "val" / "cats" / "000.png", made.data / "train" / "cats" / "copy.png")
    digest = next(row[3] for row in made._split if row[0] == "val/cats/000.png")
    made.row("train/cats/copy.png", "train", "cats", digest)
    run = made.write(quarantined=[("broken.jpg", "damaged JPEG")])
    write_report(run)
    return made


def names_in(dialog) -> list[str]:
    return [" ".join(text.split()) for text in dialog.locator(".file").all_inner_texts()]


def check_cells(page, run: Path, shown: Callable[[str], str] = lambda name: name) -> int:
    """Click every cell of the matrix; compare what it opens with `predictions.csv`. Gives how many there were."""
    import csv

    labels, probabilities, _ = said(run, "val")
    with open(run / "predictions.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        names = [row["path"] for row in csv.DictReader(file) if row["side"] == "val"]
    cells: dict[str, list[str]] = {}
    for name, label, predicted in zip(names, labels, probabilities.argmax(1), strict=True):
        cells.setdefault(f"cell-{label}-{predicted}", []).append(shown(name))
    buttons = page.locator(".matrix button")
    assert buttons.count() == len(cells)
    for button in buttons.all():
        key = button.get_attribute("commandfor")
        assert int(button.inner_text().replace(",", "")) == len(cells[key])
        button.click()
        dialog = page.locator(f"#{key}")
        assert dialog.is_visible()
        assert sorted(names_in(dialog)) == sorted(cells[key])
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert page.evaluate("document.activeElement.getAttribute('commandfor')") == key
    return len(cells)


def shown(name: str) -> str:
    """How the page shows a name of the tables."""
    from headstart.texts import active, printable

    return " ".join(printable(active(name)).split())


def test_every_cell_opens_exactly_its_pictures_and_escape_goes_back(visit, made):
    assert check_cells(visit(made.folder / "report.html").page, made.folder, shown) >= 7


def test_every_picture_that_is_shown_is_drawn(visit, made):
    seen = visit(made.folder / "report.html")
    seen.page.locator(".matrix button").first.click()
    assert seen.page.locator("dialog[open] svg.picture").count() > 0
    sizes = seen.page.evaluate(
        "[...document.querySelectorAll('main svg.picture, dialog[open] svg.picture')]"
        ".map(each => each.getBoundingClientRect()).map(box => [box.width, box.height])"
    )
    assert all(width > 20 and height > 20 for width, height in sizes)
    assert seen.page.locator(".none").count() == 0


def test_a_cell_opens_and_closes_by_keyboard_alone(visit, made):
    page = visit(made.folder / "report.html").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.matrix button')"):
            break
    key = page.evaluate("document.activeElement.getAttribute('commandfor')")
    page.keyboard.press("Enter")
    assert page.locator(f"#{key}").is_visible()
    assert page.evaluate("document.activeElement.className") == "close"
    page.keyboard.press("Enter")
    assert not page.locator(f"#{key}").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('commandfor')") == key


def test_without_scripts_everything_can_be_read_and_cells_open_all_the_same(visit, made):
    page = visit(made.folder / "report.html", java_script_enabled=False).page
    assert page.locator("main section").count() >= 8
    page.locator(".matrix button").first.click()
    assert page.locator("dialog[open]").count() == 1


def test_browsers_that_do_not_know_commands_are_helped(browser, made):
    context = browser.new_context()
    context.add_init_script(
        "delete HTMLButtonElement.prototype.command; delete HTMLButtonElement.prototype.commandForElement;"
        "document.addEventListener('command', event => event.preventDefault(), true);"
    )
    page = context.new_page()
    page.goto((made.folder / "report.html").as_uri())
    page.locator(".matrix button").first.click()
    assert page.locator("dialog[open]").count() == 1
    page.locator("dialog[open] .close").click()
    assert page.locator("dialog[open]").count() == 0
    context.close()


def test_hostile_names_do_nothing(visit, made):
    page = visit(made.folder / "report.html").page
    assert page.locator("script").count() == 1
    assert page.get_by_text("val/dogs/<script>alert(1)<_script>.png").count() > 0
    assert page.evaluate("document.querySelectorAll('img, b > script, [onerror]').length") == 0


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(WIDE, "dark", id="wide-dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
    ],
)
def test_nobody_is_shut_out_and_nothing_is_cut_off(visit, made, scheme, size):
    check_access(visit(made.folder / "report.html", viewport=size, color_scheme=scheme).page)


def check_access(page) -> None:
    """No serious fault that axe-core finds, with a dialog open, too; and the page is no wider than the screen."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]
    found = faults(page)
    page.locator(".matrix button").first.click()
    assert found + faults(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("data", ["flowers", "cats_dogs"])
def test_the_page_of_real_pictures(visit, real_head, tmp_path, data):
    import headstart
    from tests.reporting.test_figures import check_page

    run = headstart.load(real_head(data))
    page = run.path / "report.html"
    assert page.stat().st_size < MOST_BYTES
    check_page(run.path, ("val",))
    for size in (WIDE, PHONE):
        for scheme in ("light", "dark"):
            seen = visit(page, viewport=size, color_scheme=scheme)
            check_access(seen.page)
    cells = check_cells(visit(page).page, run.path)
    assert cells == sum(n > 0 for row in run.metrics["confusion"] for n in row)
    text = page.read_text(encoding="utf-8")
    assert "not shown" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert len(re.findall('aria-label="Heat map of ', text)) == 8
    headstart.report(run, out=tmp_path / "again.html", progress=False)
    wrong = round(run.metrics["n"] * (1 - run.metrics["accuracy"]))
    text = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert len(re.findall('aria-label="Heat map of ', text)) == min(24, wrong)
    assert os.listdir(run.path).count("report.html") == 1
