"""What a writer that died left in a partition's folder is finished; what nobody reads any more is forgotten.

Whoever takes the partition's lock does it first. It removes ``*.tmp``, and links ``part.parquet`` anew where that is
not the newest generation. ``.absorbed-<n>-<name>.away`` is a foreign ``<name>`` whose rows generation n holds
(``store/compact.py``): where that generation exists the file goes; where it does not, it gets its name back.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import time
import uuid

from htxdata.store import drafts, lasting, milestones
from htxdata.store.generations import ABSORBED, NUMBERED, PART, TMP, Generation, name_of


def heal(folder: str, grace: float) -> Generation | None:
    """Finish what a dead writer left, forget generations that nobody reads any more."""
    numbers: list[int] = []
    absorbed: list[re.Match[str]] = []
    for entry in os.listdir(folder):
        if entry.endswith(TMP):
            drafts.remove(f"{folder}/{entry}")
        elif match := NUMBERED.fullmatch(entry):
            numbers.append(int(match[1]))
        elif match := ABSORBED.fullmatch(entry):
            absorbed.append(match)
    numbers.sort()
    for match in absorbed:
        if not numbers or int(match[1]) > numbers[-1]:
            _give_back(folder, match)
    if not numbers:  # a copy that left the dot files behind, or nothing
        return Generation(0, f"{folder}/{PART}") if os.path.exists(f"{folder}/{PART}") else None
    last = f"{folder}/{name_of(numbers[-1])}"
    if not _is_linked(folder, last):
        lasting.sync_folder(folder)  # the rename may not have reached the disk when its writer died
        link(folder, last)
    for match in absorbed:
        with contextlib.suppress(FileNotFoundError):  # it has got its name back
            os.unlink(f"{folder}/{match[0]}")
    _forget(folder, numbers, grace)
    return Generation(numbers[-1], last)


def _forget(folder: str, numbers: list[int], grace: float) -> None:
    """Remove the generations that were superseded longer than ``grace`` ago. ``numbers`` are all of them, ascending."""
    now = time.time()
    for number, successor in itertools.pairwise(numbers):
        # A rename keeps the time of the last write: a generation was superseded when its successor was written.
        if now - os.stat(f"{folder}/{name_of(successor)}").st_mtime < grace:
            break
        os.unlink(f"{folder}/{name_of(number)}")
        milestones.step("unlinked")


def link(folder: str, target: str) -> None:
    """Point ``part.parquet`` at ``target``."""
    aside = f"{folder}/.{uuid.uuid4().hex}{TMP}"
    try:
        os.link(target, aside)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK):
            raise
        shutil.copyfile(target, aside)  # no hard links here: pay the bytes twice
        with open(aside, "rb+") as copy:
            os.fsync(copy.fileno())
    milestones.step("linked aside")
    os.rename(aside, f"{folder}/{PART}")
    milestones.step("linked")
    lasting.sync_folder(folder)


def _give_back(folder: str, match: re.Match[str]) -> None:
    """A foreign file gets its name back, or where that was taken meanwhile, one beside it."""
    name = match[2]
    while os.path.exists(f"{folder}/{name}"):
        name = f"again-{name}"
    os.rename(f"{folder}/{match[0]}", f"{folder}/{name}")


def _is_linked(folder: str, target: str) -> bool:
    try:
        part = os.stat(f"{folder}/{PART}")
    except FileNotFoundError:
        return False
    own = os.stat(target)
    if own.st_ino == part.st_ino:
        return True
    if own.st_nlink > 1 or part.st_nlink > 1:
        return False  # hard links work here, and this one points elsewhere
    if own.st_size != part.st_size:
        return False
    with open(target, "rb") as one, open(f"{folder}/{PART}", "rb") as other:  # copies: no inode to compare
        return one.read() == other.read()
