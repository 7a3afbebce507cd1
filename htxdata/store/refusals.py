"""What a disk says against being written, as sentences."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htxdata.errors import HtxdataError, LakeUnusable, StoreError, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def telling(folder: str) -> Iterator[None]:
    """What the disk says against writing to ``folder``, as a sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(_sentence(folder, error)) from error


@contextmanager
def entering(root: Path | str, folder: str) -> Iterator[None]:
    """What the disk says against a folder of a lake that is made, or locked."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoreError(_sentence(folder, error)) from error
        raise LakeUnusable(
            f"the lake {root} cannot be written: {error.strerror} ({error.filename})"
        ) from error


def unwritten(
    what: str, error: OSError | ValueError, otherwise: type[UsageError] = LakeUnusable
) -> HtxdataError:
    """What to say of a file that was not written: a full disk is no wrong usage."""
    if isinstance(error, OSError) and error.errno in FULL:
        return StoreError(f"the disk is full: {what} was not written")
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return otherwise(f"{what} cannot be written: {said}")


def _sentence(folder: str, error: OSError) -> str:
    if error.errno in FULL:
        return f"the disk is full: nothing was written to {folder}; what was committed stays"
    return f"{folder} cannot be written: {error.strerror or error}"
