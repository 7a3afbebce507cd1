"""Room for what is to come, and the right to write it. Makes no folder of the lake: tries the nearest that exists."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from htxdata.config import Settings
from htxdata.errors import HtxdataError
from htxdata.ingest.doctor_terms import Check, Status

GB = 1_000_000_000
LOW = 10 * GB
FULL = 100_000_000  # below that a commit of a day of trades may fail
PLAN_S = 3.0
_ROW = 40
"""Bytes that a row takes where the lake has none of its dataset to go by."""


class Estimate:
    """What the ``[[keep]]`` still takes, worked out beside everything else and given up after a while."""

    def __init__(self, settings: Settings) -> None:
        self._rows: dict[str, int] | None = None
        self._why = "" if settings.keep else "no [[keep]] is set"
        self._thread = threading.Thread(target=self._plan, args=(settings,), daemon=True)
        if settings.keep:
            self._thread.start()

    def _plan(self, settings: Settings) -> None:
        from htxdata.ingest.asked import keep_requests
        from htxdata.ingest.planning import make_plans
        from htxdata.ingest.session import Session

        rows: dict[str, int] = {}
        try:
            with Session(settings, say=lambda text: None) as session:
                for plan in make_plans(keep_requests(settings), session, ask=False):
                    rows[plan.series.dataset] = rows.get(plan.series.dataset, 0) + plan.rows
            self._rows = rows
        except HtxdataError as error:
            self._why = str(error)
        except Exception as error:  # a doctor that falls ill names what he caught
            self._why = f"{type(error).__name__}: {error}"

    def end(self, seconds: float, grown: Mapping[str, tuple[int, int]]) -> tuple[int | None, str]:
        """Bytes at most, as rows take room in this lake; or None, and why it was left out."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))
        if self._rows is None:
            return None, self._why or "planning took too long; `htxdata plan` has the time"
        total = 0.0
        for name, rows in self._rows.items():
            size, stored = grown.get(name, (0, 0))
            total += rows * (size / stored if stored > 1000 else _ROW)
        return int(total), "htxdata plan, and the room that a row takes here"


def disk_check(key: str, folder: Path, need: int | None = None, why: str = "") -> Check:
    """``need`` is how many bytes are still to come, None where nobody knows; then ``why`` says so."""
    near = nearest(folder)
    name = f"disk of the {key}"
    details = {"folder": str(folder), "tried": str(near), "exists": folder.is_dir()}
    refused = _refused(near)
    try:
        usage = shutil.disk_usage(near)
        spare = os.statvfs(near)
    except OSError as error:
        return Check(
            name, "problem", f"{near} cannot be looked at: {error.strerror}; see to the disk", details
        )
    details |= {"free_bytes": usage.free, "total_bytes": usage.total, "writable": refused is None}
    if key == "lake":
        details |= {"still_to_come_bytes": need, "estimate": why}
    room = f"{usage.free / GB:,.1f} GB free of {usage.total / GB:,.1f} GB"
    if refused is not None:
        mend = (
            "make room"
            if refused.startswith("No space") or "quota" in refused
            else "let this user write there"
        )
        return Check(
            name,
            "problem",
            f"{near} cannot be written: {refused}; {mend}, or set {key} to another folder",
            details,
        )
    if spare.f_files and not spare.f_favail:
        return Check(name, "problem", f"{near} has no inode left: remove files that are not needed", details)
    return Check(name, *room_verdict(key, near, usage.free, need, room, why), details)


def room_verdict(
    key: str, near: Path, free: int, need: int | None, room: str, why: str
) -> tuple[Status, str]:
    move = f"make room, or set {key} to a folder on a larger disk"
    if free < FULL:
        return "problem", f"the disk of {near} is as good as full: {room}; {move}"
    if need is not None and free < need:
        return (
            "warning",
            f"{room} at {near}, and the [[keep]] still takes {need / GB:,.1f} GB at most; {move}",
        )
    if free < LOW:
        return "warning", f"{room} at {near}; {move}"
    more = ""
    if key == "lake":
        more = (
            f"; the [[keep]] still takes {_room(need)} at most"
            if need is not None
            else f"; no estimate: {why}"
        )
    return "ok", f"{room} at {near}, which can be written{more}"


def _room(octets: int) -> str:
    return f"{octets / GB:,.1f} GB" if octets >= GB / 10 else "less than 0.1 GB"


def nearest(folder: Path) -> Path:
    """The folder itself, or what is there of the path to it."""
    at = folder.absolute()
    while not os.path.isdir(at) and at != at.parent:
        at = at.parent
    return at


def _refused(folder: Path) -> str | None:
    """Why no file can be made there; None where one was made, written and removed."""
    try:
        file, path = tempfile.mkstemp(prefix=".htxdata-doctor-", suffix=".tmp", dir=folder)
    except OSError as error:
        return error.strerror or str(error)
    try:
        os.write(file, b"\0" * 4096)
        os.fsync(file)
        return None
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(path)


def soon(began: float, seconds: float) -> float:
    """What is left of ``seconds`` since ``began`` (monotonic)."""
    return max(0.0, began + seconds - time.monotonic())
