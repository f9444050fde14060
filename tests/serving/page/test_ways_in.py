"""Every way in which pictures come onto the page, and what is too large."""

import io
import itertools

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from tests.browser import PHONE, needs_chromium
from tests.conftest import make_picture
from tests.serving.page.visiting import give, png, texts, through, transfer, until, upload

pytestmark = needs_chromium


def test_many_pictures_are_sent_in_order_a_few_at_a_time(visit, server):
    page = visit()
    names = [f"{number}.png" for number in range(20)]
    give(page, *names)
    assert server.names() == names
    assert [len(pictures) for _, pictures in server.asked] == [1, 2, 4, 8, 5]
    assert page.locator(".file").all_text_contents() == names
    give(page, "last.png")
    assert page.locator(".file").all_text_contents() == ["last.png", *names]
    assert all(data == png(seed) for seed, (_, data) in enumerate(itertools.chain(*(p for _, p in server.asked[:5]))))


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_drag_that_leaves_or_carries_no_files_is_let_go(visit):
    page = visit()
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer(page, "a.png")})
    page.dispatch_event("body", "dragleave")
    assert not page.is_visible("#dropping")
    page.dispatch_event("main", "dragover", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    assert not page.is_visible("#dropping")


FOLDER = """([names, more, bytes]) => {
    const png = (name, type = "image/png") => new File([new Uint8Array(bytes)], name, {type});
    const file = (made) => ({isFile: true, name: made.name, file: (give) => give(made)});
    const folder = (name, ...inside) => ({isDirectory: true, name, createReader: () => {
        const waiting = [...inside];
        return {readEntries: (give) => give(waiting.splice(0, 3))};
    }});
    const inner = folder("inner", ...names.map((name) => file(png(name))), file(png(".DS_Store", "")));
    const notes = file(png("notes.txt", "text/plain"));
    const items = [folder("outer", notes, inner, ...more.map((name) => file(png(name, ""))))];
    if (more.length) items.push(file(png("single.png")));
    const event = new Event("drop", {bubbles: true, cancelable: true});
    const carried = {types: ["Files"], files: [], items: items.map((entry) => ({webkitGetAsEntry: () => entry}))};
    Object.defineProperty(event, "dataTransfer", {value: carried});
    document.body.dispatchEvent(event);
}"""


def test_of_a_folder_everything_is_taken_that_may_be_a_picture_in_the_order_of_names(visit, server):
    page = visit()
    names = [f"{number}.png" for number in range(11)]
    page.evaluate(FOLDER, [sorted(names), ["unknown"], list(png())])
    until(page, "document.querySelectorAll('.answer').length === 13")
    assert server.names() == [*names, "unknown", "single.png"]


def test_a_folder_without_pictures_is_said_to_have_none(visit, server):
    page = visit()
    page.evaluate(FOLDER, [[], [], []])
    until(page, "document.querySelector('#hint').textContent === 'There is no picture in that. Others?'")
    assert server.asked == []


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


@pytest.mark.slow
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


def test_a_photo_is_made_smaller_the_way_it_is_held(visit, server):
    server.limits["pixels"] = 5000
    held, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was turned: rows are columns
    Image.fromarray(make_picture(0, (100, 200))).save(held, "JPEG", exif=exif, quality=95)
    page = visit()
    page.set_input_files("#files", [{"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": held.getvalue()}])
    through(page)
    sent = Image.open(io.BytesIO(server.asked[0][1][0][1]))
    assert sent.size == (49, 99)
    assert sent.getexif().get(ExifTags.Base.Orientation, 1) == 1
    upright = np.asarray(ImageOps.exif_transpose(Image.open(held)).resize(sent.size)).astype(int)
    assert np.abs(np.asarray(sent) - upright).mean() < 4


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("status", [413, 422])
def test_what_the_server_does_not_take_together_is_sent_one_by_one(visit, server, status):
    server.refusals.extend([(status, "too much", {})] * 2)  # the first picture alone, then the next two together
    page = visit()
    give(page, "a.png", "b.png", "c.png")
    assert server.names() == ["b.png", "c.png"]
    assert (
        texts(page, ".card.failed") == ["a.png Not classified too much Remove"]
        or "too much" in texts(page, ".failed")[0]
    )
    assert page.locator(".failed").count() == 1
