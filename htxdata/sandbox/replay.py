"""Recorded real data served in place of the seeded truth.

From a folder of recordings: HTX linear-swap BTC-USDT fundings (real HTX; the file's dates are UTC+3 local, without a
mark) and one month of one-minute candles served as HTX spot `btcusdt`. THE CANDLES ARE NOT HTX'S: they are FTX BTC-PERP
of 2021-12-31 to 2022-02-01 (stamps UTC), whose volume column is quote currency; it becomes `quote_volume`, `volume` is
quote_volume / close, and trade_count is 0 because the recording has none. Say so wherever they are shown.

Beside them, where it is there, a recorded session of the real spot WebSocket (`websocket_replay`).

Nothing is served outside the recorded span. All times are int microseconds UTC.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np

from .bars import Columns
from .instruments import INSTRUMENTS, LINEAR, SPOT, Instrument
from .noise import Ints
from .periods import MINUTE, opens, slots
from .recording import FILE, Recording

_FUNDING = "funding/BTC-USDT_htx_*.csv.gz"
_KLINES = "klines_other/btc-perp-20211231-20220201_1m.csv.gz"
_AUTHOR = timezone(timedelta(hours=3))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Replay:
    """Recordings in memory, with the accessors of Market for what they hold."""

    def __init__(self, minutes: Columns, fundings: Columns, session: Recording | None = None) -> None:
        self._periods: dict[str, Columns] = {"1min": minutes}
        self._fundings = fundings
        self.session = session

    @classmethod
    def load(cls, folder: str | Path) -> Replay:
        """Read the recordings in a folder; FileNotFoundError says what was looked for and where."""
        root = Path(folder)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder of recorded data at {root}")
        fundings, klines = sorted(root.glob(_FUNDING)), root / _KLINES
        if not fundings or not klines.is_file():
            raise FileNotFoundError(
                f"recorded data in {root} is incomplete: {_FUNDING} and {_KLINES} are needed"
            )
        session = Recording.load(root / FILE) if (root / FILE).is_file() else None
        return cls(_read_minutes(klines), _read_fundings(fundings[0]), session)

    def covers(self, venue: str, symbol: str, dataset: str) -> bool:
        """Whether a dataset (`klines`, `funding_rates`) of a symbol is served from the recording."""
        return (venue, symbol, dataset) in (
            (SPOT, "btcusdt", "klines"),
            (LINEAR, "BTC-USDT", "funding_rates"),
        )

    def instrument(self, venue: str, symbol: str) -> Instrument:
        """The instrument under whose name the recording is served, listed when HTX listed it."""
        return INSTRUMENTS[venue][symbol]

    def session_before(self, venue: str, symbol: str, now: int) -> int:
        """The last instant up to `now` at which there is a candle."""
        return min(now, int(self._periods["1min"]["open_time"][-1]))

    def klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """As Market.klines; a longer candle exists only where all its minutes were recorded."""
        return self.candles(venue, symbol, period, start, end)

    def candles(
        self, venue: str, symbol: str, period: str, start: int, end: int, now: int | None = None
    ) -> Columns:
        """As Market.candles, except that the running candle is served as it ended."""
        if not self.covers(venue, symbol, "klines"):
            raise KeyError(symbol)
        if period not in self._periods:
            self._periods[period] = _coarser(self._periods["1min"], period)
        table = self._periods[period]
        stop = end if now is None else min(end, now + 1)
        keep = slice(*np.searchsorted(table["open_time"], [start, max(start, stop)]))
        return {name: None if column is None else column[keep] for name, column in table.items()}

    def funding_times(self, venue: str, symbol: str) -> Ints:
        """All recorded settlements, us UTC, ascending; row n has id n + 1."""
        if not self.covers(venue, symbol, "funding_rates"):
            raise KeyError(symbol)
        times: Ints = self._fundings["funding_time"]
        return times

    def funding_rates(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """As Market.funding_rates. The text has the recording's digits, written without exponent as HTX does."""
        if not self.covers(venue, symbol, "funding_rates"):
            raise KeyError(symbol)
        keep = slice(*np.searchsorted(self._fundings["funding_time"], [start, max(start, end)]))
        return {name: column[keep] for name, column in self._fundings.items()}


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _micros(text: str, zone: timezone) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=zone) - _EPOCH) // timedelta(microseconds=1)


def _read_fundings(file: Path) -> Columns:
    rows = list(_rows(file))
    times = np.array([_micros(row["Date"], _AUTHOR) for row in rows], dtype=np.int64)
    order: Ints = np.argsort(times, kind="stable")
    texts = [format(Decimal(rows[index]["Funding Rate"]), "f") for index in order.tolist()]
    return {
        "id": np.arange(1, len(rows) + 1, dtype=np.int64),
        "funding_time": times[order],
        "funding_rate": np.array([float(text) for text in texts]),
        "funding_rate_text": texts,
        "realized_rate": np.full(len(rows), np.nan),
        "avg_premium_index": np.full(len(rows), np.nan),
        "avg_premium_index_text": [None] * len(rows),
    }


def _read_minutes(file: Path) -> Columns:
    rows = list(_rows(file))
    columns: Columns = {
        "open_time": np.array([_micros(row["timestamp"], UTC) for row in rows], dtype=np.int64)
    }
    for name in ("open", "high", "low", "close"):
        columns[name] = np.array([float(row[name]) for row in rows])
    turnover = np.array([float(row["volume"]) for row in rows])
    columns |= {
        "volume": turnover / columns["close"],
        "quote_volume": turnover,
        "contracts": None,
        "trade_count": np.zeros(len(rows), dtype=np.int64),
    }
    return columns


def _coarser(minutes: Columns, period: str) -> Columns:
    slot = slots(period, minutes["open_time"])
    at = np.flatnonzero(np.concatenate([[True], slot[1:] != slot[:-1]]))
    counts = np.diff(np.append(at, len(slot)))
    number = slot[at]
    keep = counts * MINUTE == opens(period, number + 1) - opens(period, number)
    ends = at + counts - 1
    table: Columns = {
        "open_time": opens(period, number),
        "open": minutes["open"][at],
        "high": np.maximum.reduceat(minutes["high"], at),
        "low": np.minimum.reduceat(minutes["low"], at),
        "close": minutes["close"][ends],
        "volume": np.add.reduceat(minutes["volume"], at),
        "quote_volume": np.add.reduceat(minutes["quote_volume"], at),
        "trade_count": np.add.reduceat(minutes["trade_count"], at),
    }
    return {**{name: column[keep] for name, column in table.items()}, "contracts": None}
