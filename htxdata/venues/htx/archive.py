"""HTX's bulk archive, as tables: which files there are of which dataset, in which tree, and who reads them.

htx-api 9 and 9.5 [B]. Up to 2026-01-31 only the old tree has files. From 2026-02-01 on both were written; what both
have agrees, but the old one has holes there, so the new one goes first and the old one fills in until its end on
2026-08-04. A file of trades exists only for days with trades, any other for every day of a listed instrument.

Quantities of contracts count both sides of every trade (htx-api 4.5) and are kept so.
"""

from __future__ import annotations

from collections.abc import Mapping

from htxdata.market import Series
from htxdata.timeline import HOUR
from htxdata.venues.htx import archive_listing, archive_trades, archive_volumes
from htxdata.venues.htx.archive_books import BOOK_ARCHIVES
from htxdata.venues.htx.archive_names import Market, Tree, checksum_keys, new_name, old_name
from htxdata.venues.htx.archive_rows import Layout, Names, Reader, candles, fundings
from htxdata.venues.htx.archive_volumes import Volumes
from htxdata.venues.terms import Archive, Bucket

NEW_FROM, OLD_UNTIL = "2026-02-01", "2026-08-04"

_OLD_FROM: Mapping[Market, str] = {
    # The constants of hbdmapi/huobi_public_data, except for futures, whose first trades were measured a day earlier
    # (htx-api 9.2). Where a dataset starts later (spot trades: 2020-06-01), HTX may still fill backwards (9.5).
    "spot": "2017-10-27",
    "linear": "2020-10-21",
    "inverse": "2020-03-25",
    "futures": "2018-11-09",
}

# ------------------------------------------------------------------------------------------------ columns
# Headers: plain words of the README of hbdmapi/huobi_public_data and of htx-api 9.2, prose since March 2026 (9.5).

_OLD_PRICES = {"id": "time", "timestamp": "time", **{name: name for name in ("open", "close", "high", "low")}}
_OLD_TRADE = {
    "Trade ID": "id", "Trade Time": "time", "Trade Price": "price", "Side (buy/sell)": "side",
    "id": "id", "ts": "time", "price": "price", "direction": "side",
}  # fmt: skip
_OLD_CONTRACT_TRADE = {
    **_OLD_TRADE,
    "Volume (in Contracts)": "contracts", "Volume (in Base Currency)": "base",
    "amount": "contracts", "quantity": "base",
}  # fmt: skip

_OLD_CANDLE = Layout(
    # htx-api 9.2 [B]: open, CLOSE, HIGH, LOW
    ("time", "open", "close", "high", "low", "vol", "amount"),
    {**_OLD_PRICES, "vol": "vol", "amount": "amount"},
)
_OLD_PRICE_CANDLE = Layout(("time", "open", "close", "high", "low"), _OLD_PRICES)
_OLD_TRADES: Mapping[Market, Layout] = {
    "spot": Layout(
        ("id", "time", "price", "base", "side"),
        {**_OLD_TRADE, "Volume (Base Currency)": "base", "amount": "base"},
    ),
    "linear": Layout(
        ("id", "time", "price", "contracts", "base", "turnover", "side"),
        {**_OLD_CONTRACT_TRADE, "Turnover": "turnover", "trade_turnover": "turnover"},
    ),
    "inverse": Layout(("id", "time", "price", "contracts", "base", "side"), _OLD_CONTRACT_TRADE),
}


def _new_candle(own: Names, *volumes: str) -> Layout:
    # htx-api 9.3 [B]: open, HIGH, LOW, CLOSE
    words = {
        "instId": "name",
        **{name: name for name in ("open", "high", "low", "close", *volumes)},
        "ts": "time",
    }
    return Layout(tuple(words.values()), words, own)


def _new_trades(own: Names, size: str) -> Layout:
    words = {"instId": "name", "tradeId": "id", "px": "price", "side": "side", "size": size, "ts": "time"}
    return Layout(tuple(words.values()), words, own)


def _new_funding(own: Names) -> Layout:
    words = {"instId": "name", "fundingRate": "rate", "fundingTime": "time"}
    return Layout(tuple(words.values()), words, own)


# ------------------------------------------------------------------------------------------------ tables


def _entry(market: Market, dataset: str, new: bool, read: Reader, docs: str) -> Archive:
    tree = Tree(market, dataset, new)
    return Archive(
        dataset,
        tree="historical_data" if new else "data",
        key=tree.key,
        folder=tree.folder,
        day_of=tree.day_of,
        read=read,
        first=NEW_FROM if new else _OLD_FROM[market],
        last=None if new else OLD_UNTIL,
        everyday=dataset != "trades",
        periods=tree.periods,
        spare=dataset == "funding_rates",  # REST has the premium too, and all of them (htx-api 4.7)
        sized=new and market == "linear" and dataset == "trades",
        docs=docs,
    )


def _archives(market: Market, kind: Market, old: Volumes, new: Volumes) -> tuple[Archive, ...]:
    """Every dataset of a market. ``kind`` tells how its trades are written: dated futures as coin-margined swaps."""

    def own(series: Series) -> tuple[str, ...]:
        return (new_name(market, series.symbol),)

    def index(series: Series) -> tuple[str, ...]:
        # The files are the contract's, one for each (htx-api 9.5); the rows may name the index instead (1.2).
        return (new_name(market, series.symbol), old_name(market, series.symbol))

    quantities = {
        "spot": (archive_trades.spot_quantities, archive_trades.spot_quantities),
        "linear": (archive_trades.linear_old, archive_trades.linear_new),
        "inverse": (archive_trades.inverse_old, archive_trades.inverse_new),
    }[kind]
    trades = (
        archive_trades.trades(_OLD_TRADES[kind], quantities[0]),
        archive_trades.trades(_new_trades(own, "base" if kind == "spot" else "size"), quantities[1]),
    )
    volumes = ("vol", "volCcy", "volCcyQuote")
    out = [
        _entry(market, "klines", True, candles(_new_candle(own, *volumes), new), "htx-api 9.3, 9.5 [B]"),
        _entry(market, "klines", False, candles(_OLD_CANDLE, old), "htx-api 9.2 [B]"),
        _entry(market, "trades", True, trades[1], "htx-api 9.3 [B]; unit of contracts' size [C]"),
        _entry(market, "trades", False, trades[0], "htx-api 9.2 [B]"),
    ]
    if market != "spot":
        mark, price = candles(_new_candle(own)), candles(_OLD_PRICE_CANDLE)
        out.append(_entry(market, "mark_klines", True, mark, "htx-api 9.3 [B]"))
        out.append(_entry(market, "mark_klines", False, price, "htx-api 9.2 [B]"))
    if market in ("linear", "inverse"):  # of perpetuals only (survey behind 9.5)
        price_of_index = candles(_new_candle(index))
        out.append(_entry(market, "index_klines", True, price_of_index, "htx-api 9.3 [B]"))
        out.append(_entry(market, "index_klines", False, price, "htx-api 9.2 [B]"))
    if market == "linear":
        funding = fundings(_new_funding(own))
        out.append(
            _entry(market, "funding_rates", True, funding, "htx-api 9.3 [B]: linear only, since 2026-02-01")
        )
    return (*out, *BOOK_ARCHIVES[market])


SPOT_ARCHIVES = _archives("spot", "spot", archive_volumes.SPOT_OLD, archive_volumes.SPOT_NEW)
LINEAR_ARCHIVES = _archives("linear", "linear", archive_volumes.LINEAR_OLD, archive_volumes.LINEAR_NEW)
INVERSE_ARCHIVES = _archives("inverse", "inverse", archive_volumes.INVERSE_OLD, archive_volumes.INVERSE_NEW)
FUTURES_ARCHIVES = _archives("futures", "inverse", archive_volumes.INVERSE_OLD, archive_volumes.INVERSE_NEW)

BUCKET = Bucket(
    list_request=archive_listing.list_request,
    listed=archive_listing.listed,
    checksum_keys=checksum_keys,
    sha256_of=archive_listing.sha256_of,
    published=(12 * HOUR, 36 * HOUR),  # htx-api 9.4
)
