"""However a file is cut, its rows are the same; memory does not grow with it; no two ids are equal."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.venues.htx import archive_ids, archive_text, archive_trades
from htxdata.venues.htx.archive import _OLD_TRADES
from htxdata.venues.htx.archive_pieces import Pieces
from htxdata.venues.terms import Facts
from tests.venues.htx.archive_files import NEW, OLD, archive_of, cut, joined, rows_of

TRADES = Series("trades", "htx-spot", "btcusdt")
LINES = [
    f"{100000000000 + at},{1735660802822 + at // 3},{95432.42 + at % 7:.2f},0.{at + 1:05d},{side}"
    for at, side in enumerate(["buy", "sell"] * 6)
]
_TWO_NEW = "BTC-USDT,1,2.5,BUY,3,1735660802822\nBTC-USDT,2,2.5,SELL,3,1735660802822\n"
_ONE_NEW = "BTC-USDT,1.5,1.75,1.25,1.6,4.0,6.0,6.0,1788795720\n"
_PROSE = "Trade ID,Trade Time,Trade Price,Volume (Base Currency),Side (buy/sell)"
FILES = {
    ("trades", OLD, None): f"{_PROSE}\n" + "\n".join(LINES),
    ("trades", NEW, None): "instId,tradeId,px,side,size,ts\n" + _TWO_NEW,
    ("klines", OLD, "1min"): "1621267200,1.5,1.6,1.75,1.25,6.0,4.0\n1621267260,1.6,1.6,1.6,1.6,0,0\n",
    ("klines", NEW, "1min"): "instId,open,high,low,close,vol,volCcy,volCcyQuote,ts\n" + _ONE_NEW,
}  # fmt: skip


@pytest.mark.parametrize(("dataset", "tree", "period"), FILES)
@settings(max_examples=25)
@given(
    places=st.lists(st.integers(0, 900), max_size=12),
    marks=st.sampled_from(["", "\ufeff"]),
    crlf=st.booleans(),
)
@example(places=list(range(900)), marks="\ufeff", crlf=True)
def test_blocks_change_nothing(
    dataset: str, tree: str, period: str | None, places: list[int], marks: str, crlf: bool
) -> None:
    """Cut at any byte, down to single ones, with empty blocks between: the rows of the whole file."""
    series = Series(dataset, "htx-spot", "btcusdt", period)
    text = FILES[dataset, tree, period]
    expected = rows_of(series, tree, text)
    dressed = (marks + (text.replace("\n", "\r\n") if crlf else text)).encode()
    assert rows_of(series, tree, cut(dressed, places)) == expected
    assert len(expected.get("trade_id", expected.get("open_time", []))) > 0


@settings(max_examples=60)
@given(
    st.integers(64, 700),
    st.lists(st.integers(0, 2600), max_size=6),
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 12), st.sampled_from(["1", "2"])),
        min_size=1,
        max_size=60,
    ),
)
def test_pieces_lose_no_row_and_repeat_no_id(
    size: int, places: list[int], rows: list[tuple[int, int, str]]
) -> None:
    """In pieces of any size and ids in any order: every row is there, in order, and no two have one id.

    An id that occurs once keeps its number, unless it lies among those of a piece longer ago.
    """
    rows.sort(key=lambda row: row[1])
    text = "".join(
        f"{identity + 10},{1735660802822 + at},{price},1,buy\n" for identity, at, price in rows
    ).encode()
    read = archive_trades.trades(_OLD_TRADES["spot"], archive_trades.spot_quantities, size)
    found = joined(read(cut(text, places), TRADES, Facts()))
    assert found["trade_time"] == [(1735660802822 + at) * 1000 for _, at, _ in rows]
    assert found["price"] == [float(price) for _, _, price in rows]
    assert len(set(found["trade_id"])) == len(rows)
    often = Counter(identity for identity, _, _ in rows)
    for (identity, at, price), name in zip(rows, found["trade_id"], strict=True):
        if often[identity] > 1 and len(text) <= size:
            assert name.startswith(f"{1735660802822 + at}-{price}-1-buy-")
        else:
            assert name == str(identity + 10) or name.startswith(f"{1735660802822 + at}-{price}-1-buy-")
    if len(text) <= 4 * size and max(often.values()) == 1:
        assert found["trade_id"] == [str(identity + 10) for identity, _, _ in rows]


def test_rows_of_one_instant_stay_together() -> None:
    """Where a piece would end amid an instant, all of its rows come with the next: repeats are seen together."""
    text = "".join(f"{at // 2 + 10},{1735660802822 + at // 4},1,{at + 1},buy\n" for at in range(400)).encode()
    read = archive_trades.trades(_OLD_TRADES["spot"], archive_trades.spot_quantities, 300)
    pieces = list(read([text], TRADES, Facts()))
    assert len(pieces) > 10
    edges = [(parsed.page.first, parsed.page.last) for parsed in pieces]
    assert all(before[1] < after[0] for before, after in pairwise(edges))
    assert joined(pieces) == rows_of(TRADES, OLD, text)
    assert joined(pieces)["trade_id"][:2] == ["1735660802822-1-1-buy-1", "1735660802822-1-2-buy-1"]


def test_rows_are_counted_through_the_pieces() -> None:
    """What is wrong in a later piece is named by its place in the file."""
    lines = [f"{at + 10},{1735660802822 + at // 4},1,1,buy\n" for at in range(400)]
    lines[351] = lines[351].replace(",1,1,", ",1,x,")
    read = archive_trades.trades(_OLD_TRADES["spot"], archive_trades.spot_quantities, 300)
    with pytest.raises(BadReply, match="row 351: the volume is 'x'"):
        list(read(["".join(lines).encode()], TRADES, Facts()))


def test_an_instant_of_several_pieces_repeats_no_name() -> None:
    """Hundreds of equal rows of one instant, cut apart because they are too many: numbered through."""
    text = b"10,1735660802822,1,1,buy\n" * 100
    read = archive_trades.trades(_OLD_TRADES["spot"], archive_trades.spot_quantities, 300)
    pieces = list(read([text], TRADES, Facts()))
    assert len(pieces) == 9
    assert joined(pieces)["trade_id"] == [f"1735660802822-1-1-buy-{at + 1}" for at in range(100)]


def test_ids_far_back_get_names() -> None:
    """A piece whose ids lie among those of one that is no more at hand: names, as nothing shows that they are new."""
    ids = archive_ids.Ids()

    def name(*numbers: int) -> list[str]:
        count = len(numbers)
        ones = pa.array([1.0] * count)
        texts = pa.array(list(map(str, numbers)))
        return ids.unique(
            texts, pa.array(range(count)).to_numpy(), ones, ones, pa.array(["buy"] * count), 0
        ).to_pylist()

    assert name(100, 200) == ["100", "200"]
    assert name(90, 150) == ["90", "150"]  # at hand: none of these was there
    assert name(200, 201) == ["0-1-1-buy-1", "201"]
    for base in range(300, 300 + archive_ids._REMEMBERED):
        assert name(base) == [str(base)]
    assert name(149, 90, 5) == ["0-1-1-buy-2", "1-1-1-buy-1", "5"]  # 149 lies among 100 to 200
    assert name(10**27, 10**27 + 1) == [f"{10**27}", f"{10**27 + 1}"]
    assert name(10**27 + 1, 10**27 + 2) == ["0-1-1-buy-3", f"{10**27 + 2}"]


@pytest.mark.parametrize("width", [8, 9, 12, 15, 16, 17, 19, 24, 25, 27])
def test_growing_ids_of_any_width_keep_their_digits(width: int) -> None:
    """Also where all but the last digits change, as on contracts (…480000, …490000)."""
    start = 10 ** (width - 1) + min(10 ** (width - 2), 99_990_000)
    for step in (1, 10_000):
        numbers = [start + step * at for at in range(40)]
        text = "".join(f"{number},1735660802822,1,1,buy\n" for number in numbers)
        assert rows_of(TRADES, OLD, text)["trade_id"] == list(map(str, numbers))
        numbers[20] = numbers[3]
        text = "".join(f"{number},1735660802822,1,1,buy\n" for number in numbers)
        found = rows_of(TRADES, OLD, text)["trade_id"]
        odd = [at for at, name in enumerate(found) if name != str(numbers[at])]
        assert odd == [3, 20]


@given(
    st.lists(st.integers(0, 10**27), min_size=1, max_size=8),
    st.sampled_from([1, 10**7, 10**8, 10**16, 10**26]),
)
def test_numbers_of_one_width_that_grow_are_seen_to(numbers: list[int], unit: int) -> None:
    """Exactly those, whichever of their digits change: that spares a look at all of them."""
    texts = [str(10**28 + number // unit * unit) for number in numbers]
    for ordered in (texts, sorted(set(texts))):
        growing = all(one < other for one, other in pairwise(ordered))
        assert archive_text.growing_ids(pa.array(ordered), "id", 0) == growing
    assert not archive_text.growing_ids(
        pa.array(["9", "10"]), "id", 0
    )  # of several widths: looked at more closely


def test_a_line_without_end_is_refused() -> None:
    """Before more than a piece of it is held."""
    blocks, taken = iter([b"1" * 1000] * 1000), 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for block in blocks:
            taken += 1
            yield block

    pieces = Pieces(counted(), 10_000)
    with pytest.raises(BadReply, match="a line of more than"):
        pieces.take()
    assert taken <= 12


def _blocks(count: int) -> Iterator[bytes]:
    """So many blocks of a thousand trades each."""
    for at in range(count):
        yield "".join(
            f"{100000000000 + at * 1000 + n},{1735660802822 + at},95432.42,0.00016,buy\n" for n in range(1000)
        ).encode()


def test_memory_does_not_grow_with_the_file() -> None:
    """Ten times as many trades, in pieces of 128 KB: as much memory at the most, Python's and Arrow's."""
    read = archive_trades.trades(_OLD_TRADES["spot"], archive_trades.spot_quantities, 128 << 10)
    peaks = []
    for count in (12, 120):
        tracemalloc.start()
        try:
            before, arrow, rows = pa.total_allocated_bytes(), 0, 0
            for parsed in read(_blocks(count), TRADES, Facts()):
                arrow, rows = max(arrow, pa.total_allocated_bytes() - before), rows + parsed.page.count
            peaks.append((tracemalloc.get_traced_memory()[1], arrow))
        finally:
            tracemalloc.stop()
        assert rows == count * 1000
    (few, few_arrow), (many, many_arrow) = peaks
    assert many < few * 1.2 + 100_000, peaks
    assert many_arrow < few_arrow * 1.3 + 100_000, peaks
    assert many < 2_000_000, peaks
    assert many_arrow < 3_000_000, peaks


def test_a_day_of_candles_has_a_bound() -> None:
    """A file of candles is read at once, and one that is no day of them is refused before it is held."""
    series, taken = Series("klines", "htx-spot", "btcusdt", "1min"), 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"1621267200,1.5,1.6,1.75,1.25,6.0,4.0\n" * 1000

    with pytest.raises(BadReply, match="in one day"):
        list(archive_of(series, OLD).read(lines(), series, Facts()))
    assert taken < 200
