"""What a lake must hold: the sandbox's market, value by value. For the tests of everything that fills lakes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htxdata.config import BUDGETS, HOSTS, Settings
from htxdata.ingest.asked import Request
from htxdata.ingest.run import Report, backfill
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.sandbox.instruments import future
from htxdata.store.partition import Store
from htxdata.timeline import Window, from_datetime, iso, parse_instant

UNPACED = 10_000.0  # requests per second: pacing is off, and the machine is the limit
TAKERS = ("taker_buy_volume", "taker_buy_quote_volume")  # HashKey's candles say them
CANDLE = ("open", "high", "low", "close", "volume", "quote_volume", "contracts", "trade_count")
BARE = ("open", "high", "low", "close")
TRADE = ("trade_id", "price", "quantity", "quote_quantity", "contracts", "side")


def settings_for(sandbox: Sandbox, folder: Path, rate: float = UNPACED, *, archive: bool = False) -> Settings:
    """Settings that ask ``sandbox``, its archive only where that is said, and keep lake and tape in ``folder``."""
    hosts = {**HOSTS, **sandbox.hosts, **({} if archive else {"htx_archive": None})}
    return Settings(str(folder / "lake"), str(folder / "tape"), hosts, dict.fromkeys(BUDGETS, rate))


def configuration(
    sandbox: Sandbox, folder: Path, rate: float = UNPACED, more: str = "", *, archive: bool = False
) -> Path:
    """The same as a file, for processes."""
    lines = [f'lake = "{folder / "lake"}"', f'tape = "{folder / "tape"}"', "[hosts]"]
    hosts = sandbox.hosts if archive else {**sandbox.hosts, "htx_archive": ""}
    lines += [f'{key} = "{base}"' for key, base in hosts.items()]
    lines += ["[budgets]", *(f"{key} = {rate}" for key in BUDGETS), more]
    file = folder / "htxdata.toml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def fill(settings: Settings, *requests: Request, say: Any = lambda text: None) -> Report:
    """One run with a session of its own, as a process would have."""
    with Session(settings, say=say) as session:
        return backfill(list(requests), session)


def klines(venue: str, symbol: str, period: str, start: str, end: str | None = None) -> Request:
    return Request("klines", venue, (symbol,), (period,), start, end)


def fundings(symbol: str, start: str, end: str | None = None, venue: str = "htx-linear") -> Request:
    return Request("funding_rates", venue, (symbol,), (), start, end)


def a_future(at: int | None = None, alias: str = "CQ") -> str:
    """The coin-margined future that is the sandbox's ``BTC_CQ`` (or another) at an instant; now unless said."""
    found = future(f"BTC_{alias}", time.time_ns() // 1000 if at is None else at)
    assert found is not None
    return found.symbol


def stored(lake: Path | str, series: Series) -> dict[str, list[Any]]:
    """Every row of a series, all partitions, as columns; instants in microseconds."""
    store = Store(lake)
    out: dict[str, list[Any]] = {}
    for partition in store.partitions(series):
        table = store.read(partition)
        if table is None:  # a folder in which nothing was committed
            continue
        for name, column in zip(table.column_names, table.columns, strict=True):
            out.setdefault(name, []).extend(map(_plain, column.to_pylist()))
    return out


def _plain(value: Any) -> Any:
    return from_datetime(value) if hasattr(value, "tzinfo") else value


def assert_candles(
    lake: Path | str, sandbox: Sandbox, series: Series, start: str | int, end: str | int
) -> int:
    """The lake holds exactly the market's candles that open in ``[start, end)``, value by value; how many."""
    truth = sandbox.market.klines(
        series.venue, series.symbol, str(series.period), _instant(start), _instant(end)
    )
    rows = stored(lake, series)
    _assert_times(lake, series, rows.get("open_time", []), truth["open_time"].tolist())
    for name in CANDLE if len(truth["open_time"]) else ():
        expected = truth[name]
        assert rows[name] == ([None] * len(rows["open_time"]) if expected is None else expected.tolist()), (
            name
        )
    for name in TAKERS if rows.get("open_time") else ():
        assert rows[name] == (truth[name].tolist() if name in truth else [None] * len(rows["open_time"])), name
    return len(rows.get("open_time", ()))


def assert_trades(
    lake: Path | str, sandbox: Sandbox, series: Series, start: str | int, end: str | int
) -> int:
    """The lake holds exactly the market's trades of ``[start, end)``, value by value; how many.

    A turnover that the source does not say (HTX spot, the archive's newer tree) may be absent.
    """
    low, high = _instant(start), _instant(end)
    truth = sandbox.market.trades(series.venue, series.symbol, low, high)
    rows = stored(lake, series)
    keep = [at for at, when in enumerate(rows.get("trade_time", [])) if low <= when < high]
    have = {name: [column[at] for at in keep] for name, column in rows.items()}
    due = {name: None if column is None else column.tolist() for name, column in truth.items()}
    due["trade_id"] = ids_of(series.venue, due)
    order = sorted(range(len(due["trade_id"])), key=lambda at: (due["trade_time"][at], due["trade_id"][at]))
    _assert_times(lake, series, have.get("trade_time", []), [due["trade_time"][at] for at in order])
    for name in TRADE if order else ():
        column = due[name]
        expected = [None if column is None else column[at] for at in order]
        got = have[name]
        if name == "quantity" and sandbox.market.instrument(series.venue, series.symbol).face:
            # A quotient: the sandbox rounds it to ten decimals, the archive's newer tree leaves it to the reader.
            expected = [
                mine if abs(mine - theirs) < 1e-10 else theirs for mine, theirs in zip(got, expected, strict=True)
            ]
        if name == "quote_quantity":
            expected = [None if mine is None else theirs for mine, theirs in zip(got, expected, strict=True)]
        assert got == expected, (name, [pair for pair in zip(got, expected, strict=True) if pair[0] != pair[1]][:3])
    return len(order)


def ids_of(venue: str, trades: dict[str, Any]) -> list[str]:
    """What the market's trades are called in a lake: by their numbers, or (HashKey, whose REST has none) by time in
    milliseconds, price, size, side and which of several alike it is."""
    if venue != "hashkey":
        return [str(identity) for identity in trades["trade_id"] or []]
    sizes = trades["quantity"] if trades["contracts"] is None else trades["contracts"]
    seen: dict[str, int] = {}
    names = []
    for when, price, size, side in zip(trades["trade_time"], trades["price"], sizes, trades["side"], strict=True):
        stem = f"{when // 1000}-{_short(price)}-{_short(size)}-{side}"
        seen[stem] = seen.get(stem, 0) + 1
        names.append(f"{stem}-{seen[stem]}")
    return names


def _short(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def assert_archived_candles(
    lake: Path | str, sandbox: Sandbox, series: Series, start: str | int, end: str | int,
    names: tuple[str, ...] = BARE,
) -> int:
    """The candles of ``[start, end)`` are the market's as far as the archive tells them; how many."""
    low, high = _instant(start), _instant(end)
    truth = getattr(sandbox.market, series.dataset)(series.venue, series.symbol, str(series.period), low, high)
    rows = stored(lake, series)
    keep = [at for at, when in enumerate(rows.get("open_time", [])) if low <= when < high]
    _assert_times(lake, series, [rows["open_time"][at] for at in keep], truth["open_time"].tolist())
    for name in names:
        assert [rows[name][at] for at in keep] == truth[name].tolist(), name
    return len(keep)


def _assert_times(lake: Path | str, series: Series, have: list[int], due: list[int]) -> None:
    if have != due:
        lost, extra = (sorted(set(a) - set(b)) for a, b in ((due, have), (have, due)))
        said = [(iso(s.start), iso(s.end), s.verdict, s.rows) for s in Store(lake).coverage(series)]
        raise AssertionError(
            f"{series}: {len(lost)} lost {[iso(t) for t in lost[:3] + lost[-1:]]}, "
            f"{len(extra)} extra {[iso(t) for t in extra[:3]]}, coverage {said}"
        )


def assert_fundings(
    lake: Path | str, sandbox: Sandbox, symbol: str, start: str | int, end: str | int, venue: str = "htx-linear"
) -> int:
    """The lake holds exactly the market's fundings in ``[start, end)``, value by value; how many."""
    truth = sandbox.market.funding_rates(venue, symbol, _instant(start), _instant(end))
    series = Series("funding_rates", venue, symbol)
    rows = stored(lake, series)
    _assert_times(lake, series, rows.get("funding_time", []), truth["funding_time"].tolist())
    assert rows.get("funding_rate", []) == truth["funding_rate"].tolist()
    return len(rows.get("funding_time", ()))


def _instant(when: str | int) -> int:
    return parse_instant(when) if isinstance(when, str) else when


def verdicts(lake: Path | str, series: Series) -> list[tuple[str, str, str, int]]:
    """``(start, end, verdict, rows)`` of every span of a series."""
    return [(iso(s.start), iso(s.end), s.verdict, s.rows) for s in Store(lake).coverage(series)]


def assert_covers(lake: Path | str, series: Series, start: str | int, end: str | int, *allowed: str) -> None:
    """Every instant of ``[start, end)`` has a verdict, and one of ``allowed``."""
    at, stop = _instant(start), _instant(end)
    for span in Store(lake).coverage(series):
        window = Window(span.start, span.end).intersect(Window(at, stop))
        if window:
            assert window.start == at, f"{series}: nothing is known of {Window(at, window.start)}"
            assert span.verdict in (allowed or ("present", "empty")), f"{series}: {window} is {span.verdict}"
            at = window.end
    assert at == stop, f"{series}: nothing is known of {Window(at, stop)}"


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below ``folder``, dot files too: its bytes and when it was written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def strays(folder: Path) -> list[str]:
    """What an interrupted writer may leave behind, and a partition that foreign readers do not see as it is."""
    out = [str(path) for path in _walk(folder) if path.name.endswith(".tmp")]
    for path in _walk(folder):
        if path.name.startswith(".g") and path.suffix == ".pq":
            newest = max(path.parent.glob(".g*.pq"))
            part = path.parent / "part.parquet"
            if not part.exists() or not os.path.samefile(newest, part):
                out.append(f"{part} is not {newest.name}")
    return out


def _walk(folder: Path) -> Iterator[Path]:
    for top, _, names in os.walk(folder):
        yield from (Path(top, name) for name in names)


def revisions(lake: Path | str, series: Series) -> dict[str, list[Any]]:
    return stored(lake, Series("kline_revisions", series.venue, series.symbol, series.period))
