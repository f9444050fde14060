"""What the page shows of answers."""

from typing import Any

import pytest

from tests.browser import needs_chromium
from tests.serving.page.standin import GLOW, model, said
from tests.serving.page.visiting import downloaded, give, table, texts, through, until

pytestmark = needs_chromium


def test_a_picture_becomes_classes_with_bars_and_percentages(visit, server):
    page = visit()
    server.answer = lambda name, data, query: said(name, ["roses", "tulips", "daisy"], 0.9)
    give(page, "mine.png")
    assert texts(page, ".answer") == ["roses 90.0 %"]
    assert texts(page, ".bars li") == ["roses 90.0 %", "tulips 5.0 %", "daisy 5.0 %"]
    widths = "[...document.querySelectorAll('.bar span')].map(bar => bar.offsetWidth / bar.parentNode.offsetWidth)"
    assert page.evaluate(widths) == pytest.approx([0.9, 0.05, 0.05], abs=0.01)
    assert page.title() == "flowers · headstart"
    assert texts(page, "#about") == [
        "Tells 5 classes apart · right on 89.8 % of its validation pictures · mobilenet_0.25"
    ]
    shown = page.locator(".seen img")
    size = [shown.evaluate("picture => picture.naturalWidth"), shown.evaluate("picture => picture.naturalHeight")]
    assert size == [40, 30]
    assert texts(page, "#status") == ["mine.png: roses, 90.0 %."]


@pytest.mark.slow
def test_what_is_nearly_sure_is_not_called_sure(visit, server):
    page = visit()
    server.answer = lambda name, data, query: said(name, ["roses", "tulips"], 0.9999)
    give(page, "mine.png")
    assert texts(page, ".bars li") == ["roses > 99.9 %", "tulips < 0.1 %"]


def test_a_warning_says_that_a_picture_is_unlike_the_training_data(visit, server):
    page = visit()
    server.answer = lambda name, data, query: said(name, ["roses", "tulips"], unlike=True, familiarity=0.0021)
    give(page, "mine.png")
    assert texts(page, ".remark.care p") == [
        "Unlike anything it has learned from 0.2 % of pictures like those are as unusual. Do not rely on what it says."
    ]
    assert texts(page, "#status") == ["mine.png: roses, 90.0 %. It is unlike anything it has learned from."]


@pytest.mark.slow
def test_a_model_that_cannot_tell_says_nothing_of_familiarity(visit, server):
    server.models = [model(knows_unlike=False, abstains=False, heatmaps=False, accuracy=None, backbone=None)]
    server.answer = lambda name, data, query: said(name, ["roses", "tulips"], unlike=None, familiarity=None)
    page = visit()
    give(page, "mine.png")
    assert texts(page, ".remarks") == [""]
    assert texts(page, "#about") == ["Tells 5 classes apart"]
    assert not page.is_visible("#precision")
    assert not page.is_visible(".switch")


def test_the_wish_for_precision_is_asked_for_and_what_is_unsure_is_left_unanswered(visit, server):
    def answer(name: str, data: bytes, query: dict[str, str]) -> dict[str, Any]:
        return said(name, ["roses", "tulips"], 0.6, abstained=query.get("min_precision") == "0.95")

    server.answer = answer
    page = visit()
    give(page, "mine.png")
    assert texts(page, ".answer") == ["roses 60.0 %"]
    page.select_option("#precision", "0.95")
    page.wait_for_selector(".answer.doubtful")
    assert texts(page, ".answer") == ["No answer"]
    assert texts(page, ".remark p") == [
        "Not sure enough To be right 95 % of the time it says nothing here. Its best guess is roses with 60.0 %."
    ]
    assert [query.get("min_precision") for query, _ in server.asked] == [None, "0.95"]
    assert table(downloaded(page))[1] == ["mine.png", "1", "", "0.6", "not sure enough"]


def test_the_heat_map_is_asked_for_once_and_only_when_wanted(visit, server):
    page = visit()
    give(page, "mine.png")
    before = page.get_attribute(".seen img", "src")
    page.click(".switch")
    page.wait_for_selector(f'.seen img[src="{GLOW}"]')
    assert page.get_attribute(".seen img", "alt") == "Heat map of mine.png"
    assert texts(page, ".seen figcaption") == ["What speaks for daisy glows"]
    page.click(".switch")
    assert page.get_attribute(".seen img", "src") == before
    page.click(".switch")
    assert page.get_attribute(".seen img", "src") == GLOW
    assert [query.get("heatmap") for query, _ in server.asked] == [None, "true"]


@pytest.mark.slow
def test_a_heat_map_that_fails_says_why_and_leaves_the_answer(visit, server):
    page = visit()
    give(page, "mine.png")
    server.refusals.append((422, "it ends in a way that has no heat maps.", {}))
    page.click(".switch")
    page.wait_for_selector(".remark.bad")
    assert texts(page, ".remark.bad p") == ["No heat map it ends in a way that has no heat maps."]
    assert page.get_attribute(".switch", "aria-pressed") == "false"
    assert texts(page, ".answer") == ["daisy 90.0 %"]


def test_what_is_wrong_with_one_picture_is_said_in_its_place(visit, server):
    def answer(name: str, data: bytes, query: dict[str, str]) -> dict[str, Any]:
        return {"name": name, "error": "damaged PNG"} if name == "bad.png" else said(name, ["roses", "daisy"])

    server.answer = answer
    page = visit()
    give(page, "a.png", "bad.png", "c.png")
    assert texts(page, ".card .remark p") == ["Not classified damaged PNG"]
    assert texts(page, ".card.failed .file") == ["bad.png"]
    assert texts(page, "#results-title") == ["3 pictures"]


@pytest.mark.slow
def test_the_number_of_classes_shown_is_chosen(visit, server):
    page = visit()
    assert texts(page, "#top option") == ["1", "3", "5"]
    give(page, "mine.png")
    page.select_option("#top", "3")
    until(page, "document.querySelectorAll('.bars li').length === 3")
    assert [query["top"] for query, _ in server.asked] == ["5", "3"]


def test_another_model_is_asked_about_everything_again(visit, server):
    server.models = [model(), model("animals <b>", classes=["cats", "dogs"], abstains=False)]
    server.answer = lambda name, data, query: said(name, ["cats", "dogs"][: int(query["top"])])
    page = visit()
    give(page, "a.png", "b.png")
    page.select_option("#model", "animals <b>")
    until(page, "document.querySelectorAll('.answer').length === 2")
    assert page.inner_text("h1") == "animals <b>"
    assert server.names() == ["a.png", "b.png"] * 2
    assert [query["top"] for query, _ in server.asked] == ["5", "5", "2", "2"]
    assert not page.is_visible("#precision")


@pytest.mark.slow
def test_a_heat_map_that_comes_after_another_model_was_chosen_is_not_shown(visit, server):
    server.models = [model(), model("other")]
    page = visit()
    give(page, "mine.png")
    server.gate.clear()
    page.click(".switch")
    page.click(".switch")
    page.click(".switch")
    page.select_option("#model", "other")
    server.gate.set()
    through(page)
    page.wait_for_timeout(300)
    assert page.locator(".hot").count() == 0
    assert page.get_attribute(".switch", "aria-pressed") == "false"
    assert [query.get("heatmap") for query, _ in server.asked].count("true") == 1
