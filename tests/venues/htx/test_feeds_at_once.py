"""Messages that are read many at once, against the same ones read one by one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from htxdata.schema.arrow import UNFIT
from htxdata.venues import pages, venue
from htxdata.venues.htx.feeds_frames import LONG_FIGURE, may_have_long_figures
from htxdata.venues.htx.feeds_levels import levels_of
from htxdata.venues.terms import Facts, Feed, Pushed

MS = 1_700_000_000_000
FACTS = {"BTC-USDT": Facts(0.001), "ETH-USDT": Facts(0.01)}
figures = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e9, allow_nan=False).map(lambda x: round(x, 6)),
    st.sampled_from([0, 1e-7, 5e20]),
)
pairs = st.lists(st.tuples(figures, figures), max_size=4)


@settings(max_examples=200)
@given(st.lists(pairs, max_size=5))
def test_levels_are_what_a_decoder_reads(sides: list[list[tuple[float, float]]]) -> None:
    """To the last bit, and each side has its own."""
    texts = [json.dumps(side, separators=(",", ":")).encode() for side in sides]
    flat = [pair for side in sides for pair in side]
    found = levels_of(texts)
    if any(len(repr(figure)) > 16 for pair in flat for figure in pair):
        assert found is None
        return
    assert found is not None
    price, size, counts = found
    assert list(zip(price.tolist(), size.tolist(), strict=True)) == [(float(a), float(b)) for a, b in flat]
    assert counts.tolist() == [len(side) for side in sides]


@pytest.mark.parametrize(
    "text",
    ["[1,2]", "[[[1,2]]]", "[[1,2,3]]", "[[1]]", "[[1,2],[]]", "[[],[1,2]]", "[[1,2],3]", "[3,[1,2]]", "5", "[5]",
     "[null]", '[["1","2"]]', "{}", "[[1, 2]]", "[[1,null]]", "true", "[[1e999,2]]",
     "[[0.12345678901234567,1]]", "[[1,[2]]]", ""],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], [b"[[7,8]]"], [b"[]", b"[[7,8],[9,1]]"]])
def test_what_is_no_list_of_pairs_is_left_to_others(text: str, beside: list[bytes]) -> None:
    """Wherever it stands: nothing of it counts as a level of a neighbour."""
    assert levels_of([*beside, text.encode()]) is None
    assert levels_of([text.encode(), *beside]) is None


nested = st.recursive(st.sampled_from([1, 2.5]), lambda inner: st.lists(inner, max_size=3), max_leaves=8)


def is_levels(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and not any(isinstance(one, list) for one in pair) for pair in value
    )


@settings(max_examples=500)
@given(st.lists(st.one_of(nested, pairs.map(lambda some: [[1, 2] for _ in some])), max_size=4))
def test_lists_of_any_shape_are_levels_or_nothing_is(texts: list[Any]) -> None:
    """However they are nested, and whatever stands beside them."""
    found = levels_of([json.dumps(text, separators=(",", ":")).encode() for text in texts])
    if not all(map(is_levels, texts)):
        assert found is None
        return
    assert found is not None
    assert found[2].tolist() == [len(text) for text in texts]
    assert found[0].tolist() == [pair[0] for text in texts for pair in text]


def test_a_side_that_is_null_has_no_levels() -> None:
    found = levels_of([b"null", b"[[7,8]]"])
    assert found is not None
    assert [column.tolist() for column in found] == [[7.0], [8.0], [0, 1]]


members = st.tuples(
    st.sampled_from(["price", "id", "tradeId", "ts", "amount", "ch"]),
    st.sampled_from(["", " ", "\t"]),
    st.one_of(
        st.integers(0, 10**30).map(str), st.decimals(0, 1000, places=20).map(str), st.just('"buy"'),
        st.just('"market.btcusdt.trade.detail"'), st.just('"0.1234567890123456789"'), st.just("[1,2]"),
    ),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.lists(members, max_size=4), max_size=4))
@example([[("price", "", "0.123456789012345")], [("price", "", "0.1234567890123456")]])
def test_no_long_figure_is_overlooked(messages: list[list[tuple[str, str, str]]]) -> None:
    """All messages at once are never found free of what one of them has."""
    bodies = ["{" + ",".join(f'"{n}":{space}{value}' for n, space, value in m) + "}" for m in messages]
    if any(LONG_FIGURE.search(body.encode()) for body in bodies):
        assert may_have_long_figures("".join(bodies).encode())


def trade(number: int, symbol: str, contracts: bool) -> bytes:
    data = [
        {"id": 10**26 + n if not contracts else n, "ts": MS + n, "tradeId": n, "amount": n / 8, "price": 1 + n / 4,
         "direction": ("buy", "sell")[n % 2], **({"quantity": n / 8, "trade_turnover": n / 2} if contracts else {})}
        for n in range(10 * number + 1, 10 * number + 1 + number % 4)
    ]  # fmt: skip
    push = {"ch": f"market.{symbol}.trade.detail", "ts": MS, "tick": {"data": data}}
    return json.dumps(push, separators=(",", ":")).encode()  # with spaces, each would be looked at by itself


def book(number: int, symbol: str, contracts: bool) -> bytes:
    bids = [[100 - n, n % 3] for n in range(number % 5)]
    asks = [[101.5 + n, n / 4] for n in range(number % 3)]
    if contracts:
        event = "snapshot" if number % 7 == 0 else "update"
        tick = {"ts": MS + number, "version": number, "event": event, "bids": bids, "asks": asks}
        return json.dumps(
            {"ch": f"market.{symbol}.depth.size_150.high_freq", "tick": tick}, separators=(",", ":")
        ).encode()
    if number % 7 == 0:
        data = {"seqNum": number, "bids": bids, "asks": asks}
        whole = {"rep": f"market.{symbol}.mbp.150", "status": "ok", "ts": MS, "data": data}
        return json.dumps(whole, separators=(",", ":")).encode()
    tick = {"seqNum": number, "prevSeqNum": number - 1, "bids": bids, "asks": asks if number % 2 else None}
    return json.dumps(
        {"ch": f"market.{symbol}.mbp.150", "ts": MS + number, "tick": tick}, separators=(",", ":")
    ).encode()


def in_order(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Within a message the levels come as they are stored, or as they were sent; of one price in the order of both."""
    names = sorted(found)
    rows = sorted(
        zip(*[found[name] for name in names], strict=True),
        key=lambda row: [row[names.index(name)] for name in ("received_at", "sequence", "side", "price")],
    )
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def content(pushed: Pushed) -> tuple[Any, Any]:
    columns = {
        key: {
            name: (c.tolist() if hasattr(c, "tolist") else list(c))
            for name, c in found.items()
            if name != UNFIT
        }
        for key, found in pushed.columns.items()
    }
    if pushed.messages:
        columns = {key: in_order(found) for key, found in columns.items()}
    messages = {
        key: [(m.received_at, m.at, m.whole, m.sequence, m.previous, m.first, m.last, m.asked) for m in told]
        for key, told in pushed.messages.items()
    }
    return columns, messages


def feed_of(name: str, which: str) -> Feed:
    found = venue(name).feed(which)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["htx-spot", "htx-linear"])
@pytest.mark.parametrize("which", ["trades", "book"])
def test_at_once_is_as_one_by_one(monkeypatch: pytest.MonkeyPatch, name: str, which: str) -> None:
    """With talk between them, over the borders of pages, and whatever makes a parser look at each by itself."""
    monkeypatch.setattr(pages, "PAGE", 1000)
    contracts = name == "htx-linear"
    symbols = ["BTC-USDT", "ETH-USDT"] if contracts else ["btcusdt", "ethusdt"]
    make = {"trades": trade, "book": book}[which]
    frames = [
        (1_000 + n, make(n, symbols[n % 3 % 2], contracts) if n % 11 else b'{"ping":1492420473027}')
        for n in range(1, 2600)
    ]
    feed = feed_of(name, which)
    quick = feed.parse(frames, FACTS)
    slow = feed.parse([*frames, (9_999, b"no JSON")], FACTS)
    assert (quick.faults, [place for place, _ in slow.faults]) == ([], [len(frames)])
    assert content(quick) == content(slow)
    assert len(quick.columns) == 2
    assert sum(len(found["price"]) for found in quick.columns.values()) > 2000
    assert all(
        isinstance(c, np.ndarray) or hasattr(c, "type")
        for found in quick.columns.values()
        for c in found.values()
    )


@pytest.mark.parametrize("which", ["trades", "book"])
def test_talk_alone_is_no_data(which: str) -> None:
    pushed = feed_of("htx-spot", which).parse([(1, b'{"ping":1492420473027}')] * 3, {})
    assert (pushed.columns, pushed.messages, pushed.faults) == ({}, {}, [])


prices = st.lists(st.sampled_from([1, 2, 3, 4.5, 5]), max_size=4)
sides = st.one_of(prices.map(lambda some: sorted(set(some))), prices.map(lambda some: sorted(set(some))[::-1]), prices)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(["btcusdt", "ethusdt"]), sides, sides), min_size=1, max_size=6))
@example([("btcusdt", [2, 1, 2], [3])])
def test_levels_in_any_order_are_those_that_were_sent(messages: list[tuple[str, list[float], list[float]]]) -> None:
    """Each with its own size: of a price that is said twice the later one stays the later one."""
    frames, sent = [], []
    for number, (symbol, bids, asks) in enumerate(messages, 1):
        said = [[[p, 10 * number + n / 8] for n, p in enumerate(side)] for side in (bids, asks)]
        for side, levels in zip(("bid", "ask"), said, strict=True):
            sent += [(symbol, number, side, price, size) for price, size in levels]
        tick = {"seqNum": number, "prevSeqNum": number - 1, "bids": said[0], "asks": said[1]}
        push = {"ch": f"market.{symbol}.mbp.150", "ts": MS, "tick": tick}
        frames.append((number, json.dumps(push, separators=(",", ":")).encode()))
    pushed = feed_of("htx-spot", "book").parse(frames, {})
    found: list[Any] = []
    for (symbol, _), columns in pushed.columns.items():
        names = ("sequence", "side", "price", "size")
        found += [(symbol, *row) for row in zip(*[columns[name].tolist() for name in names], strict=True)]
    assert sorted(found, key=lambda row: row[:4]) == sorted(sent, key=lambda row: row[:4])
    if all(side in (sorted(set(side)), sorted(set(side))[::-1]) for _, *both in messages for side in both):
        for symbol in {symbol for symbol, *_ in found}:
            mine = [row[1:4] for row in found if row[0] == symbol]
            assert mine == sorted(mine)
