"""A reply that is set aside is there whole, with its reason, or not at all (laws 3 and 9)."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from htxdata.errors import StoreError
from htxdata.store.quarantine import set_aside

BODY = b'{"status":"ok","data":[{"id":1' * 40


class Killed(BaseException):
    pass


def keep(tape: Path) -> Path:
    return set_aside(tape, "htx-spot", "klines", asked="GET /x", body=BODY, received_at=7, reason="no JSON")


@pytest.mark.parametrize("writes", [0, 1])
def test_a_reply_whose_setting_aside_was_killed_is_set_aside_whole_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """It is on the disk before it takes its name: what a power cut leaves half written is under no name that counts."""
    left, real = [writes], os.fsync

    def fsync(file: int) -> None:
        if not left[0]:
            os.ftruncate(file, os.fstat(file).st_size // 2)
            raise Killed
        left[0] -= 1
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Killed):
        keep(tmp_path)
    for body in tmp_path.rglob("*.body"):
        assert body.read_bytes() == BODY
    monkeypatch.undo()
    target = keep(tmp_path)
    assert target.read_bytes() == BODY
    said = json.loads(target.with_suffix(".json").read_bytes())
    assert said == {"asked": "GET /x", "received_at": 7, "reason": "no JSON", "bytes": len(BODY)}


def test_two_threads_that_are_told_the_same_both_set_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither takes the other's unfinished file for its own; the second is here between the writing and the renaming
    of the first."""
    real, met = os.replace, list[bytes]()

    def replace(aside: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", real)
        met.append(keep(tmp_path).read_bytes())
        real(aside, target)

    monkeypatch.setattr(os, "replace", replace)
    assert [keep(tmp_path).read_bytes(), *met] == [BODY, BODY]
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".body", ".json"]


def test_what_cannot_be_set_aside_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk gets its room back at once, not when somebody comes to heal; and is no wrong usage (exit code 1)."""

    def fsync(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=r"the disk is full: the tape folder '.*' was not written"):
        keep(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
