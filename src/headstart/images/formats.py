"""What a file is, by its first bytes: a picture in a format that is read, or something else, which is then named.

Pillow is asked for that one format alone. So nothing that starts other programs (PostScript) or opens other files is
ever reached, whatever a file says of itself.
"""

from typing import Literal

Format = Literal["AVIF", "BMP", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"]
"""The formats that are read, as Pillow calls them. MPO is a JPEG with more behind it."""

HEAD_BYTES = 512
"""How much of a file `kind_of` looks at."""

_STARTS: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\x01\0", "ICO"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance picture"),
    (0, b"qoif", "a QOI picture"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\x89HDF\r\n", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"PK\x03\x04", "a zip"),
    (0, b"PK\x05\x06", "a zip"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a program"),
    (0, b"#!", "a script"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (4, b"ftyp", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"ID3", "a sound file"),
    (8, b"WAVE", "a sound file"),
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the file"),
)
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_MARKUP = ((b"<svg", "an SVG drawing"), (b"<html", "a web page"), (b"<!doctype html", "a web page"))


def kind_of(data: bytes) -> tuple[Format | None, str]:
    """What a file is.

    Args:
        data: its bytes; the first `HEAD_BYTES` are enough.

    Returns:
        The format, if it is a picture that is read, and else None; and what it is in words, empty where nothing is
        known of it.
    """
    if found := _format_of(data):
        return found, "JPEG 2000" if found == "JPEG2000" else "WebP" if found == "WEBP" else found
    for offset, start, what in _OTHERS:
        if data.startswith(start, offset):
            return None, what
    if data.startswith(_PICKLES):
        return None, "a pickle"
    return None, _markup_of(data[:HEAD_BYTES])


def _format_of(data: bytes) -> Format | None:
    for start, form in _STARTS:
        if data.startswith(start):
            return form
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return "WEBP"
    if data[:1] == b"P" and data[1:2] in b"123456fF" and data[2:3].isspace():
        return "PPM"
    if data.startswith(b"ftyp", 4):
        brands = _brands(data)
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    return None


def _brands(data: bytes) -> set[bytes]:
    """What a file of boxes says it can be read as: its own brand, and those it is compatible with (ISO 14496-12)."""
    end = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    return {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}


def _markup_of(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, what in _MARKUP:
        if start.startswith(mark) or (start.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and mark in start):
            return what
    return "an XML file" if start.startswith(b"<?xml") else ""
