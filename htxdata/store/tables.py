"""The table functions of a lake: a method for every dataset that has files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from htxdata.store.instants import Instant
from htxdata.store.layout import Pattern

Relation = TypeVar("Relation")
"""What answers: a relation of DuckDB, which only ``store/lake.py`` imports."""


class Tables(ABC, Generic[Relation]):
    """Each is ``table`` of its dataset: rows of ``[start, end)``. Symbol, venue, period: a text, a glob, or several."""

    @abstractmethod
    def table(
        self,
        name: str,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        period: Pattern = None,
        start: Instant = None,
        end: Instant = None,
    ) -> Relation:
        """Any stored dataset by its name."""

    def klines(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles that open in ``[start, end)``. Symbol, venue and period: a text, a glob, or several."""
        return self.table("klines", symbol, venue=venue, period=period, start=start, end=end)

    def kline_revisions(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles as they were before the venue changed its mind."""
        return self.table("kline_revisions", symbol, venue=venue, period=period, start=start, end=end)

    def funding_rates(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        return self.table("funding_rates", symbol, venue=venue, start=start, end=end)

    def own_fills(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """What was filled of one's own orders."""
        return self.table("own_fills", symbol, venue=venue, start=start, end=end)

    def own_orders(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """One's own orders as they were last heard of."""
        return self.table("own_orders", symbol, venue=venue, start=start, end=end)

    def own_account_updates(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Changes of one's own accounts."""
        return self.table("own_account_updates", symbol, venue=venue, start=start, end=end)

    def own_balances(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """What one's own accounts held when they were looked at."""
        return self.table("own_balances", symbol, venue=venue, start=start, end=end)

    def mark_klines(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles of the mark price."""
        return self.table("mark_klines", symbol, venue=venue, period=period, start=start, end=end)

    def index_klines(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles of the index price."""
        return self.table("index_klines", symbol, venue=venue, period=period, start=start, end=end)

    def premium_klines(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles of the premium index, a fraction of 1."""
        return self.table("premium_klines", symbol, venue=venue, period=period, start=start, end=end)

    def estimated_rate_klines(
        self, symbol: Pattern = None, *, venue: Pattern = None, period: Pattern = None,
        start: Instant = None, end: Instant = None,
    ) -> Relation:  # fmt: skip
        """Candles of the estimated funding rate, a fraction of 1."""
        return self.table("estimated_rate_klines", symbol, venue=venue, period=period, start=start, end=end)

    def trades(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Trades of ``[start, end)``; ``side`` is the taker's."""
        return self.table("trades", symbol, venue=venue, start=start, end=end)

    def book_changes(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Snapshots and deltas of order books."""
        return self.table("book_changes", symbol, venue=venue, start=start, end=end)

    def open_interest(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Contracts that were open, at instants of ``[start, end)``."""
        return self.table("open_interest", symbol, venue=venue, start=start, end=end)

    def liquidations(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Positions that the venue closed by force."""
        return self.table("liquidations", symbol, venue=venue, start=start, end=end)

    def quotes(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Best bids and asks, whenever one of them changed."""
        return self.table("quotes", symbol, venue=venue, start=start, end=end)

    def indicative_funding_rates(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """What the coming funding would be, as the venue said at instants of ``[start, end)``."""
        return self.table("indicative_funding_rates", symbol, venue=venue, start=start, end=end)

    def mark_prices(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Mark prices that were looked at, of instants of ``[start, end)``."""
        return self.table("mark_prices", symbol, venue=venue, start=start, end=end)

    def index_prices(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Index prices that were looked at, as the venue said at instants of ``[start, end)``."""
        return self.table("index_prices", symbol, venue=venue, start=start, end=end)

    def index_constituents(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """Baskets of indices that began in ``[start, end)``; each holds until the next one."""
        return self.table("index_constituents", symbol, venue=venue, start=start, end=end)

    def capture_gaps(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """When feeds that were captured were not heard; gaps that begin in ``[start, end)``."""
        return self.table("capture_gaps", symbol, venue=venue, start=start, end=end)

    def source_differences(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        """What two sources said differently of rows of ``[start, end)``."""
        return self.table("source_differences", symbol, venue=venue, start=start, end=end)

    def instruments(
        self, symbol: Pattern = None, *, venue: Pattern = None, start: Instant = None, end: Instant = None
    ) -> Relation:
        return self.table("instruments", symbol, venue=venue, start=start, end=end)
