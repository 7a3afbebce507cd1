"""The local disk carries a lake."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from htxdata.errors import StoreError
from htxdata.store import disk, generations
from htxdata.store.place import Verbs
from tests.store.contract import DiskContract


class TestLocalDisk(DiskContract):
    @pytest.fixture
    def verbs(self) -> Verbs:
        return disk

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def listed(self) -> Callable[[str], dict[str, bytes]]:
        return lambda folder: {path.name: path.read_bytes() for path in Path(folder).glob("*.parquet")}


def test_a_full_disk_is_no_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where it has no room for a lock, or for what lies beside the rows: what was there stays, exit code 1."""

    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(args[0]))

    path = str(tmp_path / ".htxdata" / "findings")
    disk.swap(tmp_path, path, lambda before: b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"the disk is full: .*/findings was not written"):
            disk.swap(tmp_path, path, lambda before: b"new")
    assert [(each.name, each.read_bytes()) for each in sorted((tmp_path / ".htxdata").iterdir())] == [
        ("findings", b"old"), ("findings.lock", b""),
    ]  # fmt: skip
    (tmp_path / "p").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        with pytest.raises(StoreError, match=r"the disk is full: nothing was written to .*/p;"):
            disk.tidy(tmp_path, str(tmp_path / "p"), 0)


def test_a_listing_that_is_outrun_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with disk.locked(tmp_path, f"{tmp_path}/p") as before:
        disk.publish(f"{tmp_path}/p", before, b"here")
    real, gone = disk.newest, [generations.Generation(7, f"{tmp_path}/p/.g000000007.pq")]
    monkeypatch.setattr(disk, "newest", lambda folder: gone.pop() if gone else real(folder))
    found = disk.open_newest(f"{tmp_path}/p")
    assert found is not None
    with found[1] as file:
        assert (found[0].number, file.read()) == (1, b"here")
    monkeypatch.setattr(disk, "newest", lambda folder: generations.Generation(7, f"{tmp_path}/p/.g000000007.pq"))
    with pytest.raises(StoreError, match="vanish"):
        disk.open_newest(f"{tmp_path}/p")
