"""Thumbnails and templates that pages are made of."""

import re

import numpy as np
import pytest
from jinja2 import UndefinedError

from headstart.pages import as_thumbnail, digest_for_policy, read_template, thumbnail
from tests.auditing.conftest import patchwork
from tests.conftest import write_picture


def test_a_thumbnail_shows_the_whole_picture_and_a_broken_one_is_none(tmp_path):
    wide = thumbnail(str(write_picture(tmp_path / "wide.png", patchwork(1, (60, 240)))))
    assert re.match(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+$", wide.uri)
    assert (wide.width, wide.height) == (112, 28)
    (tmp_path / "bad.png").write_text("broken")
    assert thumbnail(str(tmp_path / "bad.png")) is thumbnail(str(tmp_path / "missing.png")) is None


def test_pixels_become_a_picture_of_their_own_size():
    assert as_thumbnail(np.zeros((30, 20, 3), np.uint8))[1:] == (20, 30)


def test_a_template_escapes_everything_and_forgets_nothing(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<b>{{ name }}</b>{{ short(name) }}")
    assert read_template(path).render(name="<i>\n") == "<b>&lt;i&gt;\n</b>&lt;i&gt;\\n"
    with pytest.raises(UndefinedError):
        read_template(path).render()


def test_a_policy_names_what_it_allows_as_browsers_do():
    # echo -n 'doSomething();' | openssl sha256 -binary | openssl base64
    assert digest_for_policy("doSomething();") == "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"
