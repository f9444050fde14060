"""The page of a server in Chromium: pictures in by every way, answers as they are meant, nobody shut out."""

import csv
import io
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from headstart.texts import active
from tests.browser import PHONE, WIDE, faults, needs_chromium
from tests.conftest import make_picture
from tests.serving.standin import GLOW, PAGE, StandIn, model, said

pytestmark = needs_chromium

ODD = ["<script>alert(1)</script>", "وردة", "🌷 tulip 👩‍🌾", "=SUM(A1)", "exe\u202egnp.cod"]


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
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def table(text: str) -> list[list[str]]:
    return [[active(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


def downloaded(page: Any) -> str:
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename.endswith(".csv")
    return waiting.value.path().read_bytes().decode()


# ---- answers


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
    assert page.inner_text("#status") == "mine.png: roses, 90.0 %."


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
    assert page.inner_text("#status") == "mine.png: roses, 90.0 %. It is unlike anything it has learned from."


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
    assert page.get_attribute(".seen img", "alt") == "Heat map of mine.png: what speaks for daisy glows"
    page.click(".switch")
    assert page.get_attribute(".seen img", "src") == before
    page.click(".switch")
    assert page.get_attribute(".seen img", "src") == GLOW
    assert [query.get("heatmap") for query, _ in server.asked] == [None, "true"]


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


# ---- ways in


def test_many_pictures_are_sent_in_order_a_few_at_a_time(visit, server):
    page = visit()
    names = [f"{number}.png" for number in range(20)]
    give(page, *names)
    assert server.names() == names
    assert [len(pictures) for _, pictures in server.asked] == [1, 2, 4, 8, 5]
    assert texts(page, ".file") == names
    give(page, "last.png")
    assert texts(page, ".file") == ["last.png", *names]
    assert all(data == png(seed) for seed, (_, data) in enumerate(itertools.chain(*(p for _, p in server.asked[:5]))))


def test_no_request_has_more_than_the_server_takes(visit, server):
    server.limits |= {"pictures": 3, "body_bytes": 4096 + int(2.5 * len(png()))}
    page = visit()
    give(page, *(f"{number}.png" for number in range(7)))
    assert max(len(pictures) for _, pictures in server.asked) == 2
    assert len(server.names()) == 7


def test_pictures_can_be_dropped_anywhere(visit, server):
    page = visit()
    carried = transfer(page, "a.png", "b.png")
    page.dispatch_event("footer", "dragover", {"dataTransfer": carried})
    assert page.is_visible("#dropping")
    page.dispatch_event("footer", "drop", {"dataTransfer": carried})
    through(page)
    assert not page.is_visible("#dropping")
    assert server.names() == ["a.png", "b.png"]


def test_a_drag_that_leaves_or_carries_no_files_is_let_go(visit):
    page = visit()
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer(page, "a.png")})
    page.dispatch_event("body", "dragleave")
    assert not page.is_visible("#dropping")
    page.dispatch_event("main", "dragover", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    assert not page.is_visible("#dropping")


def test_pictures_can_be_pasted_and_those_without_a_name_get_one(visit, server):
    page = visit()
    for names in (["image.png"], ["image.png", "named.png"]):
        page.evaluate(
            "carried => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: carried, bubbles: true}))",
            transfer(page, *names),
        )
    until(page, "document.querySelectorAll('.answer').length === 3")
    assert sorted(server.names()) == ["named.png", "pasted-1.png", "pasted-2.png"]


def test_the_drop_zone_is_a_button_for_the_keyboard_and_phones_have_a_camera(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#choose"
    page.wait_for_selector("#top option", state="attached")
    page.focus("#choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    assert not page.is_visible("#photograph")
    phone = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    phone.wait_for_selector("#top option", state="attached")
    with phone.expect_file_chooser() as chooser:
        phone.tap("#photograph")
    assert chooser.value.element.get_attribute("capture") == "environment"


def test_pictures_that_come_before_the_models_are_known_wait_for_them(browser, server):
    context = browser.new_context()
    page = context.new_page()
    held = []
    page.route("**/api/models", lambda route: held.append(route))
    page.goto(server.url)
    page.set_input_files("#files", upload("early.png"))
    page.wait_for_selector(".card")
    assert server.asked == []
    held[0].continue_()
    through(page)
    assert server.names() == ["early.png"]
    context.close()


# ---- what is too large


def test_a_picture_of_too_many_pixels_is_made_smaller_and_that_is_said(visit, server):
    server.limits["pixels"] = 6000
    page = visit()
    give(page, "large.png", "small.png", size=(200, 100))
    (_, data), *_ = server.asked[0][1]
    sent = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert sent.shape == (109, 54, 3)
    expected = cv2.resize(make_picture(0, (200, 100)), (54, 109), interpolation=cv2.INTER_AREA)
    assert np.abs(sent.astype(int) - expected).mean() < 4
    note = "Sent as 54 x 109 pixels rather than 100 x 200: the server takes at most 6,000 pixels."
    assert note in texts(page, ".card .soft")


def test_a_file_of_too_many_bytes_is_made_smaller(visit, server):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    data = bytes(cv2.imencode(".png", noise)[1])
    server.limits["body_bytes"] = 60_000
    page = visit()
    page.set_input_files("#files", [{"name": "noise.png", "mimeType": "image/png", "buffer": data}])
    through(page)
    ((_, pictures),) = server.asked
    assert len(data) > 200_000 > 60_000 > len(pictures[0][1])
    assert "the server takes at most 0.1 MB." in " ".join(texts(page, ".card .soft"))


def test_what_the_browser_cannot_see_is_sent_as_it_is_unless_it_is_too_large(visit, server):
    server.limits["body_bytes"] = 100_000
    page = visit()
    files = [
        {"name": "a.tiff", "mimeType": "image/tiff", "buffer": b"II*\0" + bytes(50_000)},
        {"name": "b.tiff", "mimeType": "image/tiff", "buffer": b"II*\0" + bytes(100_000)},
    ]
    page.set_input_files("#files", files)
    through(page)
    assert server.names() == ["a.tiff"]
    assert texts(page, ".card.failed .remark p") == [
        "Not classified It has 0.1 MB, the server takes 0.1 MB, and this browser cannot make it smaller."
    ]
    assert texts(page, ".seen") == ["No preview in this browser"] * 2


def test_what_is_too_much_for_the_server_together_is_sent_one_by_one(visit, server):
    server.refusals.extend([(413, "too much", {})] * 2)  # the first picture alone, then the next two together
    page = visit()
    give(page, "a.png", "b.png", "c.png")
    assert server.names() == ["b.png", "c.png"]
    assert (
        texts(page, ".card.failed") == ["a.png Not classified too much Remove"]
        or "too much" in texts(page, ".failed")[0]
    )
    assert page.locator(".failed").count() == 1


# ---- when things go wrong


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


def test_a_server_without_models_says_so(visit, server):
    server.models = []
    page = visit()
    page.wait_for_selector("#alert:not([hidden])")
    assert page.inner_text("#trouble") == "This server has no model."


# ---- many pictures


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


def test_a_picture_that_is_removed_while_it_waits_is_not_sent(visit, server):
    server.gate.clear()
    page = visit()
    page.set_input_files("#files", upload("a.png", "b.png", "c.png", "d.png"))
    page.wait_for_selector("#progress:not([hidden])")
    page.get_by_role("button", name="Remove c.png").click()
    server.gate.set()
    through(page)
    assert server.names() == ["a.png", "b.png", "d.png"]


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
    assert texts(page, ".file") == names
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


# ---- names from outside


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


# ---- nobody is shut out


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
