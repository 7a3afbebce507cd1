"""From HTX's bytes to columns named as in the schema. Pure; raises ``BadReply`` rather than guess (law 9)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.timeline import SECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Parsed

SPOT_CANDLE: Mapping[str, str] = {
    # htx-api 1.5 [A]: on spot `amount` is base volume and `vol` is quote turnover.
    "id": "open_time", "open": "open", "high": "high", "low": "low", "close": "close",
    "amount": "volume", "vol": "quote_volume", "count": "trade_count",
}  # fmt: skip
LINEAR_CANDLE: Mapping[str, str] = {
    # htx-api 1.5 [A]: on contracts `vol` is contracts, `amount` coins, and all count both sides. `trade_turnover`
    # (USDT) came in 2021; older replies may lack it, and those of coin-margined contracts do, so it alone is optional.
    "id": "open_time", "open": "open", "high": "high", "low": "low", "close": "close",
    "amount": "volume", "trade_turnover": "quote_volume", "vol": "contracts", "count": "trade_count",
}  # fmt: skip
PRICE_CANDLE: Mapping[str, str] = {
    # htx-api 4.4 [A]: candles of what is computed, not traded. amount, vol, count and trade_turnover are always "0".
    "id": "open_time", "open": "open", "high": "high", "low": "low", "close": "close",
}  # fmt: skip
_OPTIONAL = frozenset({"trade_turnover"})
# Kline rows carry `mrid` on the socket and nothing else is documented over REST; unknown members are not data of ours
# and do not make a reply wrong, a missing or ill-typed one does.
_INTEGERS = frozenset({"id", "count"})


def kline_parser(
    names: Mapping[str, str], topic: str = "kline", named: Callable[[str], str] = str
) -> Callable[[Reply, Series], Parsed]:
    """The parser of candles whose members are called ``names`` (venue's name to ours).

    ``topic`` is what the answer calls them, ``named`` what it calls a symbol: ``market.BTC-USDT.kline.1min``.
    """

    def parse(reply: Reply, series: Series) -> Parsed:
        answer = wire.open_answer(reply.body)
        spelled = dict(reply.request.params).get("period", "")
        check_echo(answer.said.get("ch"), f"market.{named(series.symbol)}.{topic}.{spelled}")
        if answer.end - answer.start < _SHORTEST and not answer.rows.strip():
            return Parsed({name: [] for name in names.values()}, Page(0))
        fast = wire.fast_rows(answer, _INTEGERS, names)
        if fast is None and (bare := _unquoted(answer)) is not None:
            fast = wire.fast_rows(bare, _INTEGERS, names)
        if fast is not None and all(n in fast[0] for n in names if n not in _OPTIONAL):
            columns = {ours: fast[0][theirs] for theirs, ours in names.items() if theirs in fast[0]}
            unfit = fast[1]
        else:
            columns, unfit = _slow_candles(wire.slow_rows(answer.rows), names)
        return _candles(columns, unfit)

    return parse


_SHORTEST = 100  # bytes; shorter rows may be none but blanks


def check_echo(said: Any, expected: str) -> None:
    """An unknown query parameter is ignored in silence and gives 1min data: believe only an answer that says what it
    is (htx-api 1.3 [B])."""
    if said is None:
        return  # not every documented sample has it
    if not isinstance(said, str) or said.lower() != expected.lower():
        raise BadReply(f"asked for {expected}, the answer says it is {said!r:.80}")


_NUMBER = b"0123456789.+-E"
_MEMBER = rb'"[a-z_]+":(?:[0-9.+\-E]+|"[0-9.+\-E]+")'
_TEXT_ROW = re.compile(rb"\{(?:%b,)*%b\}" % (_MEMBER, _MEMBER))


def _unquoted(answer: wire.Answer) -> wire.Answer | None:
    """The same rows with their numbers no longer in quotes; ``None`` where the rows are not all spelled alike.

    All rows are quoted like the first one, in pairs: without the characters of numbers they are the same, byte for
    byte. What then remains without the quotes beside colon, comma and brace, `fast_rows` proves to be bare rows.
    """
    rows = answer.rows
    first = rows[: rows.find(b"}") + 1]
    if not _TEXT_ROW.fullmatch(first):
        return None
    one, skeleton = first.translate(None, _NUMBER), rows.translate(None, _NUMBER)
    count, rest = divmod(len(skeleton) + 1, len(one) + 1)
    if rest or skeleton != (one + b",") * (count - 1) + one:
        return None
    bare = rows.replace(b':"', b":").replace(b'",', b",").replace(b'"}', b"}")
    return wire.Answer(answer.said, b"[" + bare + b"]", 1, len(bare) + 1)


def _slow_candles(rows: list[dict[str, Any]], names: Mapping[str, str]) -> tuple[dict[str, Any], Any]:
    columns: dict[str, Any] = {ours: [] for ours in names.values()}
    unfit = np.zeros(len(rows), np.uint8)
    for at, row in enumerate(rows):
        for theirs, ours in names.items():
            if theirs in _OPTIONAL and theirs not in row:
                columns[ours].append(None)
            elif theirs in _INTEGERS:
                columns[ours].append(wire.integer(row, theirs, at))
            else:
                value, fitting = wire.number(row, theirs, at)
                columns[ours].append(value)
                unfit[at] += not fitting
    for ours in [ours for theirs, ours in names.items() if theirs in _OPTIONAL]:
        if all(value is None for value in columns[ours]):
            del columns[ours]
    return columns, unfit if unfit.any() else None


def _candles(columns: dict[str, Any], unfit: Any) -> Parsed:
    try:
        arrays = {
            name: values if isinstance(values, pa.Array)
            else pa.array(values, pa.int64() if name in ("open_time", "trade_count") else pa.float64())
            for name, values in columns.items()
        }  # fmt: skip
    except (OverflowError, pa.ArrowInvalid) as error:
        raise BadReply(f"a whole number of a candle is too large: {error}") from error
    seconds = np.asarray(arrays["open_time"])
    first, last = int(seconds.min()), int(seconds.max())
    if first < 0 or last >= _LAST_SECOND:
        raise BadReply(f"a candle opens at {last if first >= 0 else first}: not seconds of our time")
    arrays["open_time"] = pa.array(seconds * SECOND)
    _check_candle(arrays)
    return Parsed(arrays, Page(len(seconds), first * SECOND, last * SECOND), unfit)


_LAST_SECOND = 10**10  # 2286, as for milliseconds


def _check_candle(columns: Mapping[str, Any]) -> None:
    """Low and high must hold open and close. Prices may be any sign; the other figures may not be negative."""
    o, h, low, c = (np.asarray(columns[name]) for name in ("open", "high", "low", "close"))
    good = (low <= np.minimum(o, c)) & (h >= np.maximum(o, c)) & (h - low < math.inf)
    if not good.all():
        bad = ~good
        at = int(np.argmax(bad))
        raise BadReply(f"row {at}: open {o[at]}, high {h[at]}, low {low[at]}, close {c[at]} are no candle")
    for name in ("volume", "quote_volume", "contracts", "trade_count"):
        if name in columns:
            values = np.asarray(columns[name].drop_null() if columns[name].null_count else columns[name])
            least, most = values.min(initial=0), values.max(initial=0)
            if not 0 <= least <= most < math.inf:
                raise BadReply(f"{name} runs from {least} to {most}: negative, or no number")


# ------------------------------------------------------------------------------------------------ funding


class _V1Funding(msgspec.Struct):
    total_page: int
    current_page: int
    total_size: int
    data: list[dict[str, Any]]


def funding_v5(reply: Reply, series: Series) -> Parsed:
    """Rows ``id, contract_code, funding_rate, funding_time``, every number a text (htx-api 4.1 [B])."""
    rows = wire.slow_rows(wire.open_answer(reply.body).rows)
    parsed = _funding(rows, series)
    ids = [wire.integer(row, "id", at) for at, row in enumerate(rows)]
    page = parsed.page
    cursor = str(max(ids)) if ids else None
    return Parsed(parsed.columns, Page(page.count, page.first, page.last, cursor), parsed.unfit)


def funding_v1(reply: Reply, series: Series) -> Parsed:
    """Pages of rows, newest first; ``realized_rate`` is deprecated and null (htx-api 4.7 [A])."""
    data = wire.envelope(reply.body).get("data", b"")
    try:
        said = _v1_funding.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise BadReply(f"the answer is no page of fundings: {error}") from error
    parsed = _funding(said.data, series)
    page = parsed.page
    final = said.current_page >= said.total_page
    return Parsed(
        parsed.columns, Page(page.count, page.first, page.last, None, said.total_size, final), parsed.unfit
    )


_v1_funding = msgspec.json.Decoder(_V1Funding, float_hook=Decimal)


def _funding(rows: list[dict[str, Any]], series: Series) -> Parsed:
    times: list[int] = []
    columns: dict[str, list[float | None]] = {
        "funding_rate": [],
        "realized_rate": [],
        "avg_premium_index": [],
    }
    unfit = np.zeros(len(rows), np.uint8)
    for at, row in enumerate(rows):
        said = str(row.get("contract_code", ""))
        if said.upper() != series.symbol.upper():
            raise BadReply(f"row {at} is of {said!r}, asked for {series.symbol!r}")
        times.append(wire.instant(row, "funding_time", at))
        for name, column in columns.items():
            if name != "funding_rate" and row.get(name) in (None, ""):
                column.append(None)  # v5 has neither; v1 sends null for realized_rate since 2022
                continue
            value, fitting = wire.number(row, name, at)
            column.append(value)
            unfit[at] += not fitting
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    out: dict[str, Any] = {"funding_time": times, "funding_rate": columns["funding_rate"]}
    for name in ("realized_rate", "avg_premium_index"):
        if any(value is not None for value in columns[name]):
            out[name] = columns[name]
    return Parsed(out, page, unfit if unfit.any() else None)
