"""What stands in an order book, as columns: many changes are laid over it at once. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

Columns = dict[str, Any]
"""Numpy arrays of one length."""

_MOST_PENDING = 200_000  # rows that are not yet part of the levels


class Levels:
    """What stands in a book, as columns: changes are laid over it many at a time, and only when somebody asks."""

    def __init__(self, *columns: Any) -> None:
        self._there: tuple[Any, ...] = columns or (np.zeros(0), np.zeros(0), np.zeros(0))
        self._changes: list[tuple[Any, ...]] = []
        self._pending = 0

    def change(self, rows: Columns) -> None:
        """Rows in their order: of one price the last one counts. ``side`` is 0 where it is a bid."""
        price = np.where(rows["side"] == 0, rows["price"], -rows["price"])
        size = rows["size"].copy()  # the rows of one book are part of those of all
        self._changes.append((price, size, rows["contracts"].copy() if "contracts" in rows else size))
        self._pending += len(price)
        if self._pending > _MOST_PENDING:
            self._lay()

    def _lay(self) -> None:
        parts = [self._there, *self._changes]
        price, size, contracts = (np.concatenate([part[at] for part in parts]) for at in range(3))
        words = pa.array(price).dictionary_encode()  # prices are few: to sort all rows takes eight times as long
        last = np.empty(len(words.dictionary), np.int64)
        last[words.indices.to_numpy()] = np.arange(len(price))  # of one price the last row
        last = last[np.argsort(words.dictionary.to_numpy())]
        last = last[size[last] != 0]
        self._there, self._changes, self._pending = (price[last], size[last], contracts[last]), [], 0

    def columns(self) -> tuple[list[float], list[float], list[float]]:
        self._lay()
        price, size, contracts = (column.tolist() for column in self._there)
        return price, size, contracts

    def rows(self) -> Columns:
        """Bids and asks from the best one on."""
        self._lay()
        price, size, contracts = self._there
        order = np.concatenate([np.flatnonzero(price > 0)[::-1], np.flatnonzero(price < 0)[::-1]])
        return {
            "side": (price[order] < 0).astype(np.int8),
            "price": np.abs(price[order]),
            "size": size[order],
            "contracts": contracts[order],
        }
