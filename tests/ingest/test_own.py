"""One's own history, from a sandbox that verifies every signature to the lake: by REST and by socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import ConfigError, KeyRefused
from htxdata.ingest.asked import Request
from htxdata.ingest.capture import Captured, Status, capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.distil import distil
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import snapshot
from htxdata.keys import NAMES
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Faults, Rule, Sandbox
from htxdata.sandbox.own import TRADED, Fill, Order
from htxdata.store import reel
from htxdata.store.footer import Span
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, SECOND, Window, iso
from htxdata.venues import venue
from tests.clocks import Wound
from tests.ingest.test_capture import back, set_after
from tests.truth import assert_covers, files, fill, settings_for, stored

FILLS = (
    "trade_id",
    "order_id",
    "trade_time",
    "side",
    "price",
    "quantity",
    "fee",
    "fee_currency",
    "role",
    "order_type",
)
ROUGH = (
    Rule("error", 0.1),
    Rule("drop", 0.1),
    Rule("cut", 0.05),
    Rule("duplicate", 0.05),
    Rule("busy", 0.05),
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment."""
    for access, secret in (NAMES["htx"], NAMES["hashkey"]):
        monkeypatch.setenv(access, SANDBOX_KEY.access)
        monkeypatch.setenv(secret, SANDBOX_KEY.secret)


def since(days: float) -> int:
    return (time.time_ns() // 1000 - int(days * DAY)) // HOUR * HOUR


def spans(lake: Path, series: Series) -> list[Span]:
    return Store(lake).coverage(series)


def hurried(speed: float = 35.0) -> Any:
    """A clock 290 seconds behind ours that gains on it until it is as much ahead: it is trusted all the time."""
    gaining = Wound(time.time() - 290, speed)
    return lambda: min(gaining(), time.time() + 290)


def open_session(sandbox: Sandbox, folder: Path) -> Session:
    return Session(settings_for(sandbox, folder), say=lambda text: None)


def name_of(order: Order, fill: Fill) -> str:
    """What a fill is called: by its number, or where REST and the socket have none in common, by what it was."""
    one = order.one
    if not one.derivative:
        return str(fill.trade_id)
    said = f"{fill.price.normalize():f}-{fill.contracts}"
    if one.venue == "htx-linear":
        return f"{fill.trade_id}-{said}-1"
    alike = [each for each in order.fills if (each.time, each.price, each.contracts) == (
        fill.time, fill.price, fill.contracts)]  # fmt: skip
    return f"{fill.time // 1000}-{said}-{order.side}-{alike.index(fill) + 1}"


def type_of(order: Order) -> str | None:
    """What kind of order it was, in the words of its venue; HashKey does not say it of pairs."""
    if order.one.venue == "hashkey":
        return order.type.partition("-")[2].replace("-", "_").upper() if order.one.derivative else None
    return order.type.split("-")[1] if order.one.derivative else order.type


def truth_of(sandbox: Sandbox, venue: str, symbol: str, start: int, end: int) -> list[tuple[Any, ...]]:
    """What happened by the exchange's own word, as rows of `FILLS`."""
    return sorted(
        (
            name_of(o, f), str(o.number), f.time, o.side, float(f.price), float(f.quantity), float(f.fee),
            f.fee_currency, o.role, type_of(o),
        )
        for o, f in sandbox.own.fills(venue, symbol, start, end, sandbox.now())
    )  # fmt: skip


def rows_of(lake: Path, series: Series) -> list[tuple[Any, ...]]:
    rows = stored(lake, series)
    return sorted(zip(*(rows[name] for name in FILLS), strict=True)) if rows else []  # nothing happened


ORDER = (
    "order_id", "created_at", "side", "order_type", "price", "quantity", "quote_quantity", "filled_quantity",
    "order_status", "finished_at", "client_order_id",
)  # fmt: skip


def assert_orders(lake: Path, sandbox: Sandbox, symbol: str, start: int, end: int) -> int:
    """The orders of the time, each as it ended by the exchange's own word; how many."""
    rows = stored(lake, Series("own_orders", "htx-spot", symbol))
    told = sorted(zip(*(rows[name] for name in ORDER), strict=True)) if rows else []
    truth = sandbox.own.orders("htx-spot", symbol, start, end, sandbox.now())
    assert told == sorted(
        (
            str(o.number), o.created_at, o.side, o.type, None if o.price is None else float(o.price),
            None if o.type == "buy-market" else float(o.amount), float(o.amount) if o.type == "buy-market" else None,
            float(sum(f.quantity for f in o.fills)), o.state, o.finished_at, o.client_id,
        )
        for o in truth
    )  # fmt: skip
    return len(truth)


@pytest.mark.parametrize(
    "faults", [(), pytest.param(ROUGH, marks=pytest.mark.wide)], ids=["a quiet day", "a rough day"]
)
def test_spot_fills_window_by_window(tmp_path: Path, faults: tuple[Rule, ...]) -> None:
    """Five days of more fills than a page holds, in windows of 48 hours: each as it was; again, and nothing changes."""
    series, start, end = Series("own_fills", "htx-spot", "btcusdt"), since(5), since(0.5)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults), own_seconds=240) as sandbox:
        request = Request("own_fills", "htx-spot", ("BTCUSDT",), (), iso(start), iso(end))
        assert fill(settings_for(sandbox, tmp_path), request).complete
        truth = truth_of(sandbox, "htx-spot", "btcusdt", start, end)
        assert len(truth) > 1000
        assert rows_of(tmp_path / "lake", series) == truth
        assert_covers(tmp_path / "lake", series, start, end)
        asked = [r for r in sandbox.requests if r.path == "/v1/order/matchresults"]
        assert (
            max(
                int(part.split("=")[1])
                for r in asked
                for part in r.query.split("&")
                if part.startswith("size")
            )
            == 500
        )
        before, count = files(tmp_path / "lake"), len(asked)
        assert fill(settings_for(sandbox, tmp_path), request).outcomes == []
        assert files(tmp_path / "lake") == before
        assert len([r for r in sandbox.requests if r.path == "/v1/order/matchresults"]) == count
        assert not sandbox.refused_keys


def test_own_fills_are_trades_of_the_market(tmp_path: Path) -> None:
    """Each is found in `trades` by its number, at the same time and price."""
    start, end = since(2), since(1)
    with Sandbox(seed=5, limits=False) as sandbox:
        assert fill(
            settings_for(sandbox, tmp_path),
            Request("own_fills", "htx-spot", ("ethusdt",), (), iso(start), iso(end)),
        ).complete
        rows = stored(tmp_path / "lake", Series("own_fills", "htx-spot", "ethusdt"))
        market = sandbox.market.trades("htx-spot", "ethusdt", start, end)
        known = dict(
            zip(
                map(str, market["trade_id"].tolist()),
                zip(market["trade_time"].tolist(), market["price"].tolist(), strict=True),
                strict=True,
            )
        )
        assert len(rows["trade_id"]) > 3
        assert [known[i] for i in rows["trade_id"]] == list(
            zip(rows["trade_time"], rows["price"], strict=True)
        )


def test_the_venue_forgets(tmp_path: Path) -> None:
    """What is older than 120 days is unobtainable; on contracts what is older than 3 days."""
    with Sandbox(seed=5, limits=False, own_seconds=86_400) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        for name, symbol, days in (("htx-spot", "dogeusdt", 120), ("htx-linear", "BTC-USDT", 3)):
            start = since(days + 5)
            report = fill(settings, Request("own_fills", name, (symbol,), (), iso(start), iso(since(0.1))))
            assert report.complete, report.missing
            series = Series("own_fills", name, symbol)
            found = spans(tmp_path / "lake", series)
            assert found[0].verdict == "unobtainable"
            edge = found[0].end
            assert abs(time.time_ns() // 1000 - days * DAY - edge) < HOUR
            assert rows_of(tmp_path / "lake", series) == truth_of(sandbox, name, symbol, edge, since(0.1))


def test_contracts_are_told_in_coins(tmp_path: Path) -> None:
    """Two days of fills of a linear swap: contracts by their size, one side counted."""
    start, end = since(2), since(0.2)
    with Sandbox(seed=5, limits=False, own_seconds=600) as sandbox:
        assert fill(
            settings_for(sandbox, tmp_path),
            Request("own_fills", "htx-linear", ("BTC-USDT",), (), iso(start), iso(end)),
        ).complete
        truth = truth_of(sandbox, "htx-linear", "BTC-USDT", start, end)
        assert len(truth) > 150
        assert rows_of(tmp_path / "lake", Series("own_fills", "htx-linear", "BTC-USDT")) == truth


@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt"])
def test_orders_that_are_over(tmp_path: Path, symbol: str) -> None:
    """Four days of orders, each as it ended, of more than fit on a page; a market order to buy says what it pays."""
    start, end = since(4), since(0.2)
    with Sandbox(seed=5, limits=False, own_seconds=600) as sandbox:
        assert fill(
            settings_for(sandbox, tmp_path),
            Request("own_orders", "htx-spot", (symbol,), (), iso(start), iso(end)),
        ).complete
        truth = sandbox.own.orders("htx-spot", symbol, start, end, sandbox.now())
        assert len(truth) > 300
        assert {one.state for one in truth} == {"filled", "canceled", "partial-canceled"}
        assert_orders(tmp_path / "lake", sandbox, symbol, start, end)


def test_an_open_order_is_asked_for_until_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is open its instant has no verdict, and the run is complete; the next run asks for it alone."""
    monkeypatch.setattr("htxdata.sandbox.keys._PATIENCE", 2 * DAY)  # the exchange's clock stands still, on purpose
    at = [0.0]
    with Sandbox(seed=5, limits=False, own_seconds=600, clock=lambda: at[0]) as sandbox:
        wall = time.time_ns() // 1000
        orders = sandbox.own.orders("htx-spot", "btcusdt", wall - DAY, wall - HOUR, wall)
        slow = next(o for o in orders if o.finished_at > o.created_at + 12 * SECOND)
        at[0] = (slow.created_at + 10 * SECOND) / 1e6
        settings = settings_for(sandbox, tmp_path)
        request = Request(
            "own_orders",
            "htx-spot",
            ("btcusdt",),
            (),
            iso(slow.created_at - HOUR),
            iso(slow.created_at + SECOND),
        )
        series = Series("own_orders", "htx-spot", "btcusdt")
        assert fill(settings, request).complete
        assert str(slow.number) not in stored(tmp_path / "lake", series)["order_id"]
        at[0] = (slow.finished_at + 20 * SECOND) / 1e6
        report = fill(settings, request)
        assert report.complete
        assert [outcome.asked for outcome in report.outcomes] == [
            (Window(slow.created_at, slow.created_at + 1),)
        ]
        assert str(slow.number) in stored(tmp_path / "lake", series)["order_id"]
        assert fill(settings, request).outcomes == []


def test_balances_as_they_are(tmp_path: Path) -> None:
    """Two looks are two instants; each holds what the spot account held then, and empty accounts nothing."""
    with (
        Sandbox(seed=5, limits=False, own_seconds=3600) as sandbox,
        Session(settings_for(sandbox, tmp_path), say=print) as session,
    ):
        for _ in range(2):
            found = snapshot(session, "own_balances", venue("htx-spot"))
            assert (found.missing, str(found).split(" at ")[0]) == (
                (),
                "htx-spot: own_balances of 3 of 3 accounts",
            )
        rows = stored(tmp_path / "lake", Series("own_balances", "htx-spot", "*"))
        truth = sandbox.own.balances(sandbox.now())
        assert len(set(rows["received_at"])) == 2
        assert sorted(
            zip(
                rows["currency"],
                rows["balance"],
                rows["available"],
                rows["frozen"],
                rows["sequence"],
                strict=True,
            )
        ) == sorted(
            2 * [(name, float(held), float(held), 0.0, count) for name, (held, count) in truth.items()]
        )
        assert set(rows["account_id"]) == {"13496526"}
        assert set(rows["account_type"]) == {"spot"}


# ------------------------------------------------------------------------------------------------------- keys


def test_without_a_key_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong usage, before the first request."""
    monkeypatch.delenv("HTX_ACCESS_KEY")
    monkeypatch.delenv("HTX_SECRET_KEY")
    with Sandbox(limits=False) as sandbox, Session(settings_for(sandbox, tmp_path), say=print) as session:
        with pytest.raises(
            ConfigError, match=r"own_fills of htx-spot needs a key: set HTX_ACCESS_KEY and HTX_SECRET_KEY"
        ):
            backfill([Request("own_fills", "htx-spot", ("btcusdt",), (), iso(since(1)))], session)
        with pytest.raises(ConfigError, match="the feed own_fills of htx-spot needs a key"):
            capture(Wanted("htx-spot", ("own_fills",), ("btcusdt",)), session, threading.Event(), seconds=1)
        assert not any("matchresults" in r.path for r in sandbox.requests)


BOUND = ApiKey("bound000-00000000-00000000-00000", "made-up-secret", addresses=("10.1.2.3",))


@pytest.mark.parametrize(
    ("access", "secret", "skew", "words"),
    [
        (SANDBOX_KEY.access, "wrong", 0, "Verification failure"),
        ("nobodys", "wrong", 0, "Incorrect Access key"),
        (BOUND.access, BOUND.secret, 0, "Incorrect IP address"),
        (SANDBOX_KEY.access, SANDBOX_KEY.secret, 301, "Invalid submission time"),
    ],
)
def test_a_refused_key_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, secret: str, skew: int, words: str
) -> None:
    """One question, no retry; the venue's reason is told and neither key nor signature; exit 1."""
    monkeypatch.setenv("HTX_ACCESS_KEY", access)
    monkeypatch.setenv("HTX_SECRET_KEY", secret)
    with Sandbox(limits=False, keys=(BOUND,), clock=lambda: time.time() + skew) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        with Session(settings, say=print) as session, pytest.raises(KeyRefused, match=words) as caught:
            backfill(
                [Request("own_fills", "htx-spot", ("btcusdt",), (), iso(since(1)), iso(since(0.5)))], session
            )
        assert caught.value.exit_code == 1
        assert not any(said in str(caught.value) for said in (access, secret, "Signature="))
        assert len([r for r in sandbox.requests if r.path == "/v1/order/matchresults"]) == 1


# ----------------------------------------------------------------------------------------------------- socket


def listen(
    sandbox: Sandbox, folder: Path, feeds: tuple[str, ...], symbols: tuple[str, ...], seconds: float,
    enough: Callable[[], object] = lambda: True,
) -> Captured:  # fmt: skip
    settings = settings_for(sandbox, folder)
    with Session(settings, say=lambda text: None) as session, set_after(seconds, sandbox, enough) as stop:
        return capture(Wanted("htx-spot", feeds, symbols), session, stop)


def test_fills_and_balances_as_they_come(tmp_path: Path) -> None:
    """All symbols by one topic: each fill of the time, and every change of a balance; the key is on no tape."""
    with Sandbox(seed=5, limits=False, own_seconds=10, ping_seconds=0.3, clock=hurried()) as sandbox:
        done = listen(sandbox, tmp_path, ("own_fills", "own_account_updates"), ("*",), 4)
        assert done.complete, done
        (heard,) = spans(tmp_path / "lake", Series("own_fills", "htx-spot", "*"))
        span = heard.start, heard.end
        count = 0
        for symbol in ("btcusdt", "ethusdt", "dogeusdt"):
            series = Series("own_fills", "htx-spot", symbol)
            truth = truth_of(sandbox, "htx-spot", symbol, span[0], span[1])
            assert [row for row in rows_of(tmp_path / "lake", series) if span[0] <= row[2] < span[1]] == truth
            count += len(truth)
            if truth:
                assert set(stored(tmp_path / "lake", series)["source"]) == {"ws"}
        assert count > 2
        rows = stored(tmp_path / "lake", Series("own_account_updates", "htx-spot", "*"))
        changes = [
            (c.time, c.currency, float(c.balance), c.kind, c.sequence)
            for c in sandbox.own.changes(span[0], span[1], sandbox.now())
        ]
        told = list(
            zip(
                *(rows[n] for n in ("change_time", "currency", "balance", "change_type", "sequence")),
                strict=True,
            )
        )
        assert sorted(row for row in told if row[0] is not None and span[0] <= row[0] < span[1]) == sorted(
            changes
        )
        snapshot = [row for row, at in zip(told, rows["updated_at"], strict=True) if row[0] is None and at]
        assert {row[1] for row in snapshot} == {"usdt", "btc", "eth", "doge"}
        assert all(row[3] is None for row in snapshot)
        assert {
            row["account_id"]
            for row in [dict(zip(rows, v, strict=True)) for v in zip(*rows.values(), strict=True)]
        } == {"13496526"}
        tape = b"".join(path.read_bytes() for path in reel.reels(tmp_path / "tape"))
        assert SANDBOX_KEY.access.encode() not in tape


def said_on_tape(tape: Path) -> list[Any]:
    """What our side said, as it was taped."""
    out = []
    for path in reel.reels(tape):
        for _, found in reel.read(path):
            if isinstance(found, reel.Record) and found.said.get("event") == "sent":
                out.append(json.loads(found.body))
    return out


@pytest.mark.wide
@pytest.mark.parametrize(
    ("name", "asked"), [("htx-linear", "BTC-USDT"), ("hashkey", "*")], ids=["htx-linear", "hashkey"]
)
def test_fills_without_fees_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, asked: str
) -> None:
    """The socket tells them without their fees and proves no span; REST tells the same fills once more, and fills in
    what they lack: what the socket alone said stays. Numbers of the two have nothing in common (but HashKey's tickets
    of pairs), and each is one row."""
    names = (*FILLS, "client_order_id", "source")
    lake, other, hours = tmp_path / "lake", tmp_path / "other", Hours(monkeypatch)
    with Sandbox(seed=5, limits=False, own_seconds=10, ping_seconds=0.3, clock=hours.now) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        with Session(settings, say=lambda text: None, stop=hours) as session, set_after(4, sandbox) as stop:
            done = capture(Wanted(name, ("own_fills",), (asked,)), session, stop)
        assert done.complete, done
        distil(Store(other), tmp_path / "tape", say=lambda text: None)
        count = 0
        for symbol in TRADED[name]:  # one topic, whatever was asked for
            series = Series("own_fills", name, symbol)
            (span,) = spans(lake, series)
            assert (span.verdict, span.source) == ("present", "rest")
            truth = truth_of(sandbox, name, symbol, span.start, span.end)
            inside = [row for row in rows_of(lake, series) if span.start <= row[2] < span.end]
            assert inside == truth
            clients = {str(o.number): o.client_id for o in sandbox.own.orders(
                name, symbol, span.start - SECOND, span.end, sandbox.now())}  # fmt: skip
            rows = stored(lake, series)
            heard = [r for r in zip(*(rows[n] for n in names), strict=True) if r[-1] == "ws" and r[2] < span.end]
            assert all(row[-2] == clients[row[1]] for row in heard)
            assert all(row[6] is not None and row[7] and (row[9] or symbol == "BTCUSDT" or symbol == "ETHUSDT")
                       for row in heard)  # fmt: skip
            assert spans(other, series) == []
            bare = stored(other, series)
            if bare:
                assert {*bare["fee"], *bare["fee_currency"], *bare["order_type"]} == {None}
                assert {row[:2] for row in heard} <= {*zip(bare["trade_id"], bare["order_id"], strict=True)}
            count += len(heard)
        assert count > 2
        assert sandbox.refused_keys == {}
        shown = [one for one in said_on_tape(tmp_path / "tape") if one.get("op") == "auth"]
        assert {(one["AccessKeyId"], one["Signature"]) for one in shown} <= {("…", "…")}
        assert len(shown) + len(sandbox.lent_keys) == 1
        tape = b"".join(path.read_bytes() for path in reel.reels(tmp_path / "tape"))
        assert not [one for one in (SANDBOX_KEY.access, *sandbox.lent_keys) if one.encode() in tape]


def test_a_refused_key_ends_the_capture_of_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts' private socket verifies what is signed: one sign-in, no second, the reason told."""
    monkeypatch.setenv("HTX_SECRET_KEY", "wrong")
    with Sandbox(limits=False, own_seconds=1) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=lambda text: None) as session:
            wanted = Wanted("htx-linear", ("own_fills",), ("*",))
            with pytest.raises(KeyRefused, match=r"the key is not taken: 2001: Verification failure") as caught:
                capture(wanted, session, threading.Event(), seconds=20)
        assert SANDBOX_KEY.access not in str(caught.value)
        assert len(sandbox.sockets) == 1
        assert sandbox.refused_keys == {"Verification failure [校验失败]": 1}


def test_what_was_lost_comes_by_rest(tmp_path: Path) -> None:
    """A connection is dropped and kept away: the fills of that time are asked for, and the gap is healed."""
    faults = Faults(
        # Not the first frames: on a busy machine they come late, and before them nothing is lost.
        Rule("disconnect", between=(2.0, 60.0), after=2, times=1, seconds=1.0, topic="trade.clearing#*usdt#1")
    )
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=faults, clock=hurried()
    ) as sandbox:
        done = listen(sandbox, tmp_path, ("own_fills",), ("btcusdt", "ethusdt"), 6, lambda: back(sandbox, 0))
        assert done.reconnects >= 1
        assert done.complete, done
        assert done.healed == 2
        for symbol in ("btcusdt", "ethusdt"):
            series = Series("own_fills", "htx-spot", symbol)
            found = spans(tmp_path / "lake", series)
            start, end = found[0].start, found[-1].end
            assert {span.verdict for span in found} <= {"present", "empty"}
            assert {span.source for span in found} == {"ws", "rest"}
            assert end - start > 60 * SECOND
            assert [r for r in rows_of(tmp_path / "lake", series) if start <= r[2] < end] == truth_of(
                sandbox, "htx-spot", symbol, start, end
            )
        said = said_on_tape(tmp_path / "tape")
        shown = [one["params"] for one in said if one.get("ch") == "auth"]
        assert len(shown) == 2
        assert all(one["accessKey"] == one["signature"] == "…" for one in shown)
        assert not sandbox.refused_keys


class Hours(threading.Event):
    """One clock for us and for the exchange, 35 times as fast as others, half as fast once it is slowed; and an event
    nobody sets: who waits for it longer than two seconds finds that they have gone by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.since, self.before, self.speed, self.skipped = time.monotonic(), time.time(), 35.0, 0.0
        monkeypatch.setattr(time, "time_ns", lambda: int(self.now() * 1e9))
        # What is signed for HashKey is taken for five seconds, which would be a seventh of one here.
        monkeypatch.setattr("htxdata.sandbox.hashkey_own._WINDOW", "300000")

    def now(self) -> float:
        return self.before + (time.monotonic() - self.since) * self.speed + self.skipped

    def slow(self) -> None:
        self.before, self.since, self.speed = self.now() - self.skipped, time.monotonic(), 0.5

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None or timeout <= 2:
            return super().wait(timeout)
        self.skipped += timeout
        return self.is_set()


def test_what_was_lost_a_moment_ago_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is lost just before the end: what fills there were can be asked for some seconds later, and is."""
    hours, stop = Hours(monkeypatch), threading.Event()
    heard: list[int] = []

    def back(status: Status) -> None:
        if status.reconnects and status.standing:
            heard.append(status.frames)
            if heard[-1] > heard[0]:
                stop.set()

    # Not before both topics were heard: on a busy machine they are subscribed after the first second.
    lost = Rule("disconnect", between=(1.0, 99.0), after=6, times=1, seconds=0.2, topic="trade.clearing#*usdt#1")
    faults = Faults(lost)
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=faults, clock=hours.now
    ) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=lambda text: hours.slow(), stop=hours) as session:
            wanted = Wanted("htx-spot", ("own_fills",), ("btcusdt", "ethusdt"))
            done = capture(wanted, session, stop, seconds=20, on_status=back)
        assert (done.reconnects, done.healed, done.gaps) == (1, 2, [])
        assert 2 < hours.skipped < 7
        for symbol in wanted.symbols:
            series = Series("own_fills", "htx-spot", symbol)
            found = spans(tmp_path / "lake", series)
            start, end = found[0].start, found[-1].end
            assert {span.source for span in found} == {"ws", "rest"}
            told = truth_of(sandbox, "htx-spot", symbol, start, end)
            assert [row for row in rows_of(tmp_path / "lake", series) if start <= row[2] < end] == told


@pytest.mark.wide
def test_the_gap_of_all_symbols_is_healed_too(tmp_path: Path) -> None:
    """What a topic of all symbols lost is asked for symbol by symbol, and known for all of them together."""
    rule = Rule("disconnect", between=(2.0, 60.0), after=2, times=1, seconds=1.0, topic="trade.clearing#*#1")
    faults = Faults(rule)
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=faults, clock=hurried()
    ) as sandbox:
        done = listen(sandbox, tmp_path, ("own_fills",), ("*",), 6, lambda: back(sandbox, 0))
        assert done.complete, done
        found = spans(tmp_path / "lake", Series("own_fills", "htx-spot", "*"))
        start, end = found[0].start, found[-1].end
        assert {span.verdict for span in found} <= {"present", "empty"}
        assert {span.source for span in found} == {"ws", "rest"}
        for symbol in ("btcusdt", "ethusdt", "dogeusdt"):
            rows = rows_of(tmp_path / "lake", Series("own_fills", "htx-spot", symbol))
            assert [r for r in rows if start <= r[2] < end] == truth_of(
                sandbox, "htx-spot", symbol, start, end
            )


def test_a_refused_key_ends_the_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sign-in, no second: the reason is told, without the key."""
    monkeypatch.setenv("HTX_SECRET_KEY", "wrong")
    with Sandbox(limits=False, own_seconds=1) as sandbox:
        with pytest.raises(KeyRefused, match=r"the key is not taken: 2002: auth\.fail") as caught:
            listen(sandbox, tmp_path, ("own_fills",), ("*",), 20)
        assert SANDBOX_KEY.access not in str(caught.value)
        assert len(sandbox.sockets) == 1
        assert sandbox.refused_keys == {"Verification failure [校验失败]": 1}
