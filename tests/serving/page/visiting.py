"""How tests use the page: they open it, give it pictures, wait, and read what is there."""

import csv
import io
import time
from typing import Any

import cv2

from headstart.texts import active
from tests.browser import WIDE
from tests.conftest import make_picture


class Seen:
    """The page, with everything that went wrong.

    Attributes:
        page: of Playwright.
        trouble: what the console said, errors of scripts, and requests for anything but the server.
    """

    def __init__(self, browser: Any, url: str, **context: Any):
        self._context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context})
        self._context.set_default_timeout(15_000)
        self.page = self._context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self._note(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self._note(f"error: {error}"))
        self.page.on("request", lambda request: self._request(request.url, url))
        self.page.goto(url)

    def _note(self, text: str) -> None:
        if not text.startswith("console: Failed to load resource: the server responded"):  # the page says it, too
            self.trouble.append(text)

    def _request(self, url: str, own: str) -> None:
        if not url.startswith((own, "data:", f"blob:{own}")):
            self.trouble.append(f"request: {url}")

    def close(self) -> None:
        self._context.close()


def png(seed: int = 0, size: tuple[int, int] = (30, 40)) -> bytes:
    return bytes(cv2.imencode(".png", make_picture(seed, size))[1])


def upload(*names: str, size: tuple[int, int] = (30, 40)) -> list[dict[str, Any]]:
    """Files as Playwright puts them into a chooser."""
    return [{"name": name, "mimeType": "image/png", "buffer": png(seed, size)} for seed, name in enumerate(names)]


def give(page: Any, *names: str, **more: Any) -> None:
    """Choose files, and wait until something is said of each."""
    page.set_input_files("#files", upload(*names, **more))
    through(page)


def until(page: Any, so: str, seconds: float = 15) -> None:
    """Wait for something to be so; Playwright's own way would have to evaluate a string, which the policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(so):
        assert time.monotonic() < end, so
        page.wait_for_timeout(20)


def through(page: Any) -> None:
    until(
        page,
        "document.querySelector('#progress').hidden && document.querySelector('.card')"
        " && [...document.querySelectorAll('.card')].every(card => card.querySelector('.answer, .bad'))",
    )


def transfer(page: Any, *names: str) -> Any:
    """What a drag or the clipboard carries."""
    return page.evaluate_handle(
        """([names, bytes]) => {
            const found = new DataTransfer();
            for (const name of names) found.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            return found;
        }""",
        [list(names), list(png())],
    )


def texts(page: Any, selector: str) -> list[str]:
    """The text of each, also where it is off the screen, so that the browser has not laid it out."""
    found = page.locator(selector).evaluate_all(
        """all => all.map(one => {
            const nodes = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
            const words = [];
            while (nodes.nextNode()) words.push(nodes.currentNode.data);
            return words.join(" ");
        })"""
    )
    return [" ".join(text.split()) for text in found]


def table(text: str) -> list[list[str]]:
    return [[active(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


def downloaded(page: Any) -> str:
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename.endswith(".csv")
    return waiting.value.path().read_bytes().decode()
