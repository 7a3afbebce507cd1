"""A small file that is written as a whole: a reader sees it as it is now, or as it was before."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path


def replace(target: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write ``content`` to ``target`` by way of a file beside it, of which nothing stays where it raises ``OSError``.

    ``lasting``: it is on the disk before it takes the name, so that a power cut leaves no half of it; a cache, which is
    made anew where it cannot be read, need not wait for that.
    """
    # Unlike the name of any other thread's or process's; the latter in it tells who left one behind (ingest/heal.py).
    aside = target.with_name(f".{uuid.uuid4().hex}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, target)
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            aside.unlink(missing_ok=True)
        raise


def replace_text(target: Path, text: str) -> None:
    """A small text beside the lake (a page, a list, figures). Raises ``OSError``, or ``ValueError`` for a name that no
    file can have."""
    if target.is_dir():
        raise IsADirectoryError(0, "it is a folder")
    replace(target, text.encode())
