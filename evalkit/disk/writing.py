"""Replace a file atomically: readers see either the old content or all of the new content."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def drafted(path: Path) -> Iterator[BinaryIO]:
    """Open a draft beside `path`; sync it and move it there when the block ends without an error.

    A draft that a killed process leaves is called `.NAME.PID.tmp`.

    Raises:
        OSError: it cannot be written; `path` is unchanged.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open the text file that replaces `path` when the block ends without an error.

    Characters that UTF-8 cannot hold are written as `?`. A pipe or a device, such as /dev/stdout, is written to.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            yield file
        return
    with drafted(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="\n")
        yield text
        text.detach()
