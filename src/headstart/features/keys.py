"""What a kept feature depends on, and nothing else: the keys of the store.

A feature is found by two digests. The *space* says how it was computed: decoding, view, frozen part, frontier,
runtime, precision. The *picture* says from what: the bytes of the file. Renaming a picture or moving it
changes neither.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.features.runtime import RuntimeIdentity
from headstart.images.decode import DecodeRecipe
from headstart.images.digest import PICTURE_DIGEST_BYTES, picture_digest
from headstart.images.views import View

__all__ = ["KEY_VERSION", "PICTURE_DIGEST_BYTES", "file_digest", "picture_digest", "space_digest", "space_identity"]

KEY_VERSION = 1
"""Raise this when the meaning of a key changes; what was kept under the old one is then computed anew."""


def space_identity(
    frozen: str, decode: DecodeRecipe, runtime: RuntimeIdentity, view: View | None = None
) -> dict[str, Any]:
    """Everything that decides how features are computed, for `space_digest`.

    Args:
        frozen: the digest of the frozen part.
        decode: how pictures are decoded.
        runtime: what runs the frozen part.
        view: which random view; None for that of the centre.
    """
    return {
        "frozen": frozen,
        "decode": decode.identity(),
        "view": "centre" if view is None else view.identity(),
        **asdict(runtime),
    }


def space_digest(identity: Mapping[str, Any]) -> str:
    """The digest of everything that decides how features are computed: 40 hexadecimal digits.

    Args:
        identity: nested mappings and lists of strings, numbers, booleans and None; the order of keys is irrelevant.
    """
    text = json.dumps({"key_version": KEY_VERSION, **identity}, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def file_digest(path: Path | str) -> str:
    """The digest of a file of any size: 40 hexadecimal digits of BLAKE2b."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
