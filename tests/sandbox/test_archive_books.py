"""The sandbox's files of order books as a client sees them, read with tarfile and json only."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from htxdata.sandbox import Faults, Market, Rule, books
from tests.sandbox.archive_client import ArchiveClient, archive, window

DEPTH = {"spot": 400, "futures": 150}
KEYS = {
    "spot": "historical_data/spot/daily/orderbook/lv400/BTC-USDT/BTC-USDT-l2orderbook-400lv-2026-08-01.tar.gz",
    "tiny": "historical_data/spot/daily/orderbook/lv400/PEPE-USDT/PEPE-USDT-l2orderbook-400lv-2026-06-30.tar.gz",
    "swap": "historical_data/futures/daily/orderbook/lv150/BTC-USDT-PERP/"
    "BTC-USDT-PERP-l2orderbook-150lv-2026-08-01.tar.gz",
    "dated": "historical_data/futures/daily/orderbook/lv150/BTC-USDT-261225/"
    "BTC-USDT-261225-l2orderbook-150lv-2026-07-02.tar.gz",
}
SYMBOLS = {"spot": "btcusdt", "tiny": "pepeusdt", "swap": "BTC-USDT", "dated": "BTC-USDT-261225"}
SWAP = KEYS["swap"]
SIDES = (("ask", "asks"), ("bid", "bids"))


@pytest.fixture(scope="module")
def client() -> Iterator[ArchiveClient]:
    with archive() as made:
        yield made


def unpacked(key: str, body: bytes) -> list[dict[str, Any]]:
    """The lines of the one file, which is named as the tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        (inside,) = tar.getmembers()
        assert inside.isreg()
        assert inside.name == key.rpartition("/")[2].removesuffix(".tar.gz") + ".data"
        file = tar.extractfile(inside)
        assert file is not None
        return [json.loads(line) for line in file.read().splitlines()]


@pytest.fixture(scope="module")
def lines_of(client: ArchiveClient) -> Callable[[str], list[dict[str, Any]]]:
    """The lines of a file, fetched once."""
    return cache(lambda key: unpacked(key, client.get(key).content))


def day_of(key: str) -> str:
    return key.removesuffix(".tar.gz")[-10:]


@pytest.mark.parametrize("name", ["spot", "tiny", "swap"])
def test_a_file_is_the_truth(client: ArchiveClient, lines_of: Callable[[str], Any], name: str) -> None:
    """Listed with its size, summed, and line by line what `archive_rows` says; contracts are sizes in contracts."""
    key = KEYS[name]
    (listed, summed) = client.listed(key)
    reply = client.get(key)
    assert (reply.status_code, len(reply.content)) == (200, listed.size)
    assert summed.key == f"{key}.CHECKSUM"
    digest, said = client.get(summed.key).text.split()
    assert (digest, said) == (hashlib.sha256(reply.content).hexdigest(), key.rpartition("/")[2])
    lines, truth = lines_of(key), client.sandbox.archive_rows(key)
    sides = [(at, side, line[name]) for at, line in enumerate(lines) for side, name in SIDES]
    counts = [len(levels) for _, _, levels in sides]
    levels = np.array([level for _, side, some in sides for level in (some if side == "ask" else some[::-1])])
    assert np.repeat([at for at, _, _ in sides], counts).tolist() == truth["sequence"].tolist()
    assert np.repeat([side for _, side, _ in sides], counts).tolist() == truth["side"].tolist()
    assert [lines[at]["ts"] * 1000 for at in truth["sequence"]] == truth["book_time"].tolist()
    words = ["snapshot" if line["action"] == "snapshot" else "delta" for line in lines]
    assert [words[at] for at in truth["sequence"]] == truth["kind"].tolist()
    assert levels[:, 0].tolist() == truth["price"].tolist()
    sizes = truth["size"] if truth["contracts"] is None else truth["contracts"]
    assert levels[:, 1].tolist() == sizes.tolist()
    assert {line["instId"] for line in lines} == {key.split("/")[5]}
    assert {line["action"] for line in lines} == {"snapshot", "update"}
    if truth["contracts"] is not None:
        each = client.sandbox.market.instrument("htx-linear", SYMBOLS[name]).contract_size
        assert truth["size"].tolist() == pytest.approx((truth["contracts"] * each).tolist(), rel=1e-12)


@pytest.mark.parametrize("name", KEYS)
def test_a_book_is_one_book(lines_of: Callable[[str], Any], name: str) -> None:
    """Deltas lead from each snapshot exactly to the next; bids stay below asks, and both are as deep as they should."""
    key, sides = KEYS[name], {"asks": dict[float, float](), "bids": dict[float, float]()}
    depth, snapshots, crossed = DEPTH[key.split("/")[1]], 0, 0
    start, end = window(day_of(key))
    lines = lines_of(key)
    assert lines[0]["action"] == "snapshot"
    for line in lines:
        for side, book in sides.items():
            levels = dict(map(tuple, line[side]))
            assert len(levels) == len(line[side])
            if line["action"] == "snapshot":
                book.clear()
            else:  # only what is there can go
                assert all(size or price in book for price, size in levels.items())
            book.update(levels)
            for price in [price for price, size in levels.items() if not size]:
                del book[price]
            assert len(book) == depth
        snapshots += line["action"] == "snapshot"
        crossed += max(sides["bids"]) >= min(sides["asks"])
    assert (snapshots, crossed) == (24, 0)
    times = [line["ts"] * 1000 for line in lines]
    assert start <= times[0] < times[-1] < end
    assert all(one < other for one, other in pairwise(times))


def test_a_level_holds_what_was_said_last(lines_of: Callable[[str], Any]) -> None:
    """What deltas made of a book is what a snapshot of the same instant would have said: no change goes untold."""
    lines = lines_of(SWAP)
    places = [at for at, line in enumerate(lines) if line["action"] == "snapshot"]
    for first, last in pairwise(places[:6]):
        book = {(side, price): size for side in ("asks", "bids") for price, size in lines[first][side]}
        for line in lines[first + 1 : last]:
            book.update({(side, price): size for side in ("asks", "bids") for price, size in line[side]})
        book = {level: size for level, size in book.items() if size}
        after = {(side, price): size for side in ("asks", "bids") for price, size in lines[last][side]}
        kept = book.keys() & after.keys()
        # An hour renews each level once, and a line two or three of them.
        assert len(kept) > 280
        assert sum(book[level] != after[level] for level in kept) <= 2


@pytest.mark.parametrize("name", KEYS)
def test_the_book_stands_where_trades_are_made(client: ArchiveClient, name: str) -> None:
    """Each trade of the day lies within a thousandth of the middle of the book before it."""
    key = KEYS[name]
    truth = client.sandbox.archive_rows(key)
    venue = "htx-spot" if "/spot/" in key else "htx-linear"
    trades = client.sandbox.market.trades(venue, SYMBOLS[name], *window(day_of(key)))
    snapshot = truth["kind"] == "snapshot"
    for sequence in np.unique(truth["sequence"][snapshot]).tolist():
        rows = truth["sequence"] == sequence
        asks, bids = (truth["price"][rows & (truth["side"] == side)] for side in ("ask", "bid"))
        at = int(truth["book_time"][rows][0])
        near = np.abs(trades["trade_time"] - at) < 20_000_000
        middle = (asks.min() + bids.max()) / 2
        assert np.abs(trades["price"][near] / middle - 1).max(initial=0) < 1e-3


def test_the_first_day_and_the_halted(client: ArchiveClient) -> None:
    """From 2026-05-28 on, for what is traded: a suspended pair has candles and no book."""
    folder = "historical_data/spot/daily/orderbook/lv400/BTC-USDT/"
    assert client.listed(folder)[0].key == f"{folder}BTC-USDT-l2orderbook-400lv-2026-05-28.tar.gz"
    assert client.listed("historical_data/spot/daily/orderbook/lv400/WAVES-USDT/") == []
    assert client.listed("historical_data/futures/daily/orderbook/lv400/") == []
    with pytest.raises(KeyError):
        client.sandbox.archive_rows(f"{folder}BTC-USDT-l2orderbook-400lv-2026-05-27.tar.gz")
    assert client.get(f"{folder}BTC-USDT-l2orderbook-400lv-2026-05-28.zip").status_code == 404


def test_a_contract_that_begins_at_noon_begins_with_a_snapshot(client: ArchiveClient) -> None:
    """Its first line is not before its listing."""
    folder = "historical_data/futures/daily/orderbook/lv150/BMT-USDT-PERP/"
    key = f"{folder}BMT-USDT-PERP-l2orderbook-150lv-2026-08-12.tar.gz"
    lines = unpacked(key, client.get(key).content)
    listed = client.sandbox.market.instrument("htx-linear", "BMT-USDT").listed_at
    assert lines[0]["action"] == "snapshot"
    assert 0 <= lines[0]["ts"] * 1000 - listed < 20_000_000


def test_after_a_halt_comes_a_snapshot(market: Market) -> None:
    """Nothing is said during it, and the book begins anew, whenever that is."""
    start, _ = window("2026-08-01")
    halt = start + 4_000_000_000, start + 9_000_000_000
    one = replace(market.instrument("htx-linear", "BTC-USDT"), halts=(halt,))
    made = books.lines(0, one, start)
    after = made.time * 1000 >= halt[1]
    assert not ((made.time * 1000 >= halt[0]) & ~after).any()
    first = int(np.argmax(after))
    assert made.snapshot[first]
    assert (np.bincount(made.side[made.line == first]) == [150, 150]).all()
    assert books.counts(0, one, start)[0] == len(made.time)


def test_bytes_depend_on_seed_and_key_alone(client: ArchiveClient) -> None:
    """Another sandbox of the same seed serves the same bytes, one of another seed does not."""
    body = client.get(SWAP).content
    with archive() as again, archive(seed=1) as other:
        assert again.get(SWAP).content == body
        assert other.get(SWAP).content != body


def test_a_day_is_made_quickly() -> None:
    """Under a second, listing and all."""
    with archive(seed=5) as client:
        began = time.process_time()
        assert client.get(KEYS["spot"]).status_code == 200
        assert time.process_time() - began < 1.0


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(("name", "mode"), [("swap", "flip"), ("swap", "torn")])
def test_corrupt_files(mode: str, name: str) -> None:
    """The length is right and the content cannot be inflated; the next time it is whole."""
    key = KEYS[name]
    with archive(faults=Faults(Rule("corrupt_file", mode=mode, times=1, path="*.tar.gz"))) as client:
        spoilt, good = client.get(key), client.get(key)
        assert len(spoilt.content) == len(good.content)
        assert hashlib.sha256(good.content).hexdigest() == client.get(f"{key}.CHECKSUM").text[:64]
        with pytest.raises((zlib.error, OSError, EOFError)):
            gzip.decompress(spoilt.content)
        assert unpacked(key, good.content)


def test_missing_days_and_wrong_checksums() -> None:
    """As with any other file."""
    rules = Rule("missing_day", path="*PEPE-USDT-l2orderbook*"), Rule("wrong_checksum", times=1)
    with archive(faults=Faults(*rules)) as client:
        assert client.get(KEYS["tiny"]).status_code == 404
        assert client.listed(KEYS["tiny"]) == []
        digest = hashlib.sha256(client.get(SWAP).content).hexdigest()
        said = [client.get(f"{SWAP}.CHECKSUM").text[:64] == digest for _ in range(2)]
        assert said == [False, True]


def test_a_file_is_replaced(client: ArchiveClient) -> None:
    """First it lacks the end of the day, then it is the truth, under another ETag."""
    with archive(faults=Faults(Rule("replaced_file", after=1, path="*l2orderbook*", fraction=0.25))) as other:
        early, late = other.get(SWAP), other.get(SWAP)
    assert early.headers["ETag"] != late.headers["ETag"]
    assert late.content == client.get(SWAP).content
    whole, part = unpacked(SWAP, late.content), unpacked(SWAP, early.content)
    assert part == whole[: int(len(whole) * 0.75)]
    assert Market(0).seed == client.sandbox.market.seed
