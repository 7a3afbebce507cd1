"""The coming funding as it looks now: from HTX's words to columns."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.venues.htx import indicative
from htxdata.venues.htx.endpoints import LINEAR, VENUES
from htxdata.venues.terms import Parsed

ROW = {"contract_code": "BTC-USDT", "funding_rate": "0.000083024939363172", "funding_time": "1781251200000"}


def reply(body: bytes | dict[str, Any]) -> Reply:
    return Reply(Request("/x"), 200, body if isinstance(body, bytes) else json.dumps(body).encode(), 0)


def sample(shared: Path, name: str) -> Reply:
    return reply((shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes())


def columns(found: Parsed) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in found.columns.items()}


def listed(*rows: Any, ts: Any = 1781235318758) -> Reply:
    return reply({"code": 200, "message": "Success", "data": list(rows), "ts": ts})


def alone(row: Any, ts: Any = 1781235318758) -> Reply:
    return reply({"status": "ok", "data": row, "ts": ts})


def test_the_recorded_answer_of_v5(shared: Path) -> None:
    """The answer's time, the settlement that is coming, and the rate with all its digits but those of no double."""
    found = indicative.rows(sample(shared, "linear-v5-funding-rate"), "BTC-USDT")
    assert columns(found) == {
        "symbol": ["BTC-USDT"],
        "observed_at": [1781235318758000],
        "funding_time": [1781251200000000],
        "funding_rate": [0.000083024939363172],
    }
    assert (found.page, found.unfit) == (Page(1, 1781235318758000, 1781235318758000), None)
    stored = {name: values for name, values in found.columns.items() if name != "symbol"}
    assert (
        len(conform(dataset("indicative_funding_rates"), {**stored, "source": "rest", "received_at": 1})) == 1
    )


def test_the_recorded_answers_of_v1(shared: Path) -> None:
    """All perpetuals in one answer, or one; of 2021 and of later; a settlement that lies behind is stored as said."""
    for name in ("linear-batch-funding-rate-v1", "linear-batch-funding-rate-v1-2021"):
        assert columns(indicative.rows(sample(shared, name), None)) == {
            "symbol": ["ETC-USDT", "ADA-USDT"],
            "observed_at": [1614045373795000] * 2,
            "funding_time": [1613976000000000] * 2,
            "funding_rate": [-0.0075] * 2,
        }
    assert columns(indicative.rows(sample(shared, "batch-funding-rate-2"), None))["symbol"] == ["MANA-USDT"]
    one = indicative.one(sample(shared, "linear-funding-rate-v1-2021"), "btc-usdt")
    assert columns(one) == {
        "symbol": ["BTC-USDT"],
        "observed_at": [1603696494714000],
        "funding_time": [1603699200000000],
        "funding_rate": [0.0001],
    }


def test_nothing_said_is_no_row() -> None:
    """An empty list, or null in the place of the one object: an empty page, and the answer is none the worse."""
    for found in (indicative.rows(listed(), "BTC-USDT"), indicative.one(alone(None), "BTC-USDT")):
        assert (found.page, found.unfit) == (Page(0), None)
        assert all(values == [] for values in columns(found).values())


@given(st.integers(-(10**16), 10**16))
def test_rates_keep_their_digits(units: int) -> None:
    """Any sign; what no double carries digit for digit is counted."""
    sign, (whole, part) = "-" if units < 0 else "", divmod(abs(units), 10**18)
    text = f"{sign}{whole}.{part:018d}"
    found = indicative.rows(listed({**ROW, "funding_rate": text}), "BTC-USDT")
    assert found.columns["funding_rate"] == [float(text)]
    assert (found.unfit is None) == (Decimal(repr(float(text))) == Decimal(text))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"funding_rate": None}, "'funding_rate' is None"),
        ({"funding_rate": ""}, "not a number"),
        ({"funding_rate": "x"}, "not a number"),
        ({"funding_time": None}, "'funding_time' is None"),
        ({"funding_time": "1781251200"}, "not milliseconds"),
        ({"contract_code": "ETH-USDT"}, "asked for 'BTC-USDT'"),
        ({"contract_code": None}, "not a text"),
    ],
)
def test_what_is_not_understood_is_refused(change: dict[str, Any], why: str) -> None:
    """A number that is none, a time of another unit, another contract."""
    with pytest.raises(BadReply, match=why):
        indicative.rows(listed({**ROW, **change}), "BTC-USDT")
    with pytest.raises(BadReply, match=why):
        indicative.one(alone({**ROW, **change}), "BTC-USDT")


def test_an_answer_must_say_when_and_each_contract_once() -> None:
    """Without the answer's own time there is no row, and two rates of one contract are none."""
    for ts in (None, "soon", 1781235318):
        with pytest.raises(BadReply, match="'ts'"):
            indicative.rows(listed(ROW, ts=ts), None)
    with pytest.raises(BadReply, match="row 1: 'BTC-USDT' was told already"):
        indicative.rows(listed(ROW, ROW), None)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"ts":1781235318758}', b'{"data":7,"ts":1781235318758}',
     b'{"data":[1],"ts":1781235318758}', b'{"data":"x","ts":1781235318758}'],
)  # fmt: skip
def test_a_garbled_answer_is_refused(body: bytes) -> None:
    """No JSON, no object, no data, rows that are none."""
    for parse in (indicative.rows, indicative.one):
        with pytest.raises(BadReply):
            parse(reply(body), "BTC-USDT")


def test_the_requests() -> None:
    """v5 for each contract, then v1 for all at once, then v1 for each; on perpetuals alone."""
    polls = LINEAR.polls_for("indicative_funding_rates")
    assert [(str(poll.build(None if poll.whole else "BTC-USDT")), poll.whole) for poll in polls] == [
        ("/v5/market/funding_rate?contract_code=BTC-USDT", False),
        ("/linear-swap-api/v1/swap_batch_funding_rate", True),
        ("/linear-swap-api/v1/swap_funding_rate?contract_code=BTC-USDT", False),
    ]
    assert all(poll.build("X").pool == "reference" and poll.build("X").path == poll.path for poll in polls)
    assert [v.name for v in VENUES if v.polls_for("indicative_funding_rates")] == ["htx-linear", "htx-inverse"]
