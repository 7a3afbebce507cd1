"""A small text beside the lake (a page, a list, figures): a reader sees it whole, or as it was before."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path


def replace_text(target: Path, text: str) -> None:
    """Write ``text`` to ``target`` by way of a file beside it, on disk before it takes the name. Raises ``OSError``, or
    ``ValueError`` for a name that no file can have."""
    aside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    finally:
        with contextlib.suppress(OSError, ValueError):
            aside.unlink(missing_ok=True)
