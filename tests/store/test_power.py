"""Lost power (law 3): of a file only what was synced is left, and of a folder only the names that were synced.

``kill -9`` cannot tell a commit that syncs from one that does not: the kernel keeps what the dead one wrote. So here
every ``fsync`` is noted, and what a power cut would leave is laid out beside the lake and read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from htxdata.store import Store, generations, milestones
from htxdata.store.compact import compact
from tests.store.build import DAY_OF_TRADES, JANUARY, Trade, asked, candles, closes, said, trades
from tests.store.test_stream import ask, numbers, rising, small


class Power:
    """What a power cut would leave of ``home``: contents as they were at their last sync, and names either as at the
    last sync of their folder (``names=False``) or as they are (the file system may write names at any time)."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._folders = {home.stat().st_ino}
        self._cuts = 0
        self.look: Callable[[], object] = lambda: None  # called after every change of names
        real = os.fsync

        def fsync(file: int) -> None:
            real(file)
            path, inode = f"/proc/self/fd/{file}", os.fstat(file).st_ino
            if os.path.isdir(path):
                self._names[inode] = self._listed(path)
            else:
                self._contents[inode] = Path(path).read_bytes()

        patch.setattr(os, "fsync", fsync)
        for verb in ("rename", "replace", "link", "unlink"):
            patch.setattr(os, verb, self._looked_after(getattr(os, verb)))

    def _looked_after(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def done(*words: Any, **more: Any) -> None:
            real(*words, **more)
            self.look()

        return done

    def _listed(self, folder: str) -> dict[str, int]:
        with os.scandir(folder) as entries:
            found = list(entries)
        self._folders |= {entry.inode() for entry in found if entry.is_dir()}
        return {entry.name: entry.inode() for entry in found}

    def cut(self, beside: Path, *, names: bool) -> Path:
        self._cuts += 1
        target = beside / str(self._cuts)
        self._lay(self.home, self.home.stat().st_ino, target, names)
        return target

    def synced(self, folder: Path) -> set[str]:
        """The names that are surely on the disk."""
        return set(self._names[folder.stat().st_ino])

    def _lay(self, path: Path, inode: int, target: Path, names: bool) -> None:
        target.mkdir(parents=True)
        listed = self._listed(str(path)) if names else self._names.get(inode, {})
        for name, child in listed.items():
            if child in self._folders:
                self._lay(path / name, child, target / name, names)
            else:
                (target / name).write_bytes(self._contents.get(child, b""))


@pytest.mark.parametrize("names", [False, True], ids=["names of the last sync", "names as they are"])
def test_a_power_cut_leaves_what_was_acknowledged_and_no_torn_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    power, store = Power(home, monkeypatch), Store(home / "lake")
    states: list[dict[int, float]] = [{}]
    seen: list[dict[int, float]] = []

    def look(*allowed: dict[int, float]) -> None:
        left = power.cut(tmp_path / "cuts", names=names) / "lake"
        table = Store(left).read(JANUARY)
        found = {} if table is None else closes(table)
        assert found in allowed
        seen.append(found)
        covered = [(begin, end) for begin, end, _, _ in said(Store(left).spans(JANUARY))]
        assert covered == ([(0, len(found))] if found else []), "rows and what they prove are one"
        part = left / JANUARY.folder / generations.PART
        if part.exists():
            assert closes(pq.read_table(part, partitioning=None)) in (*states, *allowed), "a stranger's file is whole"

    for minute in range(3):
        after = {**states[-1], minute: 1.5}
        power.look = lambda after=after: look(states[-1], after)  # type: ignore[misc]
        store.commit(JANUARY, candles([minute]), [asked(minute, minute + 1)])
        power.look = lambda: None
        assert after in seen
        states.append(after)
        look(after)
        assert (power.cut(tmp_path / "cuts", names=names) / "lake" / JANUARY.folder / generations.PART).exists()


@pytest.mark.parametrize("names", [False, True], ids=["names of the last sync", "names as they are"])
def test_what_is_streamed_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: bool
) -> None:
    """Rows that went to the disk as they came, into an empty partition and into one that has some: all of a commit or
    nothing of it, at every change of names, and all of it once it is acknowledged."""
    home = tmp_path / "home"
    home.mkdir()
    power, store, many = Power(home, monkeypatch), Store(home / "lake"), rising(60)

    def left() -> list[Trade]:
        found = Store(power.cut(tmp_path / "cuts", names=names) / "lake").read(DAY_OF_TRADES)
        return [] if found is None else numbers(found)

    seen: list[list[Trade]] = []
    power.look = lambda: seen.append(left())
    with small():
        for before, first, after in ((0, 0, 40), (40, 30, 60)):
            pieces = [trades(many[at : at + 5]) for at in range(first, after, 5)]
            store.commit_sorted(DAY_OF_TRADES, pieces, [ask(0, after)])
            assert {after} <= {len(rows) for rows in seen} <= {before, after}
            assert all(rows == many[: len(rows)] for rows in seen)
            assert left() == many[:after]
            seen.clear()


def test_what_is_absorbed_is_gone_from_the_disk_before_strangers_see_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names may reach the disk one by one. Before ``part.parquet`` becomes the new generation, the folder on the disk
    has that, and no longer the file whose rows it holds: after a power cut no stranger's glob sees a row twice."""
    home = tmp_path / "home"
    home.mkdir()
    power, store = Power(home, monkeypatch), Store(home / "lake")
    store.commit(JANUARY, candles([0]), [asked(0, 1)])
    folder = Path(store.folder(JANUARY))
    pq.write_table(candles([1]), folder / "data_0.parquet")
    seen: list[set[str]] = []
    monkeypatch.setattr(
        milestones, "step", lambda name: seen.append(power.synced(folder)) if name == "linked aside" else None
    )
    assert compact(store, JANUARY).absorbed == 1
    assert closes(store.read(JANUARY)) == {0: 1.5, 1: 1.5}
    assert [{name for name in names if name.endswith((".pq", ".parquet", ".away"))} for names in seen] == [
        {".g000000001.pq", ".g000000002.pq", "part.parquet", ".absorbed-000000002-data_0.parquet.away"}
    ]
