"""What a power cut leaves: bytes written to the last, folders that are on the disk before what is in them."""

from __future__ import annotations

import os
from pathlib import Path


def write_all(file: int, content: bytes | memoryview) -> None:
    """Write all of it to an open file, however little the system takes at once."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def make_folder(folder: Path | str) -> None:
    """Create ``folder`` and what lacks above it, each on the disk before its child. Another may create it meanwhile."""
    missing, at = [], str(folder)
    while at and not os.path.isdir(at):  # what is above "data" is the working directory
        missing.append(at)
        at = os.path.dirname(at)
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        sync_folder(os.path.dirname(path))


def sync_folder(folder: Path | str) -> None:
    """Put the names in ``folder`` on the disk."""
    file = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
