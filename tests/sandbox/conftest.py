"""A sandbox with a still clock for the wire tests, and a small client that knows only requests and json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from htxdata.sandbox import Market, Sandbox

NOON = 1_780_315_230  # 2026-06-01 12:00:30 UTC


class Client:
    """GETs on a running sandbox, decoded."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def get(self, host: str, path: str, **query: Any) -> requests.Response:
        query = {name.rstrip("_"): value for name, value in query.items()}
        return self._session.get(self.sandbox.hosts[host] + path, params=query, timeout=60)

    def spot(self, path: str, **query: Any) -> Any:
        return self.get("htx_spot_rest", path, **query).json()

    def swap(self, path: str, **query: Any) -> Any:
        return self.get("htx_swap_rest", path, **query).json()


@pytest.fixture(scope="session")
def market() -> Market:
    return Market(0)


@pytest.fixture(scope="module")
def still() -> Iterator[Client]:
    """A sandbox whose clock stands at NOON, without limits."""
    with Sandbox(limits=False, clock=lambda: NOON) as sandbox:
        client = Client(sandbox)
        yield client
        client.close()


def assert_is_truth(rows: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Candle rows of either host, ascending, against the columns of the truth."""
    names = {
        "open": "open",
        "high": "high",
        "low": "low",
        "close": "close",
        "volume": "amount",
        "trade_count": "count",
    }
    names["quote_volume"] = "trade_turnover" if truth["contracts"] is not None else "vol"
    assert [row["id"] * 1_000_000 for row in rows] == truth["open_time"].tolist()
    for column, field in names.items():
        assert [row[field] for row in rows] == truth[column].tolist(), column
    if truth["contracts"] is not None:
        assert [row["vol"] for row in rows] == truth["contracts"].tolist()
