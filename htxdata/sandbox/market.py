"""The seeded truth: trades, candles and fundings as pure functions of (seed, venue, symbol, time).

No clock and no I/O: this is what a lake is compared with, and what the endpoints serve. How trades are made is in
`trades`, how they become candles in `bars`, the settlements in `funding`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import bars as candle_bars
from . import derived, funding, positions
from .bars import Bars, Columns
from .instruments import INSTRUMENTS, Instrument
from .noise import Ints
from .periods import DAY, HOUR, MADE_OF_MINUTES, calendar_of, open_of, slot_of
from .recent import Recent
from .trades import Trades, Trading, coins_of, session_before

_BLOCK = 512  # hours per kept block of hourly bars: about three weeks
_STRIDE = 32  # hours made at once: small enough to stay in the processor's cache


class Market:
    """A whole market grown from a seed. Thread safe. All times are int microseconds UTC, ranges half-open."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._trading = Trading(seed)
        self._derived = {kind: derived.Derived(seed, kind) for kind in derived.KINDS}
        self._blocks, self._fundings = Recent(1500), Recent(64)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """All symbols of a venue (`htx-spot`, `htx-linear`) in the venue's spelling, dead and future ones too."""
        return tuple(INSTRUMENTS[venue])

    def instrument(self, venue: str, symbol: str) -> Instrument:
        """One instrument; KeyError when there is none."""
        return INSTRUMENTS[venue][symbol]

    def trades(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """Trades with start <= trade_time < end, ascending: trade_time (us UTC, whole ms), trade_id, price,
        quantity (base units), quote_quantity, contracts (None on spot), side ('buy'/'sell', the taker's).

        On derivatives quantity, quote_quantity and contracts count both sides, as HTX's do. On coin-margined ones
        quote_quantity is None: nobody says it.
        """
        one = self.instrument(venue, symbol)
        return self._spelled_out(one, self._trading.between(one, start, end))

    def newest_trades(self, venue: str, symbol: str, orders: int, now: int) -> Columns:
        """As `trades`, those of the newest so many taker orders before `now` (us UTC), and the number that the fills of
        one order share: order."""
        one = self.instrument(venue, symbol)
        made = self._trading.newest(one, orders, session_before(one, now))
        return self._spelled_out(one, made) | {"order": made.order}

    def orders(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """As `trades`, and the number that the fills of one order share: order."""
        one = self.instrument(venue, symbol)
        made = self._trading.between(one, start, end)
        return self._spelled_out(one, made) | {"order": made.order}

    def _spelled_out(self, one: Instrument, made: Trades) -> Columns:
        return {
            "trade_time": made.time * 1000,
            "trade_id": made.identity,
            "price": made.price / 10.0**one.price_decimals,
            "quantity": made.quantity / 10.0**one.quantity_decimals,
            "quote_quantity": None if one.face else made.quote / 10.0**one.quote_decimals,
            "contracts": made.contracts if one.derivative else None,
            "side": np.where(made.buy, "buy", "sell"),
        }

    def klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """Final candles with start <= open_time < end, ascending: open_time (us UTC), open, high, low, close, volume
        (base units), quote_volume (None on coin-margined ones), contracts (None on spot), trade_count. An unknown
        period raises ValueError."""
        return self.candles(venue, symbol, period, start, end)

    def candles(
        self, venue: str, symbol: str, period: str, start: int, end: int, now: int | None = None
    ) -> Columns:
        """As `klines`, but as seen at `now` (us UTC): trades from then on have not happened yet."""
        one = self.instrument(venue, symbol)
        period = calendar_of(venue, period)
        over = one.sessions()[-1][1]
        start = max(start, open_of(period, slot_of(period, one.listed_at)))
        end = min(end, over if now is None else min(now + 1, over))
        first = slot_of(period, start - 1) + 1
        last = max(first, slot_of(period, end - 1) + 1)
        lower, upper = open_of(period, first), open_of(period, last)
        if last == first:
            return candle_bars.spelled_out(one, period, candle_bars.joined(()))
        bars = self._bars(one, period, lower, upper if now is None else min(upper, now))
        if one.flat_candles and len(bars.slot) < last - first:
            known = len(bars.slot) and bars.slot[0] == first
            before = 0 if known else self._trading.last_price(one, lower)
            bars = candle_bars.with_flats(one, period, first, last, bars, before)
        return candle_bars.spelled_out(one, period, bars)

    def mark_klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """Final mark price candles with start <= open_time < end: open_time (us UTC), open, high, low, close.

        Contracts only; one in every slot of a trading session. What has no such price has no rows.
        """
        return self.computed(derived.MARK).candles(venue, symbol, period, start, end)

    def index_klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """As `mark_klines`, of the index price; a dated future has the index of its pair."""
        return self.computed(derived.INDEX).candles(venue, symbol, period, start, end)

    def premium_klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """As `mark_klines`, of the premium index (fraction of 1, 16 decimals); perpetuals only."""
        return self.computed(derived.PREMIUM).candles(venue, symbol, period, start, end)

    def estimated_rate_klines(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """As `mark_klines`, of the estimated funding rate (fraction of 1, 16 decimals); perpetuals only."""
        return self.computed(derived.ESTIMATED).candles(venue, symbol, period, start, end)

    def computed(self, kind: str) -> derived.Derived:
        """Where the four above come from (`mark`, `index`, `premium`, `estimated_rate`): running candles too."""
        return self._derived[kind]

    def open_interest(self, venue: str, symbol: str, period: str, start: int, end: int) -> Columns:
        """Open interest with start <= time < end, at the multiples of `60min`, `4hour`, `12hour` or `1day` (which
        begin at 16:00 UTC) while the contract trades: time (us UTC), contracts, volume (coins), value (USDT; None
        where it is coin-margined).

        One side is counted. An unknown period raises ValueError; spot has no rows.
        """
        one = self.instrument(venue, symbol)
        times = positions.on_the_grid(period, start, end)
        return self._interest(one, times[positions.in_session(one, times)])

    def open_interest_now(self, venue: str, symbol: str, at: int) -> Columns:
        """As `open_interest`, one row at any instant (none when it does not trade then), and what was traded in the 24
        hours before: traded_contracts, traded_volume, traded_value (both sides counted, as in the candles)."""
        one = self.instrument(venue, symbol)
        times = np.array([at], dtype=np.int64)
        rows = self._interest(one, times[positions.in_session(one, times)])
        traded = self._trading.between(one, at - DAY, at)
        count = len(rows["time"])
        return rows | {
            "traded_contracts": np.full(count, traded.contracts.sum()),
            "traded_volume": np.full(count, traded.quantity.sum() / 10.0**one.quantity_decimals),
            "traded_value": np.full(count, traded.quote.sum() / 10.0**one.quote_decimals),
        }

    def _interest(self, one: Instrument, times: Ints) -> Columns:
        times = times if one.derivative else times[:0]
        contracts = positions.open_contracts(self.seed, one, times)
        cost = positions.prices(self.seed, one, times)
        coins = coins_of(one, contracts, cost) if one.face else contracts * one.lot_units
        cost = coins * cost
        return {
            "time": times,
            "contracts": contracts,
            "volume": coins / 10.0**one.quantity_decimals,
            "value": None if one.face else cost / 10.0 ** (one.quantity_decimals + one.price_decimals),
        }

    def liquidations(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """Liquidations with start <= liquidated_at < end, ascending: liquidated_at (us UTC, whole ms), liquidation_id
        (v5's, unique across contracts), side (of the closing order: 'sell' closes a long), price (bankruptcy),
        quantity (coins), contracts. One side is counted. Spot has no rows."""
        one = self.instrument(venue, symbol)
        found = positions.liquidations(self.seed, one, start, end)
        return {
            "liquidated_at": found.time * 1000,
            "liquidation_id": found.identity,
            "side": np.where(found.sell, "sell", "buy"),
            "price": found.price / 10.0**one.price_decimals,
            "quantity": (coins_of(one, found.contracts, found.price) if one.face else found.contracts * one.lot_units)
            / 10.0**one.quantity_decimals,
            "contracts": found.contracts,
        }

    def session_before(self, venue: str, symbol: str, now: int) -> int:
        """The last instant up to `now` at which the symbol traded: now, or the end of its last session before."""
        return session_before(self.instrument(venue, symbol), now)

    def _bars(self, one: Instrument, period: str, lower: int, upper: int) -> Bars:
        """The buckets of a period from the trades in [lower, upper); `lower` is where a bucket opens."""
        if period in MADE_OF_MINUTES:
            return candle_bars.from_trades(self._trading.between(one, lower, upper), period)
        first, last = lower // HOUR, upper // HOUR
        blocks = (self._block(one, number) for number in range(first // _BLOCK, -(-last // _BLOCK)))
        hours = candle_bars.joined(blocks).cut(first, last)
        if upper > last * HOUR:
            rest = candle_bars.from_trades(self._trading.between(one, last * HOUR, upper), "60min")
            hours = candle_bars.joined((hours, rest))
        return hours if period == "60min" else candle_bars.from_hours(hours, period)

    def _block(self, one: Instrument, number: int) -> Bars:
        """The hourly bars of a numbered stretch of time, made once."""

        def make() -> Bars:
            starts = range(number * _BLOCK, (number + 1) * _BLOCK, _STRIDE)
            stretches = (self._trading.between(one, hour * HOUR, (hour + _STRIDE) * HOUR) for hour in starts)
            return candle_bars.joined(candle_bars.from_trades(trades, "60min") for trades in stretches)

        made: Bars = self._blocks.or_make((one.venue, one.symbol, number), make)
        return made

    def _funding(self, venue: str, symbol: str) -> funding.Funding:
        one = self.instrument(venue, symbol)
        made: funding.Funding = self._fundings.or_make(one, lambda: funding.history(one, self.seed))
        return made

    def funding_times(self, venue: str, symbol: str) -> Ints:
        """All settlements a contract ever has, us UTC, ascending; row n has id n + 1."""
        return self._funding(venue, symbol).times

    def funding_rates(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """Settlements with start <= funding_time < end, ascending: id (from 1), funding_time (us UTC), funding_rate,
        funding_rate_text (v5's spelling), realized_rate (NaN: the venue gives null), avg_premium_index(_text)."""
        whole = self._funding(venue, symbol)
        first, last = np.searchsorted(whole.times, [start, max(start, end)])
        texts = [funding.short(rate) for rate in whole.rates[first:last].tolist()]
        premiums: list[Any] = [funding.padded(premium) for premium in whole.premiums[first:last].tolist()]
        return {
            "id": np.arange(first + 1, last + 1, dtype=np.int64),
            "funding_time": whole.times[first:last],
            "funding_rate": np.array([float(text) for text in texts], dtype=np.float64),
            "funding_rate_text": texts,
            "realized_rate": np.full(last - first, np.nan),
            "avg_premium_index": np.array([float(text) for text in premiums], dtype=np.float64),
            "avg_premium_index_text": premiums,
        }
