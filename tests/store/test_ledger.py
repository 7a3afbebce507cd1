"""Coverage of a whole lake, and the cache that may be deleted, damaged or outrun at any time."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from htxdata.store import Partition, Store, disk, footer, lake_coverage, ledger
from tests.store.build import JANUARY, T0, asked, candles, fundings, said


def fill(root: Path, count: int = 5) -> Store:
    store = Store(root)
    for place in range(count):
        store.commit(Partition("klines", "v", f"S{place}", "1min", "2024-01"), candles([1]), [asked(1, 2)])
    return store


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose footers are read."""
    seen: list[str] = []
    plain = footer.read

    def spy(file: object, name: str) -> footer.Footer:
        seen.append(name)
        return plain(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(footer, "read", spy)
    return seen


def test_a_footer_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    store = fill(tmp_path)
    first = lake_coverage(tmp_path)
    assert len(reads) == len(first) == 5
    assert lake_coverage(tmp_path) == lake_coverage(f"{tmp_path}/") == first
    assert len(reads) == 5
    store.commit(Partition("klines", "v", "S3", "1min", "2024-01"), candles([2]), [asked(2, 3)])
    reads.clear()
    assert said(lake_coverage(tmp_path, symbol="S3").popitem()[1]) == [(1, 3, "present", 2)]
    assert len(lake_coverage(tmp_path)) == 5
    assert [name[-13:] for name in reads] == ["g000000002.pq"]


def test_selections(tmp_path: Path) -> None:
    store = fill(tmp_path)
    store.commit(Partition("funding_rates", "w", "S1", None, "2024"), fundings([T0]), [])
    names = lambda **which: [(s.dataset, s.symbol) for s in lake_coverage(tmp_path, **which)]  # noqa: E731
    assert names(symbol="S1") == [("klines", "S1"), ("funding_rates", "S1")]
    assert names(symbol="S[34]") == [("klines", "S3"), ("klines", "S4")]
    assert names(dataset="funding*") == [("funding_rates", "S1")]
    assert names(period="1min", symbol=["S0", "S1"]) == [("klines", "S0"), ("klines", "S1")]
    assert names(venue="w") == [("funding_rates", "S1")]
    assert names(venue="x") == []


@pytest.mark.parametrize("damage", ["gone", "garbage", "cut", "folder", "another version"])
def test_the_cache_is_nothing_but_quick(tmp_path: Path, damage: str) -> None:
    fill(tmp_path)
    want = lake_coverage(tmp_path)
    cache = tmp_path / ledger.CACHE
    content = cache.read_bytes()
    if damage in ("gone", "folder"):
        shutil.rmtree(cache.parent)
        if damage == "folder":
            cache.mkdir(parents=True)
    else:
        cache.write_bytes(
            {"garbage": b"\xc1nonsense", "cut": content[:-7], "another version": b"\x92\x09\x80"}[damage]
        )
    assert lake_coverage(tmp_path) == want


def test_a_lake_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / ".htxdata").write_text("in the way")
    assert len(lake_coverage(tmp_path)) == 5
    assert lake_coverage(tmp_path / "nothing") == {}
    assert not (tmp_path / "nothing").exists()


def test_a_lake_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    """Same paths and generations, other content: the cache of the old one says nothing about it."""
    fill(tmp_path, 1)
    lake_coverage(tmp_path)
    shutil.rmtree(tmp_path / "klines")
    Store(tmp_path).commit(Partition("klines", "v", "S0", "1min", "2024-01"), candles([7]), [asked(7, 8)])
    assert said(lake_coverage(tmp_path).popitem()[1]) == [(7, 8, "present", 1)]


def test_what_left_the_lake_leaves_the_cache(tmp_path: Path) -> None:
    fill(tmp_path)
    lake_coverage(tmp_path)
    shutil.rmtree(tmp_path / "klines/venue=v/symbol=S0")
    Store(tmp_path).commit(JANUARY, candles([1]), [asked(1, 2)])
    assert len(lake_coverage(tmp_path)) == 5
    assert len(ledger._load(tmp_path)) == 5


def test_strange_folders_are_passed_by(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    for name in (
        "klines/lost+found", "klines/venue=v/junk/period=1min/cell=2024-01", "klines/venue=v/symbol=%zz/period=1min",
        "klines/venue=v/symbol=S0/period=7min/cell=2024", "klines/venue=v/symbol=S0/period=1min/cell=2024",
        "klines/venue=v/symbol=S0/period=1min/cell=abc", "klines/venue=v/symbol=S9/period=1min/cell=2024-01",
        "nope/x=y",
    ):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "klines/venue=v/file").write_text("")
    assert [series.symbol for series in lake_coverage(tmp_path)] == ["S0"]


def test_a_generation_that_vanishes_meanwhile_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(tmp_path, 1)
    listing = ledger.files

    def late(*which: object, **more: object) -> list[object]:
        found = list(listing(*which, **more))  # type: ignore[arg-type]
        part = Partition("klines", "v", "S0", "1min", "2024-01")
        store.commit(part, candles([2]), [asked(2, 3)])
        os.unlink(f"{store.folder(part)}/.g000000001.pq")
        return found

    monkeypatch.setattr(ledger, "files", late)
    assert said(lake_coverage(tmp_path, "klines").popitem()[1]) == [(1, 3, "present", 2)]


def test_many_readers_write_one_cache(tmp_path: Path) -> None:
    """Threads that read and cache while others commit: every answer is true, and the cache ends whole."""
    store = fill(tmp_path)
    wrong: list[object] = []

    def read() -> None:
        try:
            for _ in range(20):
                if len(lake_coverage(tmp_path)) < 5:
                    wrong.append("a series is missing")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for minute in range(2, 20):
        store.commit(
            Partition("klines", "v", "S1", "1min", "2024-01"), candles([minute]), [asked(minute, minute + 1)]
        )
    for thread in threads:
        thread.join()
    assert wrong == []
    assert said(lake_coverage(tmp_path, symbol="S1").popitem()[1]) == [(1, 20, "present", 19)]
    assert not list((tmp_path / ".htxdata").glob("*.tmp"))
    assert disk.folders(str(tmp_path)) == [".htxdata", "klines"]
