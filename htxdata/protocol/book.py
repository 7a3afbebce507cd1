"""An order book, rebuilt from snapshots and the changes between them. Pure: values in, values out.

A delta gives the whole new size of a level; 0 takes it away (htx-api 7.3, "Book rebuild"). A delta that names the
message before it is applied only on top of that message: clients that skipped this check kept stale books (ccxt #18749,
#19674, #19717, #19747, #20072). A book that lost a message is no book until the next snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Literal

Level = tuple[float, float]
"""A price and what stands there."""

Applied = Literal["applied", "stale", "broken", "unseeded"]
"""What became of a delta. ``stale``: the book is that far already, nothing was done. ``broken``: the message before it
was lost, and the book with it. ``unseeded``: there is no book to apply it to."""

_SPARE = 64  # entries of a heap beside those that count before it is made anew


class Book:
    """One order book. ``sequence`` is the number of the last message, None where it had none; sizes are above 0."""

    def __init__(self) -> None:
        self.seeded = False
        self.sequence: int | None = None
        self._bids, self._asks = _Side(-1.0), _Side(1.0)

    def snapshot(self, bids: Iterable[Level], asks: Iterable[Level], sequence: int | None = None) -> None:
        """The book is this and nothing else. A level of size 0 is none."""
        self.seeded, self.sequence = True, sequence
        self._bids.replace(bids)
        self._asks.replace(asks)

    def delta(
        self,
        bids: Iterable[Level],
        asks: Iterable[Level],
        sequence: int | None = None,
        previous: int | None = None,
    ) -> Applied:
        """What changed since the message ``previous``; what is not known is not compared."""
        if not self.seeded:
            return "unseeded"
        if self.sequence is not None:
            if sequence is not None and sequence <= self.sequence:
                return "stale"
            if previous is not None and previous != self.sequence:
                self.forget()
                return "broken"
        self.sequence = sequence
        self._bids.change(bids)
        self._asks.change(asks)
        return "applied"

    def forget(self) -> None:
        """What comes was not seen whole: no book until the next snapshot."""
        self.seeded, self.sequence = False, None
        self._bids.replace(())
        self._asks.replace(())

    @property
    def best_bid(self) -> Level | None:
        return self._bids.best()

    @property
    def best_ask(self) -> Level | None:
        return self._asks.best()

    @property
    def crossed(self) -> bool:
        """Whether somebody would buy at the price of a seller: a matching engine leaves no such book behind."""
        bid, ask = self._bids.best(), self._asks.best()
        return bid is not None and ask is not None and bid[0] >= ask[0]

    def bids(self, most: int | None = None) -> list[Level]:
        """The levels from the best one on, highest price first."""
        return self._bids.levels(most)

    def asks(self, most: int | None = None) -> list[Level]:
        """The levels from the best one on, lowest price first."""
        return self._asks.levels(most)


class _Side:
    """The levels of a side, and a heap of their prices. Prices that are gone stay in the heap until they surface."""

    def __init__(self, sign: float) -> None:
        self._sign = sign  # the best price times this is the least
        self._sizes: dict[float, float] = {}
        self._heap: list[float] = []

    def replace(self, levels: Iterable[Level]) -> None:
        self._sizes = {}
        for price, size in levels:
            if size:
                self._sizes[price] = size
            else:
                self._sizes.pop(price, None)
        self._rebuild()

    def change(self, levels: Iterable[Level]) -> None:
        sizes, heap, sign = self._sizes, self._heap, self._sign
        for price, size in levels:
            if not size:
                sizes.pop(price, None)
                continue
            if price not in sizes:
                heappush(heap, price * sign)
            sizes[price] = size
        if len(heap) > 2 * len(sizes) + _SPARE:  # levels that come and go leave entries behind
            self._rebuild()

    def best(self) -> Level | None:
        heap, sizes = self._heap, self._sizes
        while heap:
            price = heap[0] * self._sign
            if price in sizes:
                return price, sizes[price]
            heappop(heap)
        return None

    def levels(self, most: int | None) -> list[Level]:
        prices = sorted(self._sizes, key=self._sign.__mul__)
        return [(price, self._sizes[price]) for price in prices[:most]]

    def _rebuild(self) -> None:
        self._heap = [price * self._sign for price in self._sizes]
        heapify(self._heap)
