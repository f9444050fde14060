"""The page, and the server behind it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import chromium
from tests.serving.page.standin import StandIn
from tests.serving.page.visiting import Seen


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """A browser for all tests of the page."""
    with chromium() as found:
        yield found


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn().running() as running:
        yield running


@pytest.fixture
def visit(browser: Any, server: StandIn) -> Iterator[Callable[..., Any]]:
    """Open the page; when the test is over nothing must have gone wrong."""
    opened: list[Seen] = []

    def opens(**context: Any) -> Any:
        opened.append(Seen(browser, server.url, **context))
        return opened[-1].page

    yield opens
    for seen in opened:
        seen.close()
        assert seen.trouble == []
