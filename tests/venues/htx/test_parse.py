"""From HTX's bytes to columns: recorded envelopes, and what they must not be taken for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import parse
from htxdata.venues.terms import Parsed

SPOT = Series("klines", "htx-spot", "btcusdt", "1min")
LINEAR = Series("klines", "htx-linear", "BTC-USDT", "1min")
FUNDING = Series("funding_rates", "htx-linear", "BTC-USDT")
spot = parse.kline_parser(parse.SPOT_CANDLE)
linear = parse.kline_parser(parse.LINEAR_CANDLE)


def reply(body: bytes | dict[str, Any], period: str | None = "1min") -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(Request("/x", (("period", period),) if period else ()), 200, raw, 0)


def values(parsed: Parsed) -> dict[str, list[Any]]:
    return {
        name: column if isinstance(column, list) else column.to_pylist()
        for name, column in parsed.columns.items()
    }


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


def compact(body: bytes) -> bytes:
    """The same JSON without blanks, numbers as they were spelled."""
    return (
        json.dumps(json.loads(body, parse_float=lambda t: f"#{t}#"), separators=(",", ":"))
        .replace('"#', "")
        .replace('#"', "")
        .encode()
    )


def test_recorded_spot_candles(shared: Path) -> None:
    """``amount`` is base volume, ``vol`` quote turnover, ``id`` seconds; both roads read the same."""
    body = sample(shared, "spot-kline")
    series = Series("klines", "htx-spot", "btcusdt", "5min")
    for raw in (body, compact(body)):
        parsed = spot(reply(raw, "5min"), series)
        assert values(parsed) == {
            "open_time": [1629769200_000_000, 1629768900_000_000],
            "open": [49056.37, 48994.61],
            "high": [49056.38, 49072.46],
            "low": [49022.86, 48966.72],
            "close": [49025.51, 49056.37],
            "volume": [3.946281917950917, 30.72223099519689],
            "quote_volume": [193489.67275732, 1505870.732227976],
            "trade_count": [196, 1504],
        }
        assert parsed.page == Page(2, 1629768900_000_000, 1629769200_000_000)
        assert parsed.unfit is None


def test_recorded_linear_candles(shared: Path) -> None:
    """``vol`` is contracts, ``amount`` coins, ``trade_turnover`` USDT."""
    body = sample(shared, "linear-kline")
    for raw in (body, compact(body)):
        assert values(linear(reply(raw), LINEAR)) == {
            "open_time": [1603695060_000_000],
            "open": [13076.8],
            "high": [13076.8],
            "low": [13076.8],
            "close": [13076.8],
            "volume": [0.004],
            "quote_volume": [52.3072],
            "contracts": [4.0],
            "trade_count": [1],
        }


def test_recorded_flat_candles(shared: Path) -> None:
    """A minute without trades is a candle with zeros."""
    parsed = spot(
        reply(sample(shared, "spot-kline-zero-trade")), Series("klines", "htx-spot", "ethbtc", "1min")
    )
    assert values(parsed)["volume"] == [0.0, 1.2082, 0.0648]
    assert values(parsed)["trade_count"] == [0, 6, 2]


def test_recorded_fundings(shared: Path) -> None:
    """v5 has a rate and a time; v1 has the premium, and a realized rate until HTX stopped filling it."""
    new = parse.funding_v5(reply(sample(shared, "linear-v5-funding-rate-history"), None), FUNDING)
    assert values(new) == {"funding_time": [1603296000000_000], "funding_rate": [0.0001]}
    assert new.page == Page(1, 1603296000000_000, 1603296000000_000, "1")
    old = parse.funding_v1(reply(sample(shared, "linear-historical-funding-rate-v1-2021"), None), FUNDING)
    assert values(old) == {
        "funding_time": [1603670400000_000],
        "funding_rate": [0.0001],
        "realized_rate": [0.0001],
        "avg_premium_index": [0.000049895833333333],
    }
    assert old.page == Page(1, 1603670400000_000, 1603670400000_000, None, 14, False)
    later = parse.funding_v1(reply(sample(shared, "linear-historical-funding-rate-v1"), None), FUNDING)
    assert "realized_rate" not in later.columns


ROW = {"id": 1603695060, "open": 2, "close": 2, "low": 1, "high": 3, "amount": 5, "vol": 7, "count": 1}


def test_a_turnover_that_some_rows_lack_is_null_there() -> None:
    """``trade_turnover`` came in 2021: a row without it has none, and the others keep theirs."""
    rows = [{**ROW, "trade_turnover": 9.5}, {**ROW, "id": 1603695120}]
    assert values(linear(reply({"data": rows}), LINEAR))["quote_volume"] == [9.5, None]
    assert "quote_volume" not in linear(reply({"data": rows[1:]}), LINEAR).columns


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize(
    "change",
    [
        {"low": 2.5},
        {"high": 1.5},
        {"low": 4},
        {"open": 3.5},
        {"close": 0.5},
        {"high": "1E999"},
        {"count": 1.5},
        {"count": 2**70},
        {"id": 1603695060000},
        {"id": -60},
        {"amount": -0.5},
    ],
)
def test_what_is_no_candle_is_refused_on_both_roads(change: dict[str, Any], blank: str) -> None:
    """Low above close, high below open, fractions of trades, milliseconds for seconds, negative volumes."""
    row = json.dumps({**ROW, **change}, separators=("," + blank, ":" + blank)).replace('"1E999"', "1E999")
    with pytest.raises(BadReply):
        spot(reply(f'{{"status":"ok","data":[{row}]}}'.encode()), SPOT)


def test_unknown_members_are_no_concern() -> None:
    """A member that we do not store may come and go; it is not counted as unfit either."""
    row = json.dumps({**ROW, "mrid": 12345678901234567891}, separators=(",", ":"))
    parsed = spot(reply(f'{{"data":[{row}]}}'.encode()), SPOT)
    assert set(parsed.columns) == set(parse.SPOT_CANDLE.values())
    assert parsed.unfit is None


def test_digits_that_do_not_fit_are_counted_per_row() -> None:
    """The same count on the fast road and on the slow one."""
    rows = [json.dumps({**ROW, "id": 1603695060 + 60 * n}, separators=(",", ":")) for n in range(3)]
    rows[1] = (
        rows[1]
        .replace('"vol":7', '"vol":0.1000000000000000055511151231257827')
        .replace('"amount":5', '"amount":9007199254740993')
    )
    body = f'{{"data":[{",".join(rows)}]}}'
    for raw in (body, body.replace('"count":', '"count": ')):
        parsed = spot(reply(raw.encode()), SPOT)
        assert parsed.unfit.tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    "ch", ["market.btcusdt.kline.5min", "market.ethusdt.kline.1min", "", 5, ["market.btcusdt.kline.1min"]]
)
@pytest.mark.parametrize("blank", ["", " "])
def test_an_answer_must_say_what_was_asked(ch: object, blank: str) -> None:
    """HTX answers an unknown parameter with 1min data and no error: the echo is compared, also in
    an unusual spelling."""
    body = json.dumps(
        {"ch": ch, "status": "ok", "data": [ROW]}, separators=("," + blank, ":" + blank)
    ).encode()
    with pytest.raises(BadReply, match=r"asked for market\.btcusdt\.kline\.1min"):
        spot(reply(body), SPOT)


def test_an_echo_in_another_case_or_escaped_is_the_same() -> None:
    """Contract codes are case-insensitive, and JSON may spell a letter in two ways."""
    for ch in ('"market.btc-usdt.kline.1min"', '"market.BTC\\u002dUSDT.kline.1min"'):
        assert linear(reply(f'{{"ch":{ch},"data":[{json.dumps(ROW)}]}}'.encode()), LINEAR).page.count == 1


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        "x",
        {"data": []},
        {"total_page": 1, "current_page": 1, "total_size": "many", "data": []},
        {"total_page": 1, "current_page": 1, "total_size": 1, "data": [1]},
        {"total_page": 1, "current_page": 1, "total_size": 1, "data": None},
    ],
)
def test_a_page_of_fundings_has_its_numbers(data: object) -> None:
    """v1 without its page numbers, or with rows that are none, is refused."""
    with pytest.raises(BadReply):
        parse.funding_v1(reply({"status": "ok", "data": data}, None), FUNDING)


def test_rates_may_be_numbers_or_texts() -> None:
    """One tolerant reader: v1 rates as JSON numbers keep their digits too."""
    row = b'{"contract_code":"BTC-USDT","funding_rate":0.000123456789012345,"funding_time":1603670400000}'
    body = b'{"status":"ok","data":{"total_page":1,"current_page":1,"total_size":1,"data":[' + row + b"]}}"
    assert values(parse.funding_v1(reply(body, None), FUNDING))["funding_rate"] == [0.000123456789012345]
