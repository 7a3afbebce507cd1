"""Data folder for ``LEAN`` (backtesters.md, its section; ``Common/Util/LeanData.cs`` and ``MarginInterestRate.cs``
read).

Copied over LEAN's ``Data`` folder it gives a market ``htx`` (``hashkey``), spot under ``crypto``, swaps under
``cryptofuture``; symbols are base and quote in one word, lower case::

    crypto/htx/minute/btcusdt/20240105_trade.zip        20240105_btcusdt_minute_trade.csv
    crypto/htx/hour/btcusdt_trade.zip                   btcusdt.csv; the same under daily
    cryptofuture/htx/minute/btcusdt/20240105_trade.zip  20240105_btcusdt_minute_trade_perp.csv
    cryptofuture/htx/hour/btcusdt_trade.zip             btcusdt_trade_perp.csv; the same under daily
    …/tick/btcusdt/20240105_trade.zip                   20240105_btcusdt_tick_trade[_perp].csv, with trades
    cryptofuture/htx/margin_interest/btcusdt.csv        yyyyMMdd HH:mm:ss,rate

Minutes: milliseconds since midnight UTC of the bar's OPEN, open, high, low, close, volume (base units). Hour and daily:
``yyyyMMdd HH:mm``. Prices are decimals, not multiplied by 10,000 as those of equities are. No header, no exponents.
``symbol-properties/`` and ``market-hours/`` hold what is to be added to LEAN's databases.

Traps: a market that LEAN does not know must be added (``Market.Add``). A minute file replaces the whole day: export
whole days. Days are those of UTC: ``utc_day``. Dated contracts are not exported: their entries carry an expiry that
LEAN computes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.research.feeds import events
from htxdata.research.feeds.files import Folder, csv
from htxdata.research.feeds.source import Candles, Fundings, Instrument, Source, hull
from htxdata.research.feeds.spelling import Length, length, plain, stamps, texts, utc_days
from htxdata.timeline import DAY, label_of

_RESOLUTIONS = {Length(1, "min"): "minute", Length(1, "hour"): "hour", Length(1, "day"): "daily"}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_PROPERTIES = (
    "market,symbol,type,description,quote_currency,"  # symbol-properties-database.csv
    "contract_multiplier,minimum_price_variation,lot_size,market_ticker"
)


def resolution(period: str) -> str:
    """``minute``, ``hour`` or ``daily``."""
    found = _RESOLUTIONS.get(length(period))
    if found is None:
        raise UsageError(
            f"--period {period!r}: LEAN has files of 1min, 60min and utc_day, and makes the others itself"
        )
    return found


class Place:
    """Where the files of one instrument lie."""

    def __init__(self, venue: str, instrument: Instrument) -> None:
        if instrument.kind not in ("spot", "swap"):
            raise UsageError(f"--symbol {instrument.symbol!r}: dated contracts are not exported to LEAN")
        self.market = venue.partition("-")[0]
        self.type = "crypto" if instrument.kind == "spot" else "cryptofuture"
        self.name = f"{instrument.base}{instrument.quote}".lower()
        self.ending = "" if instrument.kind == "spot" else "_perp"
        self.top = f"{self.type}/{self.market}"

    def day(self, resolution: str, day: str) -> tuple[str, str]:
        """The zip of a day of ticks or minutes, and the file in it."""
        entry = f"{day}_{self.name}_{resolution}_trade{self.ending}.csv"
        return f"{self.top}/{resolution}/{self.name}/{day}_trade.zip", entry

    def whole(self, resolution: str) -> tuple[str, str]:
        """The zip of all hours or days, and the file in it."""
        entry = f"{self.name}_trade{self.ending}.csv" if self.ending else f"{self.name}.csv"
        return f"{self.top}/{resolution}/{self.name}_trade.zip", entry


def lines(candles: Candles, resolution: str) -> pa.Table:
    """Rows as LEAN reads them; of minutes, the milliseconds count from each row's own midnight."""
    if resolution == "minute":
        label = pa.array(candles.open_time % DAY // 1000).cast(pa.string())
    else:
        label = stamps(candles.open_time, "%Y%m%d %H:%M")
    columns = [
        texts(each) for each in (candles.open, candles.high, candles.low, candles.close, candles.volume)
    ]
    return pa.table([label, *columns], ["time", "open", "high", "low", "close", "volume"])


def interest(fundings: Fundings) -> bytes:
    times = stamps(fundings.time, "%Y%m%d %H:%M:%S")
    return csv(pa.table([times, texts(fundings.rate)], ["time", "rate"]), header=False)


def files(candles: Candles, place: Place, period: str) -> Iterator[tuple[str, str, bytes]]:
    """Path, entry and content of every zip of these candles."""
    name = resolution(period)
    rows = lines(candles, name)
    if name != "minute":
        if len(candles):
            yield (*place.whole(name), csv(rows, header=False))
        return
    days = candles.open_time // DAY
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for first, after in itertools.pairwise(edges) if len(days) else ():
        day = label_of("day", int(days[first]) * DAY).replace("-", "")
        yield (*place.day(name, day), csv(rows.slice(first, after - first), header=False))


def properties(place: Place, instrument: Instrument) -> str:
    """A row of ``symbol-properties-database.csv``; quantities are base units, so the multiplier is 1."""
    name = place.name.upper()
    steps = f"1,{plain(instrument.tick)},{plain(instrument.lot)}"
    return f"{place.market},{name},{place.type},,{instrument.quote},{steps},{instrument.symbol}"


def hours(place: Place) -> str:
    """An entry of ``market-hours-database.json``: never closed, UTC."""
    always = [{"start": "00:00:00", "end": "1.00:00:00", "state": "market"}]
    name = "Crypto" if place.type == "crypto" else "CryptoFuture"
    entry = {"dataTimeZone": "UTC", "exchangeTimeZone": "UTC", **dict.fromkeys(_DAYS, always), "holidays": []}
    return json.dumps({"entries": {f"{name}-{place.market}-[*]": entry}}, indent=1) + "\n"


def export(
    source: Source, symbol: str, wanted: Sequence[str], folder: Folder, *, trades: bool = False
) -> None:
    instrument = source.instrument(symbol)
    place = Place(source.venue, instrument)
    for period in wanted:
        resolution(period)
        utc_days("LEAN", period, source.day_opens)
    found = [source.candles(symbol, period) for period in wanted]
    for candles in found:
        for path, entry, content in files(candles, place, candles.period):
            folder.zip(path, entry, content)
    fundings = source.fundings(symbol, hull(found))
    if fundings is not None:
        folder.write(f"{place.top}/margin_interest/{place.name}.csv", interest(fundings))
    if trades:
        for day, ticks in events.trades(source, symbol):
            path, entry = place.day("tick", label_of("day", day.start).replace("-", ""))
            label = pa.array(ticks.time % DAY // 1000).cast(pa.string())
            rows = pa.table([label, texts(ticks.price), texts(ticks.quantity)], ["time", "price", "quantity"])
            folder.zip(path, entry, csv(rows, header=False))
    folder.write(
        f"symbol-properties/{place.type}-{place.market}-{place.name}.csv",
        f"{_PROPERTIES}\n{properties(place, instrument)}\n",
    )
    folder.write(f"market-hours/{place.type}-{place.market}.json", hours(place))
