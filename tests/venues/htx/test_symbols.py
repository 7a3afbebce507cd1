"""Lists of instruments: recorded ones, and states and dates that are not guessed at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import symbols

V2, V1 = "/v2/settings/common/symbols", "/v1/common/symbols"


def rows(describe: Any, body: bytes, path: str = "/x") -> list[dict[str, Any]]:
    parsed = describe(Reply(Request(path), 200, body, 0))
    return [dict(zip(parsed.columns, row, strict=True)) for row in zip(*parsed.columns.values(), strict=True)]


def body(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"status": "ok", "data": entries}).encode()


SPOT = {"sc": "abusdt", "bc": "ab", "qc": "usdt", "state": "online", "tpp": 2, "tap": 4, "toa": 1514779200000}
LINEAR = {
    "symbol": "BTC",
    "contract_code": "BTC-USDT",
    "contract_size": 0.001,
    "price_tick": 0.1,
    "delivery_time": "",
    "create_date": "20201021",
    "contract_status": 1,
}


def test_recorded_lists(shared: Path) -> None:
    """The new spot list, the old one without opening times, swaps and dated futures."""
    folder = shared / "reference" / "samples" / "htx"
    (eth,) = rows(symbols.describe_spot, (folder / "spot-v2-settings-symbols.json").read_bytes(), V2)
    assert eth == {
        "symbol": "ethusdt",
        "base": "ETH",
        "quote": "USDT",
        "settle": None,
        "kind": "spot",
        "status": "trading",
        "contract_size": None,
        "tick_size": 0.01,
        "lot_size": 0.0001,
        "listed_at": 1514779200000_000,
        "delivery_at": None,
    }
    old = rows(symbols.describe_spot, (folder / "spot-v1-common-symbols.json").read_bytes(), V1)
    assert all(row["listed_at"] is None and row["kind"] == "spot" for row in old)
    (dated,) = rows(symbols.describe_linear, (folder / "linear-contract-info-2.json").read_bytes())
    assert dated == {
        "symbol": "BTC-USDT-211231",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "kind": "future",
        "status": "trading",
        "contract_size": 0.001,
        "tick_size": 0.1,
        "lot_size": 1.0,
        "listed_at": 1640620800000_000,
        "delivery_at": 1640937600000_000,
    }
    for name in ("linear-contract-info", "linear-contract-info-2021"):
        body = (folder / f"{name}.json").read_bytes()
        kinds = [
            {"swap": "swap", "futures": "future"}[row.get("business_type", "swap")]
            for row in json.loads(body)["data"]
        ]
        assert [row["kind"] for row in rows(symbols.describe_linear, body)] == kinds


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("online", "trading"),
        ("pre-online", "pending"),
        ("not-online", "pending"),
        ("suspend", "suspended"),
        ("fuse", "suspended"),
        ("transfer-board", "suspended"),
        ("offline", "delisted"),
        ("unknown", "unknown"),
    ],
)
def test_spot_states(state: str, status: str) -> None:
    """Every documented state has our word for it."""
    assert rows(symbols.describe_spot, body({**SPOT, "state": state}), V2)[0]["status"] == status


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (0, "delisted"),
        (1, "trading"),
        (2, "pending"),
        (3, "suspended"),
        (4, "suspended"),
        (5, "settling"),
        (6, "settling"),
        (7, "settling"),
        (8, "delisted"),
        (9, "suspended"),
    ],
)
def test_contract_states(state: int, status: str) -> None:
    """Numbers 0 to 9, as numbers or texts."""
    for said in (state, str(state)):
        assert rows(symbols.describe_linear, body({**LINEAR, "contract_status": said}))[0]["status"] == status


@pytest.mark.parametrize(
    "change",
    [
        {"state": "resting"},
        {"state": None},
        {"sc": ""},
        {"bc": 1},
        {"tpp": 31},
        {"tpp": -1},
        {"tap": 1.5},
        {"toa": 1514779200},
        {"toa": "soon"},
        {"toa": 1514779200000000},
    ],
)
def test_one_odd_spot_row_refuses_the_list(change: dict[str, Any]) -> None:
    """A state, a name, a precision or an instant that we do not understand: the reply is set aside whole."""
    with pytest.raises(BadReply, match="row 1"):
        rows(symbols.describe_spot, body(SPOT, {**SPOT, **change}), V2)


@pytest.mark.parametrize(
    "change",
    [
        {"contract_status": 10},
        {"contract_status": None},
        {"business_type": "option"},
        {"contract_code": "BTC"},
        {"contract_size": "x"},
        {"create_date": "2020101"},
        {"create_date": "20201332"},
        {"create_date": "2020-10-1"},
        {"delivery_time": 1640937600},
        {"delivery_time": "x"},
    ],
)
def test_one_odd_contract_refuses_the_list(change: dict[str, Any]) -> None:
    """The same for contracts; a date of seven digits is no date."""
    with pytest.raises(BadReply, match="row 1"):
        rows(symbols.describe_linear, body(LINEAR, {**LINEAR, **change}))


@pytest.mark.parametrize("none", [None, "", 0, "0"])
def test_no_instant_is_none(none: object) -> None:
    """Null, empty and zero are HTX's ways of saying nothing here."""
    assert rows(symbols.describe_spot, body({**SPOT, "toa": none}), V2)[0]["listed_at"] is None
    assert rows(symbols.describe_linear, body({**LINEAR, "delivery_time": none}))[0]["delivery_at"] is None


def test_codes_need_not_be_latin() -> None:
    """A contract may be named in Chinese; pairs tell the quote currency where there are any."""
    (row,) = rows(
        symbols.describe_linear,
        body({**LINEAR, "symbol": "币", "contract_code": "币-USDT", "pair": "币-USDT"}),
    )
    assert (row["symbol"], row["base"], row["quote"], row["listed_at"]) == (
        "币-USDT",
        "币",
        "USDT",
        1603209600_000_000,
    )
