"""What a disk says against being written, as sentences."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import lasting

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def telling(folder: str) -> Iterator[None]:
    """What the disk says against writing to ``folder``, as a sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(_sentence(folder, error)) from error


def make_folder(root: Path | str, folder: str) -> None:
    """Create ``folder`` and what lacks above it."""
    try:
        lasting.make_folder(folder)
    except OSError as error:
        if error.errno in FULL:
            raise StoreError(_sentence(folder, error)) from error
        raise LakeUnusable(
            f"the lake {root} cannot be written: {error.strerror} ({error.filename})"
        ) from error


def _sentence(folder: str, error: OSError) -> str:
    if error.errno in FULL:
        return f"the disk is full: nothing was written to {folder}; what was committed stays"
    return f"{folder} cannot be written: {error.strerror or error}"
