"""Whatever bytes a zip is made of: it is refused in one line, or its members are read or refused one by one."""

import io
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.images.pictures import Picture
from headstart.images.places import read_file
from headstart.images.sources import list_labelled


def small_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, kind in (
            ("a/1.png", zipfile.ZIP_STORED),
            ("a/2.png", zipfile.ZIP_DEFLATED),
            ("b/1.png", 12),
            ("b/2.png", 14),
        ):
            archive.writestr(name, name.encode() * 20, kind)
        archive.writestr("../out.png", b"x")
        archive.comment = b"a comment"
    return buffer.getvalue()


ZIP = small_zip()
CHANGES = st.lists(st.tuples(st.integers(0, len(ZIP) - 1), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.one_of(st.none(), st.integers(0, len(ZIP))))
def test_a_zip_with_any_bytes_changed_or_cut_off_crashes_nothing(tmp_path: Path, changes, cut):
    data = bytearray(ZIP)
    for place, value in changes:
        data[place] = value
    archive = tmp_path / "x.zip"
    archive.unlink(missing_ok=True)
    archive.write_bytes(data[:cut])
    pictures, refusal = listed(archive)
    assert "\n" not in refusal
    for picture in pictures:
        content, reason = read(picture.path)
        assert len(content) < 1000
        assert content or reason


def listed(archive: Path) -> tuple[tuple[Picture, ...], str]:
    try:
        return list_labelled(archive).pictures, ""
    except DataError as error:
        return (), str(error)


def read(path: str) -> tuple[bytes, str]:
    try:
        return read_file(path), ""
    except OSError as error:
        return b"", str(error.strerror or "")
