"""Names from outside are shown and never obeyed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.texts import active, inert, printable, short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("größe 猫 🐈", "größe 猫 🐈"),
        ("a\nb", "a\\nb"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("bad \udcff byte", "bad \\udcff byte"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_whatever_it_is_it_comes_out_printable_and_stays_so(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe(text):
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["cat", "a=b", "", -1.5, 3, None])
def test_everything_else_stays_as_it_is(cell):
    assert inert(cell) is cell


@given(st.text())
def test_a_cell_becomes_what_it_was(text):
    assert active(inert(text)) == (text if not text.startswith("'") else active(text))


def test_a_long_text_keeps_its_ends():
    shown = short("a" * 150 + "\n" + "b" * 150)
    assert shown == "a" * 100 + " ... " + "b" * 100
