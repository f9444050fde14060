"""Names from outside do nothing, and nobody is shut out."""

import csv
import io
import re
from typing import Any

import pytest

from tests.browser import PHONE, WIDE, faults, needs_chromium
from tests.serving.page.standin import GLOW, PAGE, StandIn, model, said
from tests.serving.page.visiting import downloaded, give, texts, until, upload

pytestmark = needs_chromium

ODD = ["<script>alert(1)</script>", "وردة", "🌷 tulip 👩‍🌾", "=SUM(A1)", "exe\u202egnp.cod"]


def test_hostile_names_are_shown_and_do_nothing(visit, server):
    server.models = [model(ODD[0], classes=ODD)]
    page = visit()
    names = ["<img src=x onerror=alert(1)>.png", "=cmd|' -C calc'!A0.png", "exe\u202egnp.png"]
    give(page, *names)
    shown = [names[0], names[1], "exe\\u202egnp.png"]
    assert texts(page, ".file") == shown
    assert texts(page, ".bars li:first-child .class") == [ODD[0]] * 3
    assert texts(page, ".card:first-child .bars .class") == [*ODD[:4], "exe\\u202egnp.cod"]
    assert page.evaluate("document.querySelectorAll('.card script, [onerror], [style*=url]').length") == 0
    assert page.inner_text("h1") == ODD[0]
    rows = list(csv.reader(io.StringIO(downloaded(page), newline="")))
    assert rows[0] == ["path", "place", "label", "probability", "note"]
    assert [row[0] for row in rows[1::5]] == [names[0], f"'{names[1]}", names[2]]
    assert [row[2] for row in rows[1:6]] == [*ODD[:3], f"'{ODD[3]}", ODD[4]]


def test_the_table_is_copied_as_a_spreadsheet_takes_it(visit, server):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    server.answer = lambda name, data, query: said(name, ["+roses", "a\tb"], 0.75, unlike=True)
    give(page, "mine.png")
    page.click("#copy")
    until(page, "document.querySelector('#copy').textContent === 'Copied'")
    rows = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").split("\n")]
    assert rows == [
        ["path", "place", "label", "probability", "note"],
        ["mine.png", "1", "'+roses", "0.75", "unlike the training data"],
        ["mine.png", "2", "a b", "0.25", "unlike the training data"],
    ]
    assert page.inner_text("#status") == "The table is copied."


def test_nothing_on_the_page_makes_markup_of_text_or_needs_more_than_its_policy():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), path
        assert not re.search(r"<[^>]*\s(style|on\w+)=", text), path
        assert not re.search(r"(?<!xmlns=\")https?://", text), path


def full(page: Any, server: StandIn) -> None:
    """Show everything that can be shown."""

    def answer(name: str, data: bytes, query: dict[str, str]) -> dict[str, Any]:
        if name == "bad.png":
            return {"name": name, "error": "damaged PNG " * 8}
        glow = GLOW if query.get("heatmap") else None
        more = {"unlike": name == "a.png", "abstained": name == "b.png", "heatmap": glow}
        return said(name, [*server.models[0]["classes"][:3], "a" * 120], 0.7, **more)

    server.answer = answer
    page.wait_for_selector("#top option", state="attached")
    page.select_option("#precision", "0.95")
    give(page, "a.png", "b.png", "c" * 120 + ".png", "bad.png")
    page.locator(".switch").nth(2).click()
    page.wait_for_selector(".hot")
    page.click("#known summary")


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(WIDE, "dark", id="wide-dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
        pytest.param({"width": 320, "height": 640}, "light", id="small-light", marks=pytest.mark.slow),
    ],
)
def test_nobody_is_shut_out_and_nothing_is_cut_off(visit, server, size, scheme):
    server.models = [model(), model("another model with a name that is rather long", classes=["a", "b"])]
    page = visit(viewport=size, color_scheme=scheme, has_touch=size["width"] < 400)
    page.wait_for_selector("#top option", state="attached")
    found = faults(page)
    full(page, server)
    server.refusals.append((500, "something is wrong", {}))
    page.set_input_files("#files", upload("d.png", "e.png"))
    page.wait_for_selector("#alert:not([hidden])")
    found += faults(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert too_small(page) == []
    page.evaluate("document.querySelector('#door').showModal()")
    assert found + faults(page) == []


def too_small(page: Any) -> list[str]:
    """What a finger cannot hit: less than 44 pixels of height or width (WCAG 2.2, 2.5.5)."""
    return page.evaluate(
        """[...document.querySelectorAll("button, select, summary, input")]
            .filter(each => each.checkVisibility())
            .filter(each => each.getBoundingClientRect().height < 44 || each.getBoundingClientRect().width < 44)
            .map(each => each.outerHTML)"""
    )


def test_the_focus_goes_down_the_page_and_is_seen_everywhere(visit, server):
    server.models = [model(), model("other")]
    page = visit()
    give(page, "a.png", "b.png")
    order = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(20):
        page.keyboard.press("Tab")
        name, ring = page.evaluate(
            """(({activeElement: at}) => [at.id || at.getAttribute("aria-label") || at.className || at.localName,
                getComputedStyle(at).outlineStyle])(document)"""
        )
        if name == "filled":  # the whole page: it begins again
            break
        order.append(name)
        assert ring != "none", name
    assert order == [
        "skip",
        "model",
        "choose",
        "top",
        "precision",
        "summary",
        "copy",
        "download",
        "clear",
        *("Heat map of a.png", "Remove a.png", "Heat map of b.png", "Remove b.png"),
    ]


def test_without_scripts_the_page_says_what_to_do(visit):
    page = visit(java_script_enabled=False)
    assert "headstart predict RUN PICTURE" in page.inner_text("noscript")
