"""What the archive calls its files: series and day to key, series to folder, key to day. Both trees, every market.

::

    data/{dataset}/{market}/daily/{SYM}/[{period}/]{SYM}-{period or "trades"}-{day}.zip                 until 2026-08-04
    historical_data/{spot|futures}/daily/{dataset}/{SYM}/[{period}/]{SYM}-{stem}[-{period}]-{day}.zip   from 2026-02-01

A day is a UTC+8 day, named by its date (htx-api 9.4 [B]). The old tree joins a spot pair (`BTCUSDT`) and names
coin-margined dated contracts without their quote (`ADA200807`); the new one separates both and marks perpetuals with
`-PERP` (htx-api 1.2, 9.2, 9.3, 9.5 [B]).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from htxdata.market import Series

Market = Literal["spot", "linear", "inverse", "futures"]

OLD_PERIODS: Mapping[str, str] = {
    # htx-api 9.2 [B]: 1week, 1mon and 1year are listed by the README, and there are none.
    "1min": "1min", "5min": "5min", "15min": "15min", "30min": "30min", "60min": "60min", "4hour": "4hour",
    "1day": "1day",
}  # fmt: skip
NEW_PERIODS: Mapping[str, str] = {
    "1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "4hour": "4h", "1day": "1d",
}  # fmt: skip

QUOTES: frozenset[str] = frozenset(
    # htx-api 9.5 [B]: 26 quotes cover the 2,309 pairs of the old tree, which is complete since 2026-08-04. These are
    # those of the survey that 9.5 restates; BTC, USDT, ETH, HUSD, HT and TRX also stand in a recorded list of 2021.
    ("ARS", "BRL", "BTC", "EOS", "ETH", "EUR", "EUROC", "GBP", "HPT", "HT", "HUSD", "IDR", "JPY", "KRW", "RUB", "THB",
     "TRX", "TRY", "TUSD", "UAH", "USD", "USD1", "USDC", "USDD", "USDT", "UST")
)  # fmt: skip

_OLD_MARKETS: Mapping[Market, str] = {
    "spot": "spot",
    "linear": "linear-swap",
    "inverse": "swap",
    "futures": "future",
}
_OLD_FOLDERS: Mapping[str, str] = {
    "klines": "klines",
    "trades": "trades",
    "mark_klines": "mark-price-klines",
    "index_klines": "index-klines",
}
_NEW_FOLDERS: Mapping[str, tuple[str, str]] = {
    # dataset: folder, and what stands in the file's name. They differ (htx-api 9.3 [B]).
    "klines": ("klines", "klines"),
    "trades": ("trades", "trades"),
    "mark_klines": ("mark-klines", "mark-price-klines"),
    "index_klines": ("index-klines", "index-klines"),
    "funding_rates": ("funding-rates", "fundingRates"),
}

_DATED = re.compile(r"-[0-9]{6}$")
_COIN_DATED = re.compile(r"(.+?)([0-9]{6})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def pair_of(symbol: str) -> str:
    """``btcusdt`` as ``BTC-USDT``: split by the longest quote that it ends in; ``usdtrub`` is USDT-RUB, not USD-TRUB.

    A symbol without a known quote (an index such as ``hb10``) comes back joined; no file is called so.
    """
    joined = symbol.upper()
    for length in (5, 4, 3, 2):
        if len(joined) > length and joined[-length:] in QUOTES:
            return f"{joined[:-length]}-{joined[-length:]}"
    return joined


def old_name(market: Market, symbol: str) -> str:
    """SYM of the old tree. Symbols hold characters of any alphabet (htx-api 1.2)."""
    return symbol.upper()


def new_name(market: Market, symbol: str) -> str:
    """SYM of the new tree, also what its rows call ``instId``."""
    name = symbol.upper()
    if market == "spot":
        return pair_of(name)
    if market == "futures":
        dated = _COIN_DATED.fullmatch(name)
        return f"{dated[1]}-USD-{dated[2]}" if dated else name
    return name if _DATED.search(name) else f"{name}-PERP"


@dataclass(frozen=True)
class Tree:
    """The names of one dataset of one market in one tree."""

    market: Market
    dataset: str
    new: bool

    @property
    def periods(self) -> Mapping[str, str] | None:
        """Our periods in the tree's spelling; None where the files have none."""
        if not self.dataset.endswith("klines"):
            return None
        return NEW_PERIODS if self.new else OLD_PERIODS

    def folder(self, series: Series) -> str:
        """The prefix under which the files of a series are listed; ends with a slash."""
        if self.new:
            kind = "spot" if self.market == "spot" else "futures"
            parts = ["historical_data", kind, "daily", _NEW_FOLDERS[self.dataset][0]]
        else:
            parts = ["data", _OLD_FOLDERS[self.dataset], _OLD_MARKETS[self.market], "daily"]
        parts.append(self._name(series))
        if self.periods is not None:
            parts.append(self.periods[series.period or ""])
        return "/".join([*parts, ""])

    def key(self, series: Series, day: str) -> str:
        """The file of the UTC+8 day ``day`` (``2024-01-05``)."""
        return f"{self.folder(series)}{self._stem(series)}{day}.zip"

    def day_of(self, series: Series, key: str) -> str | None:
        """The day that a key under the folder is the file of; None for checksums, remarks and anything else."""
        start, end = f"{self.folder(series)}{self._stem(series)}", ".zip"
        if not (key.startswith(start) and key.endswith(end)):
            return None
        day = key[len(start) : -len(end)]
        try:
            return day if _DAY.fullmatch(day) and dt.date.fromisoformat(day) else None
        except ValueError:
            return None  # 2024-02-30

    def _name(self, series: Series) -> str:
        return (new_name if self.new else old_name)(self.market, series.symbol)

    def _stem(self, series: Series) -> str:
        parts = [self._name(series)]
        if self.new:
            parts.append(_NEW_FOLDERS[self.dataset][1])
        elif self.periods is None:
            parts.append("trades")
        if self.periods is not None:
            parts.append(self.periods[series.period or ""])
        return "-".join([*parts, ""])


def checksum_keys(key: str) -> tuple[str, ...]:
    """Where the checksum of a file may lie, the tree's own spelling first.

    htx-api 9.2: the old tree puts ``.CHECKSUM`` in the place of ``.zip``; 9.3: the new one appends it [B].
    """
    replaced, appended = f"{key.removesuffix('.zip')}.CHECKSUM", f"{key}.CHECKSUM"
    if not key.endswith(".zip"):
        return (appended,)
    return (replaced, appended) if key.startswith("data/") else (appended, replaced)
