"""Many pictures on the page: stopped, removed, picked out."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser import PHONE, needs_chromium
from tests.serving.page.standin import StandIn, model, said
from tests.serving.page.visiting import downloaded, give, table, texts, through, until, upload

pytestmark = needs_chromium


def test_what_waits_can_be_stopped_and_goes_on(visit, server):
    server.gate.clear()
    page = visit()
    names = [f"{number}.png" for number in range(5)]
    page.set_input_files("#files", upload(*names))
    page.wait_for_selector("#progress:not([hidden])")
    assert page.inner_text("#pace") == "0 of 5"
    page.click("#stop")
    assert page.inner_text("#pace") == "Stopped: 5 pictures still waiting"
    assert page.inner_text("#stop") == "Go on"
    server.gate.set()
    page.wait_for_timeout(300)
    assert page.locator(".answer").count() == 0  # not even what was under way
    server.asked.clear()
    page.click("#stop")
    through(page)
    assert server.names() == names


def test_removing_a_picture_moves_the_focus_to_the_next_and_forgets_it(visit, server):
    page = visit()
    give(page, "a.png", "b.png", "c.png")
    page.get_by_role("button", name="Remove b.png").click()
    assert texts(page, ".file") == ["a.png", "c.png"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove c.png"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove a.png"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "choose"
    assert not page.is_visible("#results")


@pytest.mark.slow
def test_a_picture_that_is_removed_while_it_waits_is_not_sent(visit, server):
    server.gate.clear()
    page = visit()
    page.set_input_files("#files", upload("a.png", "b.png", "c.png", "d.png"))
    page.wait_for_selector("#progress:not([hidden])")
    page.get_by_role("button", name="Remove c.png").click()
    server.gate.set()
    through(page)
    assert server.names() == ["a.png", "b.png", "d.png"]


@pytest.mark.slow
def test_clear_empties_the_page_and_what_comes_late_is_not_shown(visit, server):
    server.gate.clear()
    page = visit()
    page.set_input_files("#files", upload("a.png", "b.png"))
    page.wait_for_selector("#progress:not([hidden])")
    page.click("#clear")
    server.gate.set()
    assert page.locator(".card").count() == 0
    give(page, "new.png")
    assert texts(page, ".file") == ["new.png"]


def test_pictures_of_one_kind_can_be_picked_out(visit, server):
    def answer(name: str, data: bytes, query: dict[str, str]) -> dict[str, Any]:
        if name == "bad.png":
            return {"name": name, "error": "damaged"}
        return said(name, ["roses", "daisy"] if name < "c" else ["daisy", "roses"], unlike=name == "a.png")

    server.answer = answer
    page = visit()
    give(page, "a.png", "b.png", "bad.png", "c.png")
    assert texts(page, "#filter option") == [
        "all (4)",
        "unlike the training data (1)",
        "not classified (1)",
        "roses (2)",
        "daisy (1)",
    ]
    for chosen, names in (
        ("kind:unlike", ["a.png"]),
        ("kind:error", ["bad.png"]),
        ("label:roses", ["a.png", "b.png"]),
        ("", ["a.png", "b.png", "bad.png", "c.png"]),
    ):
        page.select_option("#filter", chosen)
        assert texts(page, ".card:not([hidden]) .file") == names
    page.select_option("#filter", "label:daisy")
    assert [row[0] for row in table(downloaded(page))[1:]] == ["c.png", "c.png"]


@pytest.mark.slow
def test_two_hundred_pictures_and_a_thousand_classes(visit, server):
    classes = [f"class {number:04d} with a name that is rather long" for number in range(1000)]
    server.models = [model(classes=classes)]
    server.answer = lambda name, data, query: said(name, classes[int(name[:3]) :][: int(query["top"])])
    page = visit(viewport=PHONE)
    names = [f"{number:03d}.png" for number in range(200)]
    page.set_input_files("#files", upload(*names))
    until(page, "/^[0-9]+ of 200/.test(document.querySelector('#pace').textContent)")
    until(page, "document.querySelectorAll('.answer').length === 200", 60)
    assert server.names() == names
    assert page.locator("#classes li").count() == 1000
    assert texts(page, "#known summary") == ["All 1,000 classes"]
    page.click("#known summary")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".file").all_text_contents() == names
    assert len(table(downloaded(page))) == 1 + 200 * 5


def test_speed_and_time_left_are_said_when_it_takes_longer(visit, server):
    page = visit()
    page.clock.install()
    server.gate.clear()
    page.set_input_files("#files", upload("a.png", "b.png", "c.png", "d.png"))
    page.wait_for_selector("#progress:not([hidden])")
    page.clock.fast_forward(4000)
    server.answer = slow_after_first(server)
    server.gate.set()
    until(page, "document.querySelector('#pace').textContent.startsWith('1 of 4')")
    assert re.fullmatch(r"1 of 4 · 0\.[12] a second · 1[2-9] s left", page.inner_text("#pace"))
    server.gate.set()
    through(page)


def slow_after_first(server: StandIn) -> Callable[..., dict[str, Any]]:
    """Answer one request, then wait for the gate again."""

    def answer(name: str, data: bytes, query: dict[str, str]) -> dict[str, Any]:
        if name == "a.png":
            server.gate.clear()
        return said(name, ["roses", "daisy"])

    return answer
