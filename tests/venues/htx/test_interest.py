"""Open interest: its history by the hour, and what is open now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Ask, LatestWalk, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import HOUR, MINUTE, Window
from htxdata.venues.htx import interest
from htxdata.venues.htx.endpoints import LINEAR, SPOT
from htxdata.venues.terms import Parsed

CODE = "BTC-USDT"
SERIES = Series("open_interest", "htx-linear", CODE)


def reply(body: bytes | dict[str, Any]) -> Reply:
    return Reply(Request("/x"), 200, body if isinstance(body, bytes) else json.dumps(body).encode(), 0)


def columns(parsed: Parsed) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in parsed.columns.items()}


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


# ---------------------------------------------------------------------------------------------- history


def test_recorded_history(shared: Path) -> None:
    """Contracts and their worth in USDT; the page is complete up to its newest point, which may still change."""
    old = interest.history(reply(sample(shared, "linear-his-open-interest-2021")), SERIES)
    assert columns(old) == {"time": [1603695600000_000], "contracts": [2124.0], "value": [27771.9372]}
    assert old.page == Page(1, 1603695600000_000, 1603695600000_000, until=1603695600000_000)
    assert old.unfit is None
    dated = Series("open_interest", "htx-linear", "BTC-USDT-211210")
    new = interest.history(reply(sample(shared, "linear-his-open-interest")), dated)
    assert columns(new) == {"time": [1638720000000_000], "contracts": [27112.0], "value": [1321498.5264]}


POINT = {"volume": 27112, "amount_type": 1, "ts": 1638720000000, "value": 1321498.5264}


def history(*points: dict[str, Any], **change: Any) -> dict[str, Any]:
    data = {"symbol": "BTC", "contract_code": "BTC-USDT", "tick": list(points), **change}
    return {"status": "ok", "data": data, "ts": 1638755582116}


def test_a_worth_that_is_not_said_is_null() -> None:
    """``value`` may be lacking or null; the contracts may not."""
    bare = {name: value for name, value in POINT.items() if name != "value"}
    parsed = interest.history(reply(history(POINT, bare, {**bare, "value": None})), SERIES)
    assert columns(parsed)["value"] == [1321498.5264, None, None]
    empty = {name: value for name, value in POINT.items() if name != "volume"}
    with pytest.raises(BadReply, match="row 1: 'volume' is missing"):
        interest.history(reply(history(POINT, empty)), SERIES)


def test_digits_that_do_not_fit_are_counted_per_point() -> None:
    """HTX sends sixteen and more decimals; those of zeros fit."""
    raw = json.dumps(history(POINT, POINT)).replace(
        "1321498.5264", "27771.93720000000000000000000000000000000", 1
    )
    assert interest.history(reply(raw.encode()), SERIES).unfit is None
    raw = raw.replace("27112", "0.1000000000000000055511151231257827", 1)
    assert interest.history(reply(raw.encode()), SERIES).unfit == [1, 0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount_type": 2}, "not contracts"),
        ({"amount_type": None}, "not contracts"),
        ({"amount_type": [1]}, "not contracts"),
        ({"volume": -1}, "negative"),
        ({"value": -0.5}, "negative"),
        ({"volume": "many"}, "not a number"),
        ({"volume": None}, "'volume' is None"),
        ({"ts": 1638720000}, "not milliseconds"),
    ],
)
def test_what_is_no_point_is_refused_and_named(change: dict[str, Any], why: str) -> None:
    """Coins where contracts were asked for, negative figures, seconds: the row is said."""
    with pytest.raises(BadReply, match=f"row 1: .*{why}"):
        interest.history(reply(history(POINT, {**POINT, **change}, POINT)), SERIES)


@pytest.mark.parametrize(
    "body",
    [
        history(POINT, contract_code="ETH-USDT"),
        history(POINT, contract_code="BTC-USDT-211210"),
        history(POINT, contract_code=None),
        history(POINT, tick=None),
        history(POINT, tick=[1]),
        {"status": "ok", "data": [], "ts": 1},
        {"status": "ok", "ts": 1},
    ],
)
def test_a_history_is_of_the_contract_that_was_asked_for(body: dict[str, Any]) -> None:
    """Another contract, a dated one of the same coin, or no list of points."""
    with pytest.raises(BadReply):
        interest.history(reply(body), SERIES)


@pytest.mark.parametrize("minute", [0, 1, 30, 59])
def test_the_depth_that_is_declared_is_answered(minute: int) -> None:
    """200 points an hour apart, the newest of the hour that is running: whenever within an hour after the plan they are
    asked for, all from the declared depth to the newest point is answered, and the newest is not."""
    (endpoint,) = LINEAR.endpoints_for("open_interest", None)
    planned = 1_700_000 * HOUR + 13 * MINUTE
    assert endpoint.horizon is not None
    asked = planned + minute * MINUTE
    newest = asked // HOUR * HOUR
    window = Window(planned - endpoint.horizon, planned)
    walk = LatestWalk(window, endpoint.rows)
    steps = walk.steps()
    assert next(steps) == Ask(window, 200)
    with pytest.raises(StopIteration):
        steps.send(Page(200, newest - 199 * HOUR, newest, until=newest))
    assert walk.answered == [Window(window.start, min(planned, newest))]


# -------------------------------------------------------------------------------------------------- now


def test_recorded_open_interest_of_v5(shared: Path) -> None:
    """Texts: ``volume`` is contracts, ``amount`` coins, ``value`` USDT; the time is that of the answer."""
    parsed = interest.now_v5(reply(sample(shared, "linear-v5-open-interest")), CODE)
    assert columns(parsed) == {
        "symbol": ["BTC-USDT"],
        "time": [1781327941440_000],
        "contracts": [32476092.0],
        "volume": [32476.092],
        "value": [2063137924.9668],
    }
    assert parsed.page == Page(1, 1781327941440_000, 1781327941440_000)


def test_recorded_open_interest_of_v1(shared: Path) -> None:
    """The same in numbers; an answer about several contracts is not taken for that of one."""
    parsed = interest.now_v1(reply(sample(shared, "linear-open-interest-2021")), CODE)
    assert columns(parsed) == {
        "symbol": ["BTC-USDT"],
        "time": [1603694760141_000],
        "contracts": [2017.0],
        "volume": [2.017],
        "value": [26376.309],
    }
    with pytest.raises(BadReply, match="was sent 4 rows"):
        interest.now_v1(reply(sample(shared, "linear-open-interest")), CODE)


def test_recorded_open_interest_of_all(shared: Path) -> None:
    """Where no contract was named, the answer tells of several, all at its own time."""
    parsed = interest.now_v1(reply(sample(shared, "linear-open-interest")), None)
    said = columns(parsed)
    codes = ["BTC-USDT", "BTC-USDT-211217", "BTC-USDT-211210", "BTC-USDT-211231"]
    assert said["symbol"] == codes
    assert said["contracts"] == [78696.0, 10925.0, 27104.0, 201143.0]
    assert said["volume"][1:3] == [10.925, 27.104]
    assert said["value"][0] == 3823138.2456
    assert (len(set(said["time"])), parsed.page.count) == (1, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"contract_code": "ETH-USDT"},
        {"volume": "-1"},
        {"amount": None},
        {"value": "NaN"},
        {"contract_code": None},
    ],
)
def test_an_open_interest_that_is_none_is_refused(change: dict[str, Any]) -> None:
    """Of another contract, negative, or no number; on both endpoints."""
    good = {"contract_code": "BTC-USDT", "volume": "2", "amount": "0.002", "value": "84.5"}
    assert interest.now_v5(reply({"data": good, "ts": 1781327941440}), CODE).page.count == 1
    for parser, data in ((interest.now_v5, {**good, **change}), (interest.now_v1, [{**good, **change}])):
        with pytest.raises(BadReply):
            parser(reply({"data": data, "ts": 1781327941440}), CODE)


ETH = {"contract_code": "ETH-USDT", "volume": 2, "amount": 0.02, "value": 84.5}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"volume": -1}, "row 1: 'volume' is -1"),
        ({"contract_code": ""}, "row 1: 'contract_code'"),
        ({"contract_code": "ETH-USDT"}, "row 1: 'ETH-USDT' was told already"),
        ({"value": None}, "row 1: 'value' is None"),
    ],
)
def test_one_bad_row_spoils_the_answer_of_all(change: dict[str, Any], why: str) -> None:
    """The reply is refused whole, and the row is named; so is a contract that is told of twice."""
    btc = {**ETH, "contract_code": "BTC-USDT"}
    good = {"status": "ok", "data": [ETH, btc], "ts": 1781327941440}
    assert interest.now_v1(reply(good), None).columns["symbol"] == ["ETH-USDT", "BTC-USDT"]
    with pytest.raises(BadReply, match=why):
        interest.now_v1(reply({**good, "data": [ETH, {**btc, **change}]}), None)


def test_digits_of_all_that_do_not_fit_are_counted_per_contract() -> None:
    """Each row has its own count; where all fit there is none."""
    raw = json.dumps({"data": [ETH, {**ETH, "contract_code": "X"}], "ts": 1781327941440})
    assert interest.now_v1(reply(raw.encode()), None).unfit is None
    head, _, tail = raw.rpartition("0.02")
    raw = f"{head}0.0200000000000000055511151231257827{tail}"
    assert interest.now_v1(reply(raw.encode()), None).unfit == [0, 1]


@pytest.mark.parametrize("ts", [None, 1781327941, "soon", 1781327941440000])
def test_an_answer_without_a_time_has_no_row(ts: object) -> None:
    """The only time of such an answer is its own: without one, nothing says when it was so."""
    data = {"contract_code": "BTC-USDT", "volume": "2", "amount": "0.002", "value": "84.5"}
    for body in ({"data": data, "ts": ts}, {"data": data}):
        with pytest.raises(BadReply):
            interest.now_v5(reply(body), CODE)


@pytest.mark.parametrize("data", [[], {}, None, 5, [{}], "x"])
def test_what_is_no_open_interest_is_refused(data: object) -> None:
    """No row, or something else in its place."""
    for parser in (interest.now_v5, interest.now_v1):
        with pytest.raises(BadReply):
            parser(reply({"data": data, "ts": 1781327941440}), CODE)


def test_what_is_polled_is_asked_of_v5_first() -> None:
    """One contract a question, then all in one; neither is what a backfill would take for history."""
    polls = LINEAR.polls_for("open_interest")
    requests = [poll.build(None if poll.whole else "BTC-USDT") for poll in polls]
    assert [str(request) for request in requests] == [
        "/v5/market/open_interest?contract_code=BTC-USDT",
        "/linear-swap-api/v1/swap_open_interest?business_type=all",
    ]
    assert [request.path for request in requests] == [poll.path for poll in polls]
    assert {request.pool for request in requests} == {"reference"}
    assert not {poll.path for poll in polls} & {e.path for e in LINEAR.endpoints}
    assert LINEAR.polls_for("instruments") == SPOT.polls == ()
