"""The page of `headstart serve` itself."""

from pathlib import Path

import pytest

from tests.browser import needs_chromium
from tests.serving.conftest import picture
from tests.serving.page.visiting import Seen, downloaded, table, texts, through

pytestmark = needs_chromium


def files(**contents: bytes) -> list[dict[str, object]]:
    return [{"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in contents.items()]


def test_the_server_gives_the_page_all_it_needs_and_answers_as_it_expects(browser, start, run_folder):
    server = start(f"<b>={run_folder}", run_folder, "--token", "secret", "--max-pixels", "1600", "--max-pictures", "2")
    seen = Seen(browser, f"http://127.0.0.1:{server.port}/")
    page = seen.page
    page.fill("#token", "secret")
    page.keyboard.press("Enter")
    large = picture(hue=2, size=(60, 80))
    page.set_input_files("#files", files(broken=b"no picture", red=picture(0), green=picture(1), blue=large))
    through(page)
    assert page.inner_text("h1") == "<b>"
    assert texts(page, "#about") == ["Tells 3 classes apart · right on 75.0 % of its validation pictures · colours"]
    assert [row[:3] for row in table(downloaded(page))[1:] if row[1] in ("", "1")] == [
        ["broken.png", "", ""],
        ["red.png", "1", "red"],
        ["green.png", "1", "green"],
        ["blue.png", "1", "blue"],
    ]
    reason = "the picture cannot be decoded: not a picture in a known format"
    assert texts(page, ".failed .remark p") == [f"Not classified {reason}"]
    assert "Sent as 46 x 34 pixels rather than 80 x 60: the server takes at most 1,600 pixels." in texts(page, ".soft")
    page.locator(".switch:visible").first.click()
    page.wait_for_selector(".hot")
    assert page.locator(".hot img").evaluate("picture => picture.naturalWidth") == 32
    page.select_option("#model", run_folder.name)
    page.select_option("#precision", "0.99")
    through(page)
    assert page.inner_text("h1") == run_folder.name
    assert page.locator(".answer").count() == 3
    seen.close()
    assert seen.trouble == []


@pytest.mark.slow
def test_the_page_says_of_real_pictures_what_the_command_says(
    browser, start, shared, real_head, with_real_weights, tmp_path
):
    run = real_head("flowers")
    flowers, animals = (sorted((shared / "data" / name / "val").rglob("*.jpg")) for name in ("flowers", "cats_dogs"))
    given = [*flowers[::60], *animals[:3]]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(given[0].read_bytes()[:300])
    expected = table(with_real_weights("predict", run, *given, "--top", "5", "--format", "csv"))
    seen = Seen(browser, f"http://127.0.0.1:{start(run).port}/")
    page = seen.page
    page.set_input_files("#files", [*given, broken])
    through(page)
    found = table(downloaded(page))
    page.locator(".switch:visible").first.click()
    page.wait_for_selector(".hot")
    size = [page.locator(".hot img").evaluate(f"picture => picture.natural{side}") for side in ("Width", "Height")]
    assert size == [224, 224]
    assert texts(page, ".failed .file") == ["broken.jpg"]
    assert page.locator(".remark.care").count() == len({row[0] for row in expected if "unlike" in row[4]}) > 0
    page.select_option("#precision", "0.98")
    through(page)
    unanswered = page.locator(".answer:has-text('No answer')").count()
    seen.close()
    assert seen.trouble == []
    assert found[0] == expected[0]
    assert found[-1][0] == "broken.jpg"
    assert "damaged JPEG" in found[-1][4]
    assert [(row[0], row[1], row[2], row[4]) for row in found[1:-1]] == [
        (Path(row[0]).name, row[1], row[2], row[4]) for row in expected[1:]
    ]
    for mine, theirs in zip(found[1:-1], expected[1:], strict=True):
        assert float(mine[3]) == pytest.approx(float(theirs[3]), abs=2e-3)
    surer = table(with_real_weights("predict", run, *given, "--format", "csv", "--min-precision", "0.98"))
    assert unanswered == sum("not sure enough" in row[4] for row in surer) > 0
