"""Screenshots of pages for the documents.

    python tools/screenshots.py RUN/report.html NAME [KIND ...]                        a report
    python tools/screenshots.py http://127.0.0.1:8000 NAME [KIND ...] -- PICTURE ...   the page of `headstart serve`

They come into docs/images. KIND is wide, wide-dark, phone or phone-dark; without any it is all of them.
Photographs are blurred: they belong to others. The last picture given to a server is shown with its heat map.
Needs headstart[dev] and Debian's chromium. Each is below 300 kB: 256 colours, and no longer than says most.
"""

import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 300_000
BLUR = "svg:has(> use), .seen img { filter: blur(5px) }"
KINDS = ("wide", "wide-dark", "phone", "phone-dark")
PRECISION = "0.98"


def shoot(page: Page, target: Path, height: int) -> None:
    """Save the top of a page, in as many colours as fit."""
    shown = page.screenshot(full_page=True)
    with Image.open(io.BytesIO(shown)) as whole:
        top = whole.convert("RGB").crop((0, 0, whole.width, min(height, whole.height)))
    for colours in (256, 128, 64, 32):
        top.quantize(colours, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size < MOST_BYTES:
            break
    print(target, f"{target.stat().st_size:,} bytes in {colours} colours")


def opened(browser: Browser, kind: str, height: int) -> Page:
    """A page of some size and colours that lets itself be blurred."""
    scheme = "dark" if kind.endswith("dark") else "light"
    is_phone = kind.startswith("phone")
    size = {"width": 390 if is_phone else 1280, "height": height}
    return browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True, has_touch=is_phone)


def report(browser: Browser, path: str, name: str, kind: str) -> None:
    """A report."""
    page = opened(browser, kind, 900)
    page.goto(Path(path).resolve().as_uri())
    page.add_style_tag(content=BLUR)
    shoot(page, IMAGES / f"{name}-{kind}.png", 2350 if kind.startswith("wide") else 2700)


def served(browser: Browser, url: str, name: str, kind: str, pictures: Sequence[str]) -> None:
    """The page of a server, with what it says of some pictures: one alone, or several and the wish for precision."""
    page = opened(browser, kind, 900 if kind.startswith("wide") else 844)
    page.goto(url)
    page.add_style_tag(content=BLUR)
    page.wait_for_selector("#top option", state="attached")
    if len(pictures) > 1:
        page.select_option("#precision", PRECISION)
    page.set_input_files("#files", list(pictures))
    page.wait_for_selector(f".card:nth-child({len(pictures)}) :is(.answer, .bad)", state="attached")
    page.wait_for_selector("#progress", state="hidden")
    page.locator(".switch").last.click()
    page.wait_for_selector(".hot")
    page.mouse.move(0, 0)
    for _ in range(2):  # no screenshot of a full page, in which a phone is none; and what is not seen has no height yet
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": page.viewport_size["width"], "height": tall})
    shoot(page, IMAGES / f"{name}-{kind}.png", 2350 if kind.startswith("wide") else 2700)


def main(source: str, name: str, *more: str) -> None:
    """Take those that are asked for."""
    IMAGES.mkdir(exist_ok=True)
    end = more.index("--") if "--" in more else len(more)
    kinds, pictures = more[:end], more[end + 1 :]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for kind in kinds or KINDS:
            if source.startswith("http"):
                served(browser, source, name, kind, pictures)
            else:
                report(browser, source, name, kind)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
