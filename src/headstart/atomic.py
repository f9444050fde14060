"""Files that are there whole or not at all, whenever the power fails."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; what is written becomes `path` when the block ends well, and else goes.

    It is synced and renamed, so that a reader sees the old file or the new one. A process that is killed leaves
    `.NAME.*.tmp` behind and `path` as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
