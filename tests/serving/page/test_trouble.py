"""What the page does when things go wrong."""

import pytest

from tests.browser import needs_chromium
from tests.serving.page.standin import model
from tests.serving.page.visiting import give, through, until, upload

pytestmark = needs_chromium


def test_a_busy_server_is_asked_again(visit, server):
    server.refusals.append((503, "busy", {"Retry-After": "1"}))
    page = visit()
    page.set_input_files("#files", upload("a.png"))
    until(page, "document.querySelector('#pace').textContent === 'The server is busy. Trying again in 1 s.'")
    through(page)
    assert server.names() == ["a.png"]
    assert not page.is_visible("#alert")


def test_an_error_stops_the_queue_and_trying_again_goes_on(visit, server):
    server.refusals.append((500, "the model in <run> does not run.", {}))
    page = visit()
    page.set_input_files("#files", upload("a.png", "b.png"))
    page.wait_for_selector("#alert:not([hidden])")
    assert page.inner_text("#trouble") == "the model in <run> does not run."
    assert page.inner_text("#pace") == "Stopped: 2 pictures still waiting"
    page.click("#again")
    through(page)
    assert server.names() == ["a.png", "b.png"]
    assert not page.is_visible("#alert")


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_to_be(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("#top option", state="attached")
    page.route("**/predict?*", lambda route: route.abort())
    page.set_input_files("#files", upload("a.png"))
    page.wait_for_selector("#alert:not([hidden])")
    assert page.inner_text("#trouble") == "The server does not answer. Is it still running, and is the network there?"
    page.unroute("**/predict?*")
    page.click("#again")
    through(page)
    context.close()


def test_a_token_is_asked_for_and_kept_for_this_tab(visit, server):
    server.token = "right"
    page = visit()
    page.wait_for_selector("#door[open]")
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#door-text').textContent.startsWith('That was not it.')")
    page.fill("#token", "right")
    page.keyboard.press("Enter")
    give(page, "a.png")
    assert server.names() == ["a.png"]
    page.reload()
    give(page, "b.png")
    assert not page.is_visible("#door")
    assert page.evaluate("[localStorage.length, document.cookie, location.search]") == [0, "", ""]


@pytest.mark.slow
def test_who_has_no_token_is_told_and_may_try_again(visit, server):
    server.token = "right"
    page = visit()
    page.wait_for_selector("#door[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#alert:not([hidden])")
    assert page.inner_text("#trouble") == "This server answers only those who have its token."
    page.click("#again")
    page.fill("#token", "right")
    page.click("#door .main")
    until(page, "document.querySelector('h1').textContent === 'flowers'")
    assert not page.is_visible("#alert")


def test_trying_again_learns_what_the_server_has_now(visit, server):
    server.refusals.append((404, "there is no model 'flowers'.", {}))
    page = visit()
    page.set_input_files("#files", upload("a.png"))
    page.wait_for_selector("#alert:not([hidden])")
    server.models = [model("other", classes=["cats", "dogs"])]
    page.click("#again")
    through(page)
    assert page.inner_text("h1") == "other"
    assert server.names() == ["a.png"]


@pytest.mark.slow
def test_a_server_without_models_says_so(visit, server):
    server.models = []
    page = visit()
    page.wait_for_selector("#alert:not([hidden])")
    assert page.inner_text("#trouble") == "This server has no model."
