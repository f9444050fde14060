"""The page of `headstart serve` itself."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser import needs_chromium
from tests.serving.page.visiting import Seen, downloaded, table, texts, through

pytestmark = needs_chromium


@contextmanager
def serving(*runs: Path) -> Iterator[str]:
    """`headstart serve` in a process of its own; gives where it is."""
    command = [str(Path(sys.executable).parent / "headstart"), "serve", *map(str, runs), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        said = ""
        while not (found := re.search(r"http://[\d.]+:\d+", said)):
            line = process.stdout.readline()
            assert line, f"it ended: {said}"
            said += line
        yield f"{found[0]}/"
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.slow
def test_the_page_says_of_real_pictures_what_the_command_says(browser, shared, real_head, with_real_weights, tmp_path):
    run = real_head("flowers")
    data = shared / "data"
    files = [
        *sorted((data / "flowers" / "val").rglob("*.jpg"))[::60],
        *sorted((data / "cats_dogs" / "val").rglob("*.jpg"))[:3],
    ]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(files[0].read_bytes()[:300])
    expected = table(with_real_weights("predict", run, *files, "--top", "5", "--format", "csv"))
    with serving(run) as url:
        seen = Seen(browser, url, accept_downloads=True)
        seen.page.set_input_files("#files", [*files, broken])
        through(seen.page)
        found = table(downloaded(seen.page))
        seen.page.locator(".switch").first.click()
        seen.page.wait_for_selector(".hot")
        heat = seen.page.locator(".hot img")
        assert [heat.evaluate(f"picture => picture.natural{side}") for side in ("Width", "Height")] == [224, 224]
        assert texts(seen.page, ".failed .file") == ["broken.jpg"]
        assert seen.page.locator(".remark.care").count() == len({row[0] for row in expected if "unlike" in row[4]}) > 0
        seen.page.select_option("#precision", "0.98")
        through(seen.page)
        answered = seen.page.locator(".answer:has-text('No answer')").count()
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
    surer = table(with_real_weights("predict", run, *files, "--format", "csv", "--min-precision", "0.98"))
    assert answered == sum("not sure enough" in row[4] for row in surer) > 0
