"""The archive's order books: names of files, and JSON lines as rows; against the sandbox's truth and by hand."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.sandbox import Faults, Market
from htxdata.sandbox.archive_bucket import Bucket, Moment
from htxdata.sandbox.archive_zips import Options
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.transport.unzip import tar_gz_blocks
from htxdata.venues.htx.archive_book_lines import changes
from htxdata.venues.htx.archive_books import BOOK_ARCHIVES, spot_sizes
from htxdata.venues.terms import Facts

T = 1_790_000_000_000
SPOT_FACTS = Facts()
SPOT = Series("book_changes", "htx-spot", "btcusdt", None)
LINEAR = Series("book_changes", "htx-linear", "BTC-USDT", None)
SERIES = {
    "spot": SPOT,
    "linear": LINEAR,
    "inverse": Series("book_changes", "htx-inverse", "BTC-USD", None),
    "futures": Series("book_changes", "htx-futures", "BTC261225", None),
}
NAMES = {
    "spot": "BTC-USDT",
    "linear": "BTC-USDT-PERP",
    "inverse": "BTC-USD-PERP",
    "futures": "BTC-USD-261225",
}
SNAPSHOT = {
    "instId": "BTC-USDT",
    "action": "snapshot",
    "ts": T,
    "asks": [[101.5, 2], [102, 0.25]],
    "bids": [[101, 1], [99.5, 3]],
}
UPDATE = {
    "instId": "BTC-USDT",
    "action": "update",
    "ts": T + 7,
    "asks": [],
    "bids": [[101, 0], [100.75, 8.5]],
}


def lines(*messages: Any) -> bytes:
    return b"".join(
        (one if isinstance(one, bytes) else json.dumps(one, separators=(",", ":")).encode()) + b"\n"
        for one in messages
    )


def read(
    *messages: Any,
    market: Any = "spot",
    facts: Facts = SPOT_FACTS,
    cut: int = 1 << 20,
    each: int | None = None,
) -> dict[str, list[Any]]:
    """All pieces as one, after each one's page was found to tell its rows and their ends."""
    text = messages[0] if len(messages) == 1 and isinstance(messages[0], bytes) else lines(*messages)
    blocks = (text[at : at + cut] for at in range(0, len(text), cut))
    (archive,) = BOOK_ARCHIVES[market]
    reader = archive.read if each is None else changes(lambda series: (NAMES[market],), spot_sizes, each)
    out: dict[str, list[Any]] = {}
    for parsed in reader(blocks, SERIES[market], facts):
        columns = {name: pa.array(column).to_pylist() for name, column in parsed.columns.items()}
        times = columns["book_time"]
        assert (parsed.page.count, parsed.page.first, parsed.page.last) == (len(times), times[0], times[-1])
        assert {len(column) for column in columns.values()} == {len(times)}
        columns["unfit"] = [0] * len(times) if parsed.unfit is None else parsed.unfit.tolist()
        for name, column in columns.items():
            out.setdefault(name, []).extend(column)
    return out


def rows(found: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    names = ("sequence", "book_time", "kind", "side", "price", "size")
    return list(zip(*(found[name] for name in names), strict=True)) if found else []


BOTH = [
    (0, T * 1000, "snapshot", "ask", 101.5, 2.0),
    (0, T * 1000, "snapshot", "ask", 102.0, 0.25),
    (0, T * 1000, "snapshot", "bid", 99.5, 3.0),
    (0, T * 1000, "snapshot", "bid", 101.0, 1.0),
    (1, (T + 7) * 1000, "delta", "bid", 100.75, 8.5),
    (1, (T + 7) * 1000, "delta", "bid", 101.0, 0.0),
]

# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("market", "key"),
    [
        ("spot", "spot/daily/orderbook/lv400/BTC-USDT/BTC-USDT-l2orderbook-400lv-2026-07-13.tar.gz"),
        (
            "linear",
            "futures/daily/orderbook/lv150/BTC-USDT-PERP/BTC-USDT-PERP-l2orderbook-150lv-2026-07-13.tar.gz",
        ),
        (
            "inverse",
            "futures/daily/orderbook/lv150/BTC-USD-PERP/BTC-USD-PERP-l2orderbook-150lv-2026-07-13.tar.gz",
        ),
        (
            "futures",
            "futures/daily/orderbook/lv150/BTC-USD-261225/BTC-USD-261225-l2orderbook-150lv-2026-07-13.tar.gz",
        ),
    ],
)
def test_the_name_of_a_file(market: Any, key: str) -> None:
    """Spot has 400 levels and contracts 150; the day of a name is read back, and of no other name."""
    (archive,) = BOOK_ARCHIVES[market]
    series, key = SERIES[market], f"historical_data/{key}"
    assert archive.key(series, "2026-07-13") == key
    assert archive.folder(series) == key.rpartition("/")[0] + "/"
    assert archive.day_of(series, key) == "2026-07-13"
    for stray in (f"{key}.CHECKSUM", key[:-7] + ".zip", key.replace("07-13", "02-30"), key.replace("lv-2", "lv-x2"),
                  archive.folder(series) + "remark.txt"):  # fmt: skip
        assert archive.day_of(series, stray) is None
    assert (archive.dataset, archive.first, archive.packed) == ("book_changes", "2026-05-28", "tar.gz")


# ------------------------------------------------------------------------------------------------ what a line says


def test_a_snapshot_and_an_update() -> None:
    """A row for every level, in the order in which they are stored; the line's number is the sequence."""
    found = read(SNAPSHOT, UPDATE)
    assert rows(found) == BOTH
    assert set(found) == {"book_time", "kind", "side", "price", "size", "sequence", "unfit"}
    assert not any(found["unfit"])


def texts(message: dict[str, Any], more: tuple[str, ...] = ()) -> dict[str, Any]:
    sides = {name: [[*map(str, level), *more] for level in message[name]] for name in ("asks", "bids")}
    return {**message, **sides, "ts": str(message["ts"])}


@pytest.mark.parametrize(
    "messages",
    [
        [texts(SNAPSHOT), texts(UPDATE)],
        [texts(SNAPSHOT, ("4",)), texts(UPDATE, ("0",))],
        [{**one, "ts": one["ts"] * 1000} for one in (SNAPSHOT, UPDATE)],
        [{**one, "ts": str(one["ts"] * 1000)} for one in (SNAPSHOT, UPDATE)],
        [json.dumps(one, indent=1).replace("\n", " \t").encode() for one in (SNAPSHOT, UPDATE)],
        [dict(sorted(one.items(), reverse=True)) for one in (SNAPSHOT, UPDATE)],
        [{**one, "asks": one["asks"][::-1], "bids": one["bids"][::-1]} for one in (SNAPSHOT, UPDATE)],
        [{**one, "bids": one["bids"][1:] + one["bids"][:1]} for one in (SNAPSHOT, UPDATE)],
        [lines(SNAPSHOT)[:-1] + b"\r", lines(UPDATE)[:-1] + b"\r\n\r"],
    ],
    ids=["texts", "three", "micro", "micro texts", "blanks", "members", "turned", "mixed", "crlf"],
)
def test_the_same_in_other_words(messages: list[Any]) -> None:
    """Numbers as texts, microseconds, a third number, blanks, another order of members and levels mean the same."""
    assert rows(read(*messages)) == BOTH


def test_a_line_without_levels_counts_and_says_nothing() -> None:
    """Its number is gone; a snapshot without levels before any level was told is no news either."""
    nothing = {**UPDATE, "bids": [], "ts": T}
    found = read({**nothing, "action": "snapshot"}, nothing, SNAPSHOT, UPDATE)
    assert [row[0] for row in rows(found)] == [2, 2, 2, 2, 3, 3]
    assert read(nothing) == {}
    assert read(b"") == {}


def test_contracts_are_base_units_by_their_size() -> None:
    """Three contracts of 0.1 coins are 0.3; of coin-margined ones, dollars by price; the contracts stay beside."""
    for market, size, expected in (
        ("linear", 0.1, 0.3),
        ("inverse", 100.0, 300.0 / 101.5),
        ("futures", 10.0, 30.0 / 101.5),
    ):
        message = {**SNAPSHOT, "instId": NAMES[market], "asks": [[101.5, 3]], "bids": []}
        found = read(message, market=market, facts=Facts(size))
        assert (found["size"], found["contracts"]) == ([expected], [3.0])


def test_a_number_that_no_double_carries_is_counted() -> None:
    """In its own row, wherever the row is sorted to."""
    found = read(lines(UPDATE).replace(b"8.5", b"8.50000000000000000001"))
    assert (found["price"], found["unfit"]) == ([100.75, 101.0], [1, 0])


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({**UPDATE, "instId": "ETH-USDT"}, "line 1 is of 'ETH-USDT', asked for 'BTC-USDT'"),
        ({**UPDATE, "action": "partial"}, "line 1: the action is 'partial'"),
        ({**UPDATE, "checksum": 7}, "line 1: Object contains unknown field `checksum`"),
        ({name: UPDATE[name] for name in ("instId", "action", "ts", "bids")}, "line 1: Object missing required field"),
        ({**UPDATE, "bid": []}, "line 1: Object contains unknown field `bid`"),
        ({**UPDATE, "ts": T - 1}, f"line 1: the time {T - 1} is before that of the line before"),
        ({**UPDATE, "ts": T // 1000}, "line 1: the time is 1790000000: not milliseconds"),
        ({**UPDATE, "ts": T * 1000}, "line 1: the time is 1790000000000000: not milliseconds"),
        ({**UPDATE, "ts": "soon"}, "line 1: the time is 'soon'"),
        ({**UPDATE, "ts": None}, "line 1: Expected `int | str`"),
        ({**UPDATE, "ts": -T}, "not milliseconds"),
        ({**UPDATE, "bids": [[100, -1]]}, r"line 1: the size is -1\.0"),
        ({**UPDATE, "bids": [[0, 1]]}, r"line 1: the price is 0\.0"),
        ({**UPDATE, "bids": [[-5, 1]]}, r"line 1: the price is -5\.0"),
        ({**UPDATE, "asks": [[7, 1], [7, 2]]}, r"line 1: the price 7\.0 is there twice"),
        ({**UPDATE, "bids": [[7, 1], [6, 1], [7, 1]]}, r"line 1: the price 7\.0 is there twice"),
        ({**UPDATE, "bids": [[7]]}, "line 1: .* is no list of levels of 2 numbers"),
        ({**UPDATE, "bids": [[7, 1, 2]]}, "line 1: .* is no list of levels of 2 numbers"),
        ({**UPDATE, "bids": [7, 1]}, "line 1: .* is no list of levels"),
        ({**UPDATE, "bids": [[[7, 1]]]}, "line 1: .* is no list of levels"),
        ({**UPDATE, "asks": [[[7, 1]]], "bids": [7, 1]}, "line 1: .* is no list of levels"),
        ({**UPDATE, "bids": {"7": 1}}, "line 1: .* is no list of levels"),
        ({**UPDATE, "bids": None}, "line 1: .* is no list of levels"),
        ({**UPDATE, "bids": [[None, 1]]}, "line 1: .* is no list of levels"),
        ({**UPDATE, "bids": [["", 1]]}, "line 1: "),
        ({**UPDATE, "bids": [["7 7", 1]]}, "line 1: "),
        ({**UPDATE, "bids": [["1e", 1]]}, "line 1: "),
        ({**UPDATE, "bids": [["+7", 1]]}, "line 1: "),
        ({**UPDATE, "bids": [["07", 1]]}, "line 1: "),
        ({**UPDATE, "bids": [[7, "1e999"]]}, "line 1: "),
        ({**SNAPSHOT, "asks": [], "bids": []}, "line 1: a snapshot of an empty book"),
        (lines(UPDATE)[:-2], "line 1: Input data was truncated"),
        (lines(UPDATE)[:-1] * 2, "line 1: JSON is malformed"),
        (lines(UPDATE).replace(b"update", b"up\xffate"), "line 1: "),
        (b"[]", "line 1: Expected `object`, got `array`"),
        (b"instId,ts", "line 1: JSON is malformed"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(bad: Any, said: str) -> None:
    """With the line and what is wrong with it."""
    with pytest.raises(BadReply, match=said):
        read(SNAPSHOT, bad)


def test_a_later_piece_is_held_against_the_first() -> None:
    """Lines are counted, times compared and spellings kept over the borders of pieces."""
    many = [{**UPDATE, "ts": T + at} for at in range(200)]
    for bad, said in (
        ({**UPDATE, "ts": T}, "line 200: the time .* is before"),
        ({**UPDATE, "ts": (T + 900) * 1000}, "line 200: .* not milliseconds"),
        ({**UPDATE, "ts": T + 900, "bids": [[7, 1, 1]]}, "line 200: .* is no list of levels of 2"),
        ({**SNAPSHOT, "ts": T + 900, "asks": [], "bids": []}, "line 200: a snapshot of an empty book"),
        ({**UPDATE, "ts": T + 900, "bids": [["x", 1]]}, "line 200: "),
    ):
        with pytest.raises(BadReply, match=said):
            read(*many, bad, each=400)


def test_contracts_are_whole_and_their_size_is_known() -> None:
    """A fraction of a contract is another unit, and none is guessed; nor is a size."""
    message = {**SNAPSHOT, "instId": "BTC-USDT-PERP"}
    with pytest.raises(BadReply, match=r"line 0: the number of contracts is 0\.25"):
        read(message, market="linear", facts=Facts(0.001))
    with pytest.raises(BadReply, match="the size of a contract is not known"):
        read(message, market="linear")
    with pytest.raises(BadReply, match=r"line 0: .*orders is 0\.5"):
        read(texts(SNAPSHOT, ("0.5",)))


# ------------------------------------------------------------------------------------------------ laws

LEVELS = st.dictionaries(st.integers(1, 10**6), st.integers(0, 10**6), max_size=5)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3), LEVELS, LEVELS), min_size=1, max_size=25),
    st.integers(1, 300),
    st.integers(400, 2000),
)
def test_rows_are_the_levels_however_the_file_was_cut(messages: list[Any], cut: int, each: int) -> None:
    """Against a loop over the lines; neither blocks nor pieces show."""
    spelled, expected, time = [], [], T
    for at, (whole, later, asks, bids) in enumerate(messages):
        time += later
        snapshot = whole and bool(asks or bids)
        sides = {
            "asks": [[p / 100, s / 8] for p, s in asks.items()],
            "bids": [[p / 100, s / 8] for p, s in bids.items()],
        }
        spelled.append(
            {"instId": "BTC-USDT", "action": "snapshot" if snapshot else "update", "ts": time, **sides}
        )
        for side, levels in (("ask", sides["asks"]), ("bid", sides["bids"])):
            kind = "snapshot" if snapshot else "delta"
            expected += [(at, time * 1000, kind, side, price, size) for price, size in sorted(levels)]
    assert rows(read(*spelled, cut=cut, each=each)) == expected
    assert rows(read(*spelled)) == expected


def endless(count: int) -> Iterator[bytes]:
    line = lines({**SNAPSHOT, "asks": [[1000 + at, 1.5] for at in range(60)], "bids": []}) + lines(UPDATE)
    block = line.replace(b"%d" % (T + 7), b"%d" % T) * 20
    return (block for _ in range(count))


def test_memory_is_that_of_a_piece() -> None:
    """A file four times as long takes no more of it."""
    reader, peaks = changes(lambda series: ("BTC-USDT",), spot_sizes, 200_000), []
    for count in (40, 160):
        tracemalloc.start()
        total = sum(parsed.page.count for parsed in reader(endless(count), SPOT, Facts()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == count * 20 * 62
    assert peaks[1] < 1.2 * peaks[0] < 10_000_000


# ------------------------------------------------------------------------------------------------ the sandbox


@pytest.fixture(scope="module")
def bucket() -> Bucket:
    return Bucket(Market(3), None, Faults(), Options())


@pytest.mark.parametrize(
    ("market", "symbol", "day"),
    [
        ("spot", "btcusdt", "2026-08-01"),
        ("spot", "pepeusdt", "2026-05-28"),
        ("linear", "BTC-USDT", "2026-08-01"),
        ("linear", "SHIB-USDT", "2026-09-30"),
        ("linear", "BTC-USDT-261225", "2026-06-26"),
    ],
)
def test_the_sandboxs_files_are_its_truth(bucket: Bucket, market: Any, symbol: str, day: str) -> None:
    """Name, packing, lines and units: the rows that would be stored are those of the truth, in its order."""
    (archive,) = BOOK_ARCHIVES[market]
    series = Series("book_changes", f"htx-{market}", symbol, None)
    key = archive.key(series, day)
    entry = bucket.find(key, Moment(1_800_000_000_000_000, 0.0))
    assert entry is not None
    truth = bucket.truth(key)
    size = None if market == "spot" else Market(3).instrument(f"htx-{market}", symbol).contract_size
    declared = dataset("book_changes")
    tables = [
        conform(declared, {**parsed.columns, "source": "archive", "received_at": 7})
        for parsed in archive.read(tar_gz_blocks(entry.body()), series, Facts(size))
    ]
    found = pa.concat_tables(tables)
    assert len(found) > 10_000
    for name in ("book_time", "kind", "side", "price", "size", "contracts", "sequence"):
        column = found[name].cast(pa.int64()) if name == "book_time" else found[name]
        due = [None] * len(found) if truth[name] is None else truth[name].tolist()
        assert column.to_pylist() == due, name
    assert found["previous_sequence"].null_count == len(found)
    order = [("book_time", "ascending"), *((name, "ascending") for name in declared.key)]
    assert found.sort_by(order).equals(found)
