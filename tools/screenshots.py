"""Screenshots of a page for the documents: `python tools/screenshots.py RUN/report.html NAME [KIND ...]`.

They come into docs/images. KIND is wide, wide-dark, phone or phone-dark; without any it is all of them.
Photographs on it are blurred: they belong to others.
Needs headstart[dev] and Debian's chromium. Each is below 300 kB: 256 colours, and no longer than says most.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 300_000
BLUR = "svg:has(> use) { filter: blur(5px) }"


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


def main(path: str, name: str, *kinds: str) -> None:
    """Take those that are asked for."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for kind in kinds or ("wide", "wide-dark", "phone", "phone-dark"):
            width, height = (1280, 2350) if kind.startswith("wide") else (390, 2700)
            scheme = "dark" if kind.endswith("dark") else "light"
            size = {"width": width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
            page.goto(Path(path).resolve().as_uri())
            page.add_style_tag(content=BLUR)
            shoot(page, IMAGES / f"{name}-{kind}.png", height)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
