"""Every column of every dataset, once.

The same quantity in the same unit has the same name everywhere; a different quantity has a different name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ts", "f", "i", "s"]
"""``ts`` instant (UTC, microseconds), ``f`` 64-bit float, ``i`` 64-bit integer, ``s`` text."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``trap`` is what people get wrong about it."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    trap: str = ""


_ALL = (
    Column("venue", "s", "the market's operator and kind, as in `htx-spot`"),
    Column("symbol", "s", "the instrument, in the venue's own spelling"),
    Column("period", "s", "length of a candle: 1min 5min 15min 30min 60min 4hour 1day 1week 1mon"),
    Column("source", "s", "where the row came from: `archive`, `rest` or `ws`"),
    Column(
        "received_at",
        "ts",
        "when we first heard this version of the row",
        "UTC",
        "our clock, never the venue's; reading the same value again does not change it",
    ),
    Column(
        "open_time",
        "ts",
        "when the candle opens, as the venue labels it",
        "UTC",
        "HTX opens 1day, 1week and 1mon candles at 16:00 UTC (UTC+8 midnight); they are never shifted",
    ),
    Column("open", "f", "first price", "quote currency"),
    Column("high", "f", "highest price", "quote currency"),
    Column("low", "f", "lowest price", "quote currency"),
    Column("close", "f", "last price", "quote currency"),
    Column(
        "volume",
        "f",
        "traded amount",
        "base currency",
        "HTX contracts count both sides of every trade: stored as the venue says, not halved",
    ),
    Column(
        "quote_volume",
        "f",
        "turnover",
        "quote currency",
        "HTX spot calls this `vol`; HTX contracts count both sides, and coin-margined ones do not say it: NULL",
    ),
    Column(
        "contracts",
        "f",
        "number of contracts",
        "contracts",
        "NULL on spot; HTX counts both sides of trades and candles",
    ),
    Column("trade_count", "i", "number of trades", "", "HTX contracts count both sides"),
    Column("taker_buy_volume", "f", "part of `volume` whose taker bought", "base currency", "NULL on HTX"),
    Column(
        "taker_buy_quote_volume",
        "f",
        "part of `quote_volume` whose taker bought",
        "quote currency",
        "NULL on HTX",
    ),
    Column("superseded_at", "ts", "when we heard the version that replaced this one", "UTC"),
    Column("trade_time", "ts", "when the trade was matched", "UTC"),
    Column(
        "trade_id",
        "s",
        "the venue's number of the trade",
        "",
        "HTX spot: the `trade-id`, not the 27-digit `id`; where an archive file repeats a number, the trade is named "
        "by its time, price, quantity, side and occurrence. HashKey: always so named (its REST has no numbers), by the "
        "size as the venue says it, which on perpetuals is contracts; only own fills of pairs have the ticket's number",
    ),
    Column("price", "f", "price of the trade, level, order or contract; value of the index", "quote currency"),
    Column(
        "quantity",
        "f",
        "amount of the trade or order",
        "base currency",
        "HTX contracts count both sides of every trade: stored as the venue says, not halved",
    ),
    Column(
        "quote_quantity",
        "f",
        "turnover of the trade; of a market order to buy, what was to be paid",
        "quote currency",
        "NULL where the venue does not say it (coin-margined contracts never do); HTX contracts count both sides",
    ),
    Column(
        "side",
        "s",
        "`buy` or `sell`: what the taker did; of a liquidation, the order that closed it; of own fills, what we did; "
        "of a book's level `bid` or `ask`",
    ),
    Column("book_time", "ts", "when the book was so, as the venue says", "UTC"),
    Column(
        "size",
        "f",
        "what stands at the price after the change: the whole of it, not a difference",
        "base currency",
        "0: the level is gone; contracts are stored as base currency (by their size; coin-margined: and price)",
    ),
    Column(
        "sequence",
        "i",
        "the number of the message: all rows of one message have the same, and are to be applied together",
        "",
        "the files of HTX's archive number nothing: there it is the number of the line in its file, from 0 on, which "
        "begins anew with every file",
    ),
    Column(
        "previous_sequence",
        "i",
        "the `sequence` of the message that this one follows; where that was not applied, something was lost",
        "",
        "NULL where the venue does not say it, as in the archive, and on snapshots",
    ),
    Column("time", "ts", "when it was so, as the venue says", "UTC"),
    Column("value", "f", "worth of what is open", "quote currency"),
    Column("liquidated_at", "ts", "when the order was placed", "UTC"),
    Column(
        "liquidation_id",
        "s",
        "the venue's number of the order",
        "",
        "v5 and v3 of HTX number differently; the prefix `v3-` marks the older ones",
    ),
    Column(
        "funding_time",
        "ts",
        "when the funding was settled, or will be",
        "UTC",
        "the interval differs per contract and changes over time, and settlements run late: "
        "never assume a grid of 8 hours",
    ),
    Column(
        "funding_rate", "f", "the rate that was settled, or would be; longs pay shorts where positive", "fraction of 1"
    ),
    Column(
        "realized_rate",
        "f",
        "the rate that was really paid",
        "fraction of 1",
        "HTX stopped filling it; v5 does not have it",
    ),
    Column("avg_premium_index", "f", "average premium of the interval", "fraction of 1", "v1 replies only"),
    Column(
        "observed_at",
        "ts",
        "when the venue said so, by its own clock",
        "UTC",
        "the rate of a funding moves until it is settled: many rows have one `funding_time`. HashKey says it in the "
        "head of its answer alone, in whole seconds",
    ),
    Column(
        "price_time",
        "ts",
        "when this was the price, as the venue says",
        "UTC",
        "whole seconds on HashKey; the same second looked at again makes no second row",
    ),
    Column(
        "average_price",
        "f",
        "average of the index over the last ten minutes, as the venue says",
        "quote currency",
        "HashKey calls it `edp`; NULL where the answer has none of this index",
    ),
    Column("index_time", "ts", "when the index had this value, as the venue says", "UTC"),
    Column("index_price", "f", "value of the index", "quote currency"),
    Column(
        "exchange",
        "s",
        "the exchange that the index looks at, in lower case",
        "",
        "one name for each exchange, however the venue spells it: `okx` for OKEx, `htx` for Huobi",
    ),
    Column("constituent", "s", "the pair that the index looks at there, as the venue spells it"),
    Column(
        "weight",
        "f",
        "the constituent's part in the index",
        "fraction of 1",
        "HTX says percent; that all add up to 1 is the venue's business and not forced",
    ),
    Column("quote_time", "ts", "when these were the best prices, as the venue says", "UTC"),
    Column("bid", "f", "the best price that somebody would pay", "quote currency"),
    Column("bid_size", "f", "what stands there", "base currency"),
    Column("ask", "f", "the best price that somebody would sell for", "quote currency"),
    Column("ask_size", "f", "what stands there", "base currency"),
    Column("feed", "s", "the feed that was captured, as `--feed` names it"),
    Column("gap_start", "ts", "up to when it was surely heard, by the venue's clock", "UTC"),
    Column("gap_end", "ts", "from when on it was surely heard again, by the venue's clock", "UTC"),
    Column(
        "cause",
        "s",
        "why it was not heard: `lost` (the connection), `stale` (silence), `refused`, `killed` (the capture's end was "
        "not its own doing), `break` (a number was missing), `disk`",
    ),
    Column(
        "healed_at",
        "ts",
        "when what was lost had come by another way",
        "UTC",
        "NULL: it is still lost. Books and quotes have no other way",
    ),
    Column(
        "as_of",
        "ts",
        "when this description was first seen",
        "UTC",
        "a row holds until the next row of its symbol: a description that did not change makes no new row",
    ),
    Column("base", "s", "the currency that is bought and sold, upper case"),
    Column("quote", "s", "the currency that prices are in, upper case"),
    Column("settle", "s", "the currency that margin and profit are in, upper case"),
    Column(
        "kind",
        "s",
        "of an instrument `spot`, `swap` or `future`; of a change of a book `snapshot` or `delta`",
        "",
        "a snapshot replaces the book: of what it does not name, nothing is left",
    ),
    Column(
        "status",
        "s",
        "`trading`, `pending`, `suspended`, `settling`, `delisted` or `unknown`",
        "",
        "a symbol that leaves the venue's list gets a row that says `delisted`",
    ),
    Column(
        "contract_size",
        "f",
        "size of one contract",
        "base currency on linear contracts; US dollars on coin-margined ones",
        "may differ between two lives of a relisted contract",
    ),
    Column("tick_size", "f", "smallest step of the price", "quote currency"),
    Column("lot_size", "f", "smallest step of the quantity", "base currency; contracts on derivatives"),
    Column("listed_at", "ts", "when trading began", "UTC", "HTX gives only the day for contracts"),
    Column("delisted_at", "ts", "when we first saw it gone", "UTC", "HTX publishes no delisting time"),
    Column("delivery_at", "ts", "when a dated contract is delivered", "UTC"),
    Column("created_at", "ts", "when the order was placed", "UTC"),
    Column("finished_at", "ts", "when the order was filled or cancelled", "UTC"),
    Column("order_status", "s", "how the order ended: `filled`, `partial-canceled` or `canceled`"),
    Column("filled_quantity", "f", "what of the order was filled", "base currency"),
    Column("filled_quote_quantity", "f", "turnover of what was filled", "quote currency"),
    Column("order_id", "s", "the venue's number of the order"),
    Column("client_order_id", "s", "the number that whoever placed the order gave it"),
    Column("order_type", "s", "side and kind of the order as the venue spells them, as in `buy-limit-maker`"),
    Column(
        "fee",
        "f",
        "what the fill cost; negative where the venue paid for it",
        "fee_currency",
        "what was paid in points or in the venue's token is the amount of those; NULL where only a socket that does "
        "not say it told of the fill so far (contracts of HTX, HashKey): REST fills it in",
    ),
    Column("fee_currency", "s", "what the fee was paid in, as the venue spells it"),
    Column("role", "s", "`maker` or `taker`: whether the order stood in the book or took from it"),
    Column("account_id", "s", "the venue's number of the account"),
    Column("account_type", "s", "the venue's word for the kind of account: `trade` or `spot` is the spot account"),
    Column("currency", "s", "the currency, as the venue spells it"),
    Column("balance", "f", "what the account holds of it, available or not", "currency"),
    Column("available", "f", "what of it can be used", "currency"),
    Column("frozen", "f", "what of it orders hold", "currency"),
    Column(
        "amount",
        "f",
        "by how much the balance changed, with its sign",
        "currency",
        "only the venue's ledger says it: NULL in what a socket told",
    ),
    Column("record_id", "s", "the number of the record in the venue's ledger; NULL in what a socket told"),
    Column(
        "change_time",
        "ts",
        "when the balance changed, as the venue says",
        "UTC",
        "NULL in the snapshot that a connection begins with",
    ),
    Column("change_type", "s", "why it changed, as in `order.match`; NULL in a snapshot"),
    Column(
        "updated_at",
        "ts",
        "when the row was so: `change_time`, and where the venue says none, `received_at`",
        "UTC",
        "of snapshots this is our clock, for they have no other",
    ),
    Column("row_time", "ts", "time of the row that two readings differ on", "UTC"),
    Column("row_key", "s", "key of that row as text: of a trade its number, of a candle its period and opening"),
    Column("column_name", "s", "the column that they differ in; `(row)` where one side has no such row"),
    Column("kept", "f", "the number that is stored"),
    Column("dropped", "f", "the number that is not"),
    Column("kept_text", "s", "what is stored where the column is no number"),
    Column("dropped_text", "s", "what is not, where the column is no number"),
    Column("kept_source", "s", "who said what is stored"),
    Column(
        "dropped_source",
        "s",
        "who said what is not",
        "",
        "the same as `kept_source` where a source changed its mind",
    ),
    Column(
        "found_at",
        "ts",
        "when we heard what is stored, and so that they differ",
        "UTC",
        "the same difference found again is not told again",
    ),
    Column("dataset", "s", "the dataset that the span or row belongs to"),
    Column("span_start", "ts", "first instant of the span", "UTC"),
    Column("span_end", "ts", "first instant after the span", "UTC"),
    Column(
        "verdict",
        "s",
        "`present`, `empty`, `outage`, `unobtainable` or `missing`",
        "",
        "`empty`: asked, and the venue has nothing; `missing`: not fetched yet",
    ),
    Column("rows", "i", "rows stored in the span"),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
