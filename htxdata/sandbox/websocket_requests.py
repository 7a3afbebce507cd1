"""One-shot requests: `req`, answered once with `rep` and `data` (htx-api 7.2 to 7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bars import Columns
from .candles import number as whole_number
from .instruments import SPOT
from .live_books import TICK
from .periods import SECOND, open_of, slot_of
from .spelling import spot_kline_rows
from .websocket_books import StepFeed, diffs
from .websocket_feeds import DetailFeed, linear_candle
from .websocket_floor import Floor
from .websocket_index import KINDS, index_candle
from .websocket_messages import levels, trade_rows
from .websocket_topics import Topic, Unknown

_SPOT_SPAN = 1_501_174_800, 2_556_115_200  # seconds between which from and to must be
_LINEAR_SPAN = 1_325_347_200, 2_524_579_200
_SPOT_ROWS, _LINEAR_ROWS = 300, 2000
_SPOT_TRADES, _LINEAR_TRADES = 300, 50


def late(topic: Topic) -> bool:
    """Whether the answer comes a little later, as the snapshots of incremental books do."""
    return topic.what.startswith("mbp.") and "refresh" not in topic.what


def answer(floor: Floor, topic: Topic, asked: Mapping[str, Any], now: int) -> bytes:
    """The `data` of the answer; Unknown if there is none. May take long where candles are asked for."""
    kind, _, rest = topic.what.partition(".")
    if kind == "kline":
        return _candles(floor, topic, asked, now, rest)
    if kind in KINDS:
        return _computed(floor, topic, asked, now, kind, rest)
    if topic.what == "trade.detail":
        return _trades(floor, topic, asked, now)
    if topic.what == "detail" and topic.one.venue == SPOT:
        feed = DetailFeed(floor, topic.text, topic.one, now)
        feed.first(now)
        return feed.tick(now)
    if rest.startswith("step"):
        return StepFeed(floor, topic.text, topic.one, now, int(rest[4:])).tick(now // TICK)
    if kind == "mbp" and "refresh" not in rest:
        return _snapshot(floor, topic, now, int(rest))
    raise Unknown(f"invalid topic {topic.text}")


def _span(asked: Mapping[str, Any], allowed: tuple[int, int]) -> tuple[int | None, int | None]:
    found: list[int | None] = []
    for name in ("from", "to"):
        try:
            value = whole_number(None if asked.get(name) is None else str(asked[name]))
        except ValueError:
            raise Unknown(f"invalid {name}") from None
        if value is not None and not allowed[0] <= value <= allowed[1]:
            raise Unknown(f"invalid {name}")
        found.append(value)
    return found[0], found[1]


def _candles(floor: Floor, topic: Topic, asked: Mapping[str, Any], now: int, period: str) -> bytes:
    one, source = topic.one, floor.source(topic.one)

    def rows(first: int, last: int) -> Columns:
        return source.candles(
            one.venue, one.symbol, period, open_of(period, first), open_of(period, last + 1), now
        )

    if one.venue == SPOT:
        found = _page(rows, _span(asked, _SPOT_SPAN), period, one.listed_at, now, _SPOT_ROWS)
        # More than 300 are not cut: there is no data then (HuobiRDCenter/huobi_Golang #29).
        return b"[%b]" % (spot_kline_rows(found) if len(found["open_time"]) <= _SPOT_ROWS else b"")
    found = _page(rows, _span(asked, _LINEAR_SPAN), period, one.listed_at, now, _LINEAR_ROWS)
    count = min(len(found["open_time"]), _LINEAR_ROWS)
    return b"[%b]" % b",".join(linear_candle(found, place, None) for place in range(count))


def _computed(
    floor: Floor, topic: Topic, asked: Mapping[str, Any], now: int, kind: str, period: str
) -> bytes:
    one, source = topic.one, floor.market.computed(KINDS[kind])

    def rows(first: int, last: int) -> Columns:
        return source.candles(
            one.venue, one.symbol, period, open_of(period, first), open_of(period, last + 1), now
        )

    found = _page(rows, _span(asked, _LINEAR_SPAN), period, one.listed_at, now, _LINEAR_ROWS)
    count = min(len(found["open_time"]), _LINEAR_ROWS)
    return b"[%b]" % b",".join(index_candle(kind, found, place, False) for place in range(count))


def _page(
    rows: Any, span: tuple[int | None, int | None], period: str, listed_at: int, now: int, most: int
) -> Columns:
    """The candles of a span (seconds, both ends included), ascending: without ends the newest, with the end alone the
    oldest up to it, and not many more than `most`."""
    since, until = span
    newest, oldest = slot_of(period, now), slot_of(period, listed_at)
    last = newest if until is None else min(newest, slot_of(period, until * SECOND))
    if since is not None:
        first = max(oldest, slot_of(period, since * SECOND - 1) + 1)
    else:
        first = oldest if until is not None else max(oldest, newest - most + 1)
    found: Columns = rows(first, min(last, first + most))
    return found


def _trades(floor: Floor, topic: Topic, asked: Mapping[str, Any], now: int) -> bytes:
    one = topic.one
    most = _SPOT_TRADES if one.venue == SPOT else _LINEAR_TRADES
    try:
        size = whole_number(None if asked.get("size") is None else str(asked["size"]))
    except ValueError:
        raise Unknown("invalid size") from None
    size = most if size is None or one.venue == SPOT else size
    if not 1 <= size <= most:
        raise Unknown(f"invalid size,valid range: [1, {most}]")
    rows = floor.market.newest_trades(one.venue, one.symbol, size, now)
    count = len(rows["trade_id"])
    rows = {name: None if column is None else column[max(0, count - size) :] for name, column in rows.items()}
    made = trade_rows(
        one.venue, rows, False
    )  # spot lists the newest first (as REST does), contracts the oldest
    return b"[%b]" % b",".join(made)


def _snapshot(floor: Floor, topic: Topic, now: int, depth: int) -> bytes:
    """The book as of the last message of its chain, so that the next one follows (htx-api 7.3, "Book rebuild")."""
    books, tick = floor.books(topic.one), now // TICK
    last = diffs(floor, topic.one, depth).last(tick)
    at = tick if last is None else last
    bids, asks = (levels(books, list(books.side(side, at, depth).items())) for side in (1, 0))
    return b'{"seqNum":%d,"bids":[%b],"asks":[%b]}' % (books.sequence(at), bids, asks)
