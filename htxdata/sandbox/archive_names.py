"""What the bucket's folders and files are called: both trees, their series, the names of days (htx-api 9.2, 9.3, 9.5).

A day is a number: days since 1970 of the UTC+8 calendar, so day 0 is 1969-12-31T16:00 to 1970-01-01T16:00 UTC. Names
only: whether a file is there is `archive_days`' to say, what is in it `archive_rows`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from .books import LEVELS
from .instruments import FUTURES, INSTRUMENTS, INVERSE, LINEAR, SPOT, Instrument
from .periods import DAY, HOUR

LEGACY, CURRENT = "data", "historical_data"
KLINES, TRADES, MARK, INDEX, FUNDING = "klines", "trades", "mark_klines", "index_klines", "funding_rates"
BOOKS = "book_changes"

_LEGACY_MARKETS = {SPOT: "spot", LINEAR: "linear-swap", INVERSE: "swap", FUTURES: "future"}
_LEGACY_FOLDERS = {KLINES: "klines", TRADES: "trades", INDEX: "index-klines", MARK: "mark-price-klines"}
_CURRENT_FOLDERS = {
    KLINES: "klines",
    TRADES: "trades",
    INDEX: "index-klines",
    MARK: "mark-klines",
    FUNDING: "funding-rates",
}
_CURRENT_STEMS = {
    KLINES: "klines",
    TRADES: "trades",
    INDEX: "index-klines",
    MARK: "mark-price-klines",  # the file's word is not the folder's (9.3)
    FUNDING: "fundingRates",
}
_PERIODS = {
    "1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "4hour": "4h", "1day": "1d"
}  # fmt: skip
"""Our spelling, which is the old tree's, to the new tree's."""


def day_of(text: str) -> int:
    """The number of a day written YYYY-MM-DD; ValueError for anything else."""
    if len(text) != 10:
        raise ValueError(f"{text!r} is no day")
    return date.fromisoformat(text).toordinal() - _EPOCH


def day_text(day: int) -> str:
    """A day as files spell it."""
    return date.fromordinal(day + _EPOCH).isoformat()


def day_start(day: int) -> int:
    """When a day opens: 16:00 UTC of the day before, in us UTC."""
    return day * DAY - 8 * HOUR


_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one dataset of one instrument in one tree, one for each day. There is one object for each."""

    tree: str
    dataset: str
    one: Instrument
    name: str  # the instrument as this tree spells it
    period: str | None
    folder: str  # ends with a slash
    stem: str  # of a file's name, up to the day

    @property
    def ending(self) -> str:
        """What a file's name ends with, without the dot."""
        return "tar.gz" if self.dataset == BOOKS else "zip"

    def key(self, day: int) -> str:
        """The key of a day's zip, or whatever it is packed in."""
        return f"{self.folder}{self.stem}{day_text(day)}.{self.ending}"

    def with_period(self, period: str) -> Series:
        """The series of another period of the same candles."""
        parent = self.folder[:-1].rpartition("/")[0]
        return SERIES[f"{parent}/{period if self.tree == LEGACY else _PERIODS[period]}/"]

    def pair(self, text: str) -> tuple[str, str]:
        """The keys of the checksum and of the zip of a day that is spelled already; in the bucket's order."""
        base = f"{self.folder}{self.stem}{text}"
        if self.tree == LEGACY:
            return f"{base}.CHECKSUM", f"{base}.zip"
        return f"{base}.{self.ending}", f"{base}.{self.ending}.CHECKSUM"


@dataclass(frozen=True)
class File:
    """A key that is well formed: the day of a series, or its checksum. `zip_key` names the zip either way."""

    series: Series
    day: int
    checksum: bool
    zip_key: str

    @property
    def name(self) -> str:
        """The zip's name without its folders."""
        return self.zip_key.rpartition("/")[2]

    @property
    def csv_name(self) -> str:
        """The name of the one file in the zip."""
        return f"{self.name[:-4]}.csv"


def _legacy_name(one: Instrument) -> str:
    return (one.base + one.quote).upper() if one.venue == SPOT else one.symbol


def _current_name(one: Instrument) -> str:
    if one.venue == SPOT:
        return f"{one.base}-{one.quote}".upper()
    if one.venue == FUTURES:  # the old tree has no quote in it, the new one has (9.5)
        return f"{one.base}-{one.quote}-{one.symbol.removeprefix(one.base)}"
    return one.symbol if one.delivery_at is not None else f"{one.symbol}-PERP"


def _datasets(one: Instrument, tree: str) -> tuple[str, ...]:
    prices = () if one.venue == SPOT else (MARK,) if one.venue == FUTURES else (INDEX, MARK)  # (survey behind 9.5)
    if tree == LEGACY:
        return (KLINES, TRADES, *prices)
    fundings = (FUNDING,) if one.venue == LINEAR and one.delivery_at is None else ()
    return (KLINES, TRADES, *prices, *fundings, BOOKS)


def _legacy(one: Instrument) -> Iterator[Series]:
    name, market = _legacy_name(one), _LEGACY_MARKETS[one.venue]
    for dataset in _datasets(one, LEGACY):
        folder = f"{LEGACY}/{_LEGACY_FOLDERS[dataset]}/{market}/daily/{name}/"
        if dataset == TRADES:
            yield Series(LEGACY, dataset, one, name, None, folder, f"{name}-trades-")
            continue
        for period in _PERIODS:
            yield Series(LEGACY, dataset, one, name, period, f"{folder}{period}/", f"{name}-{period}-")


def _current(one: Instrument) -> Iterator[Series]:
    name, market = _current_name(one), "spot" if one.venue == SPOT else "futures"
    for dataset in _datasets(one, CURRENT):
        if dataset == BOOKS:
            depth = LEVELS[one.venue]
            folder = f"{CURRENT}/{market}/daily/orderbook/lv{depth}/{name}/"
            yield Series(CURRENT, dataset, one, name, None, folder, f"{name}-l2orderbook-{depth}lv-")
            continue
        folder = f"{CURRENT}/{market}/daily/{_CURRENT_FOLDERS[dataset]}/{name}/"
        stem = f"{name}-{_CURRENT_STEMS[dataset]}-"
        if dataset in (TRADES, FUNDING):
            yield Series(CURRENT, dataset, one, name, None, folder, stem)
            continue
        for period, spelled in _PERIODS.items():
            yield Series(CURRENT, dataset, one, name, period, f"{folder}{spelled}/", f"{stem}{spelled}-")


def all_series() -> list[Series]:
    """Every series of both trees, by folder in the bucket's order (that of UTF-8 bytes, which is that of Python)."""
    everything = (one for venue in _LEGACY_MARKETS for one in INSTRUMENTS[venue].values())
    made = [series for one in everything for series in (*_legacy(one), *_current(one))]
    return sorted(made, key=lambda series: series.folder)


SERIES: dict[str, Series] = {series.folder: series for series in all_series()}
"""folder -> Series"""


def file_of(key: str) -> File | None:
    """What a key means, if it is the name of a file or a checksum; whether that is there is another question."""
    folder, slash, name = key.rpartition("/")
    series = SERIES.get(folder + slash)
    if series is None or not name.startswith(series.stem):
        return None
    text, dot, ending = name[len(series.stem) :].partition(".")
    if ending not in (series.ending, "CHECKSUM" if series.tree == LEGACY else f"{series.ending}.CHECKSUM") or not dot:
        return None
    try:
        day = day_of(text)
    except ValueError:
        return None
    return File(series, day, ending != series.ending, series.key(day))
