"""Objects and a catalogue for ``nautilus_trader`` (backtesters.md, its section; nautilus_trader 1.221 read).

Its Parquet layout depends on how it was built (8 or 16 bytes a price), so its own ``ParquetDataCatalog`` writes it: the
engine must be installed beside htxdata (``pip install 'htxdata[nautilus]'``; it wants pandas 2, which htxdata takes).

* Bars: ``BTC-USDT.HTX-1-MINUTE-LAST-EXTERNAL``, ``ts_event`` and ``ts_init`` both the CLOSE: the moment from which a
  bar is known. Slots without a candle have no bar.
* The instrument: CryptoPerpetual for swaps, CurrencyPair for spot. Quantities are base units, so the multiplier is 1
  and the size increment is lot times contract size. Prices and sizes must fit its precision: it is that of the tick
  and the lot, or more where the stored numbers have more digits.
* Fundings: FundingRateUpdate at the settlement. When the next would be was not asked, and is None. The catalogue of
  1.221 has no place for them ("Cannot serialize object FundingRateUpdate"): ``funding_rates/<instrument>.parquet``
  beside it has ``rate`` as text and ``ts`` in nanoseconds.
* Trades, where wanted: TradeTick, aggressor the taker.

Volumes are rounded nowhere, but a fixed-point number has 16 decimals at the most (9 in builds of standard precision).
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.research.feeds import events
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Instrument, Source, hull
from htxdata.research.feeds.spelling import decimals, length, plain, texts

_UNITS = {"min": "MINUTE", "hour": "HOUR", "day": "DAY", "week": "WEEK", "month": "MONTH"}


def _engine(module: str) -> Any:
    try:
        return importlib.import_module(f"nautilus_trader.{module}")
    except ImportError as error:
        raise UsageError(
            "nautilus_trader is not installed, and only it can write its catalogue: pip install 'htxdata[nautilus]' "
            f"into an environment of its own (it wants pandas 2) ({error})"
        ) from None


def instrument_id(venue: str, symbol: str) -> str:
    """``BTC-USDT.HTX``."""
    return f"{symbol}.{venue.partition('-')[0].upper()}"


def bar_type(venue: str, symbol: str, period: str) -> str:
    """``BTC-USDT.HTX-1-MINUTE-LAST-EXTERNAL``."""
    count, unit = length(period)
    return f"{instrument_id(venue, symbol)}-{count}-{_UNITS[unit]}-LAST-EXTERNAL"


def instrument(venue: str, described: Instrument, price_digits: int, size_digits: int) -> Any:
    """The engine's instrument, at least as precise as these digits."""
    ids, objects, kinds = _engine("model.identifiers"), _engine("model.objects"), _engine("model.instruments")
    if described.kind not in ("spot", "swap") or (described.settle or described.quote) != described.quote:
        raise UsageError(
            f"--symbol {described.symbol!r}: spot and linear swaps are exported to nautilus_trader, no other contracts"
        )
    currency = objects.Currency.from_str
    price_digits = max(price_digits, _places(described.tick))
    size_digits = max(size_digits, _places(described.lot))
    step = f"{Decimal(plain(described.tick)):.{price_digits}f}"
    lot = f"{Decimal(plain(described.lot)):.{size_digits}f}"
    about: dict[str, Any] = {
        "instrument_id": ids.InstrumentId.from_str(instrument_id(venue, described.symbol)),
        "raw_symbol": ids.Symbol(described.symbol),
        "base_currency": currency(described.base),
        "quote_currency": currency(described.quote),
        "price_precision": price_digits,
        "size_precision": size_digits,
        "price_increment": objects.Price.from_str(step),
        "size_increment": objects.Quantity.from_str(lot),
        "ts_event": described.as_of * 1000,
        "ts_init": described.as_of * 1000,
    }
    if described.kind == "spot":
        return kinds.CurrencyPair(**about)
    settle = currency(described.settle or described.quote)
    return kinds.CryptoPerpetual(settlement_currency=settle, is_inverse=False, **about)


def _places(step: float) -> int:
    return decimals(np.array([step]))


def bars(venue: str, candles: Candles, engine_instrument: Any) -> list[Any]:
    """``Bar`` objects, stamped with their close."""
    if not len(candles):
        return []
    kind = _engine("model.data").BarType.from_str(bar_type(venue, candles.symbol, candles.period))
    wrangler = _engine("persistence.wranglers").BarDataWrangler(kind, engine_instrument)
    values = {name: getattr(candles, name) for name in ("open", "high", "low", "close")}
    index = pd.DatetimeIndex(
        candles.close_time.view("datetime64[us]").astype("datetime64[ns]"), name="timestamp"
    )
    frame = pd.DataFrame({**values, "volume": np.nan_to_num(candles.volume)}, index=index.tz_localize("UTC"))
    return list(wrangler.process(frame))


def funding_updates(venue: str, symbol: str, fundings: Fundings) -> list[Any]:
    name = _engine("model.identifiers").InstrumentId.from_str(instrument_id(venue, symbol))
    update = _engine("model.data").FundingRateUpdate
    rows = zip(fundings.time.tolist(), fundings.rate.tolist(), strict=True)
    return [update(name, Decimal(plain(rate)), at * 1000, at * 1000) for at, rate in rows]


def funding_table(fundings: Fundings) -> pa.Table:
    return pa.table({"rate": texts(fundings.rate), "ts": pa.array(fundings.time * 1000, pa.int64())})


def ticks(trades: events.Trades, engine_instrument: Any) -> list[Any]:
    index = pd.DatetimeIndex(trades.time.view("datetime64[us]").astype("datetime64[ns]"), name="timestamp")
    frame = pd.DataFrame(
        {"price": trades.price, "quantity": trades.quantity, "side": np.where(trades.buys, "BUY", "SELL"),
         "trade_id": trades.trade_id.to_pylist()},
        index=index.tz_localize("UTC"),
    )  # fmt: skip
    return list(_engine("persistence.wranglers").TradeTickDataWrangler(engine_instrument).process(frame))


def read(source: Source, symbol: str, period: str) -> tuple[Any, list[Any], list[Any]]:
    """The instrument, its bars, its funding updates: ``engine.add_instrument``, ``engine.add_data``."""
    candles = source.candles(symbol, period)
    made = instrument(source.venue, source.instrument(symbol), *_digits([candles]))
    fundings = source.fundings(symbol, candles.window)
    updates = funding_updates(source.venue, symbol, fundings) if fundings is not None else []
    return made, bars(source.venue, candles, made), updates


def _digits(found: Sequence[Candles]) -> tuple[int, int]:
    prices = [decimals(getattr(each, name)) for each in found for name in ("open", "high", "low", "close")]
    return max(prices, default=0), max((decimals(each.volume) for each in found), default=0)


def export(
    source: Source, symbol: str, wanted: Sequence[str], folder: Folder, *, trades: bool = False
) -> None:
    """A ``ParquetDataCatalog`` below the folder; written aside, then each file put in its place."""
    found = [source.candles(symbol, period) for period in wanted]
    price_digits, size_digits = _digits(found)
    if trades:  # an instrument has one precision: the trades are read twice
        for _, day in events.trades(source, symbol):
            price_digits = max(price_digits, decimals(day.price))
            size_digits = max(size_digits, decimals(day.quantity))
    made = instrument(source.venue, source.instrument(symbol), price_digits, size_digits)
    catalogs = _engine("persistence.catalog.parquet")
    aside = folder.root / f".{os.getpid()}.tmp"
    try:
        catalog = catalogs.ParquetDataCatalog(str(aside))
        catalog.write_data([made])
        for candles in found:
            data = bars(source.venue, candles, made)
            if data:
                catalog.write_data(data)
        fundings = source.fundings(symbol, hull(found))
        if fundings is not None:
            name = f"funding_rates/{instrument_id(source.venue, symbol)}.parquet"
            folder.table(name, funding_table(fundings))
        if trades:
            for _, day in events.trades(source, symbol):
                catalog.write_data(ticks(day, made))
        _move(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move(aside: Path, folder: Folder) -> None:
    fresh = sorted(path.relative_to(aside) for path in aside.rglob("*") if path.is_file())
    for room in sorted({name.parent for name in fresh}):
        there = {path.name for path in (folder.root / room).glob("*.parquet")}
        others = there - {name.name for name in fresh if name.parent == room}
        if others:
            raise UsageError(
                f"--output {str(folder.root)!r}: {room} holds another span ({sorted(others)[0]}); files may not "
                "overlap: take them away, or choose an empty folder"
            )
    for name in fresh:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside / name, folder.root / name)
        folder.files.append(str(name))
