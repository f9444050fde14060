"""Whatever bytes come, they are read or refused: nothing crashes, hangs or raises what nobody expects."""

import io
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.errors import DataError
from headstart.images.decode import DecodeRecipe, UndecodableError, decode
from headstart.images.sources import list_labelled
from tests.images.horrors import chunk, png, tiff

TOOL = Path(__file__).parents[1] / "tools" / "fuzz.py"
QUICK = {
    **{"decode": 1500, "zip": 600, "table": 600, "pickle": 1500, "arrays": 600, "parquet": 300, "labels": 600},
    **{"bundle": 600, "run": 600, "graph": 100, "store": 600},
}
# At least 100,000 in all.
THOROUGH = {
    "decode": 40_000,
    "zip": 12_000,
    "table": 12_000,
    "pickle": 12_000,
    "arrays": 6_000,
    "parquet": 4_000,
    "labels": 12_000,
    "bundle": 10_000,
    "run": 10_000,
    "graph": 2_000,
    "stat cache": 3_000,
    "store": 6_000,
}
ANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZE = DecodeRecipe(8, 8)


def fuzz(target: str, inputs: int, seed: int, folder: Path, timeout: float) -> None:
    command = [sys.executable, str(TOOL), target, "--inputs", str(inputs), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--failures", str(folder)], capture_output=True, text=True, errors="replace", timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{inputs:,}" in done.stdout


@pytest.mark.parametrize("target", QUICK)
def test_a_few_thousand_inputs_are_read_or_refused(target, tmp_path):
    fuzz(target, QUICK[target], 0, tmp_path, 120)


@pytest.mark.slow
@pytest.mark.parametrize("target", THOROUGH)
def test_a_hundred_thousand_inputs_are_read_or_refused(target, tmp_path):
    assert sum(THOROUGH.values()) >= 100_000
    fuzz(target, THOROUGH[target], 1, tmp_path, 1800)


def test_the_tool_keeps_what_fails_and_says_so(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(TOOL.parent)!r}); import fuzz; from pathlib import Path\n"
        "def bad(data, folder): raise KeyError('a b c')\n"
        "target = fuzz.Target(lambda: [b'seed'], bad, (ValueError,))\n"
        "print(fuzz._try(target, b'x', Path('.'))[0])\n"
        "report = fuzz.Report(inputs=1)\n"
        f"fuzz._fail(report, 'why', b'bytes', 'bad', Path({str(tmp_path)!r}))\n"
        "print(report.failures)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"failed\n['bad, input 0, kept as {tmp_path}/bad-1.bin: why']\n"
    assert (tmp_path / "bad-1.bin").read_bytes() == b"bytes"


def decoded(data: bytes) -> None:
    """Decode; what comes of it is a picture or a reason in one line."""
    reason = ""
    try:
        assert decode(data, SIZE).shape == (8, 8, 3)
    except UndecodableError as error:
        reason = str(error)
    assert "\n" not in reason


MARKS = [b"GIF89a", b"BM", b"\0\0\1\0", b"P6 ", b"P3 ", b"Pf ", b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBP"]
TAGS = st.tuples(
    st.sampled_from(
        [254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 338, 339, 347]
    ),
    st.integers(0, 13),
    st.integers(0, 5) | st.integers(0, 2**32 - 1),
    st.integers(0, 600) | st.integers(0, 2**32 - 1),
)


@ANY
@given(tags=st.lists(TAGS, max_size=14), more=st.binary(max_size=300))
def test_tiffs_of_any_tags(tags, more):
    decoded(tiff(*tags, more=more))


@ANY
@given(
    names=st.lists(
        st.tuples(
            st.sampled_from([b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT"]),
            st.binary(max_size=60),
        ),
        max_size=6,
    ),
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    depth=st.sampled_from([1, 2, 4, 8, 16]),
    colour=st.sampled_from([0, 2, 3, 4, 6]),
)
def test_pngs_of_any_chunks(names, size, depth, colour):
    decoded(png(*(chunk(name, body) for name, body in names), size=size, depth=depth, colour=colour))


@ANY
@given(head=st.sampled_from(MARKS), rest=st.binary(max_size=400))
def test_any_bytes_behind_the_mark_of_a_format(head, rest):
    decoded(head + rest)


@ANY
@given(
    values=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=12, max_size=12),
)
def test_any_numbers_in_a_picture_of_floating_point(values):
    buffer = io.BytesIO()
    Image.fromarray(np.array(values, np.float32).reshape(3, 4)).save(buffer, "TIFF")
    decoded(buffer.getvalue())


@ANY
@given(rows=st.lists(st.lists(st.text(max_size=12), max_size=5), max_size=8), delimiter=st.sampled_from(",;\t|"))
def test_tables_of_any_cells(tmp_path, rows, delimiter):
    text = "\n".join(delimiter.join(row) for row in [["path", "label", "split"], *rows])
    (tmp_path / "x.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(DataError):
        list_labelled(tmp_path / "x.csv")
