"""What tests of pages share: sizes of screens, and what axe-core finds."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium, of Playwright's synchronous kind, which keeps an event loop running as long as it is there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'headstart[dev]'")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def faults(page) -> list[str]:
    """The serious and critical faults of a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]
