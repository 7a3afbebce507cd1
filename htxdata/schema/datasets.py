"""Every dataset: its columns, its key, its time column, the grain of its partitions. A tuple you can read."""

from __future__ import annotations

from htxdata.errors import UsageError
from htxdata.schema.terms import Dataset
from htxdata.timeline import HOUR, MINUTE, SECOND

_CANDLE = (
    "open_time", "open", "high", "low", "close", "volume", "quote_volume", "contracts", "trade_count",
    "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip
_CANDLE_NULLABLE = frozenset(_CANDLE[5:])
_PROVENANCE = ("source", "received_at")
_BARE_CANDLE = ("open_time", "open", "high", "low", "close")

# Measured: a month of minutes is 1.7 MB and re-commits in 57 ms, a year of them 18 MB in 432 ms. Coarser candles and
# funding are small enough for a year (105,120 five-minute candles at most).
_CANDLE_GRAINS = {"1min": "month", "": "year"}


def _bare_candles(name: str, meaning: str) -> Dataset:
    """Candles of a price or rate that is computed, not traded."""
    return Dataset(
        name,
        meaning,
        (*_BARE_CANDLE, *_PROVENANCE),
        key=("open_time",),
        time_column="open_time",
        density="grid",
        has_period=True,
        grains=_CANDLE_GRAINS,
    )


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        "klines",
        "Candles. Only final ones: a running candle never enters.",
        (*_CANDLE, *_PROVENANCE),
        key=("open_time",),
        time_column="open_time",
        nullable=_CANDLE_NULLABLE,
        density="grid",
        has_period=True,
        grains=_CANDLE_GRAINS,
    ),
    Dataset(
        "kline_revisions",
        "Candles as they were before the venue changed its mind, one row for every version that was replaced.",
        (*_CANDLE, *_PROVENANCE, "superseded_at"),
        key=("open_time", "superseded_at"),
        time_column="open_time",
        nullable=_CANDLE_NULLABLE,
        density="events",
        has_period=True,
        grains=_CANDLE_GRAINS,
    ),
    _bare_candles("mark_klines", "Candles of the mark price, by which positions are valued and liquidated."),
    _bare_candles("index_klines", "Candles of the index price: the weighted spot price of several exchanges."),
    _bare_candles("premium_klines", "Candles of the premium index: how far the contract trades from its index."),
    _bare_candles("estimated_rate_klines", "Candles of the funding rate as the venue estimated it."),
    Dataset(
        "trades",
        "Every trade.",
        ("trade_time", "trade_id", "price", "quantity", "quote_quantity", "contracts", "side", *_PROVENANCE),
        key=("trade_id",),
        time_column="trade_time",
        nullable=frozenset({"quote_quantity", "contracts"}),
        grains={"": "day"},
        rows_a_day=20_000,
    ),
    Dataset(
        "funding_rates",
        "Funding rates as they were settled.",
        ("funding_time", "funding_rate", "realized_rate", "avg_premium_index", *_PROVENANCE),
        key=("funding_time",),
        time_column="funding_time",
        nullable=frozenset({"realized_rate", "avg_premium_index"}),
        density="interval",
        rows_a_day=3,
    ),
    Dataset(
        "instruments",
        "What could be traded, and how it was described, at each time; delisted and suspended ones are kept.",
        (
            "as_of",
            "base",
            "quote",
            "settle",
            "kind",
            "status",
            "contract_size",
            "tick_size",
            "lot_size",
            "listed_at",
            "delisted_at",
            "delivery_at",
            *_PROVENANCE,
        ),
        key=("as_of",),
        time_column="as_of",
        nullable=frozenset(
            {"settle", "contract_size", "tick_size", "lot_size", "listed_at", "delisted_at", "delivery_at"}
        ),
        density="states",
        says=(
            "base", "quote", "settle", "kind", "status", "contract_size", "tick_size", "lot_size", "listed_at",
            "delivery_at",
        ),
    ),
    Dataset(
        "open_interest",
        "Contracts that are open.",
        ("time", "contracts", "volume", "value", *_PROVENANCE),
        key=("time",),
        time_column="time",
        nullable=frozenset({"volume", "value"}),
        grains={"": "month"},  # polled every quarter of an hour, a year of it would make each commit cost 200 ms
        settles_after=HOUR + MINUTE,  # the newest point of its history moves until the hour is over (htx-api 4.8 [C])
        rows_a_day=24,
    ),
    Dataset(
        "liquidations",
        "Positions that the venue closed by force.",
        ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts", *_PROVENANCE),
        key=("liquidation_id",),
        time_column="liquidated_at",
        nullable=frozenset({"contracts"}),
        grains={"": "month"},
        told_by_one=True,  # the socket does not number them
    ),
    Dataset(
        "book_changes",
        "Order books as snapshots and what changed after them, one row for every level. In rows of the archive "
        "`received_at` is when their file was fetched; each file is read once, so one that the venue replaces later "
        "stays as it was first heard.",
        (
            "book_time",
            "kind",
            "side",
            "price",
            "size",
            "contracts",
            "sequence",
            "previous_sequence",
            *_PROVENANCE,
        ),
        # Two clocks (law 10): `received_at` is never the venue's word, not even to make a key that a second reading of
        # the same file would meet again. Instead there is no second reading.
        key=("received_at", "sequence", "side", "price"),
        time_column="book_time",
        nullable=frozenset({"contracts", "sequence", "previous_sequence"}),
        grains={"": "day"},
        key_tells_time=True,
        rereads=False,
        rows_a_day=5_000_000,
    ),
    Dataset(
        "quotes",
        "The best bid and ask, whenever one of them changed.",
        ("quote_time", "bid", "bid_size", "ask", "ask_size", "sequence", *_PROVENANCE),
        key=("received_at", "sequence"),
        time_column="quote_time",
        nullable=frozenset({"sequence"}),
        grains={"": "day"},
        key_tells_time=True,
        rereads=False,
        heard_once=("quote_time", "sequence", "bid", "bid_size", "ask", "ask_size"),
    ),
    Dataset(
        "indicative_funding_rates",
        "What the coming funding would be if it were settled now.",
        ("observed_at", "funding_time", "funding_rate", *_PROVENANCE),
        key=("observed_at",),
        time_column="observed_at",
        grains={"": "month"},
        settles_after=0,
        only="swap",  # what is delivered pays no funding
    ),
    Dataset(
        "mark_prices",
        "The mark price, by which positions are valued and liquidated, as it was whenever it was looked at. Where the "
        "venue keeps its past, that is in `mark_klines`.",
        ("price_time", "price", *_PROVENANCE),
        key=("price_time",),
        time_column="price_time",
        # Measured: one more look costs 4 ms at the end of a day of looks every ten minutes, 12 every minute, 440 every
        # second. At the end of a month of them every minute it would be 244 ms, every ten seconds 1.3 s.
        grains={"": "day"},
        settles_after=0,
    ),
    Dataset(
        "index_prices",
        "The index price, as it was whenever it was looked at, under the contract that it is the index of. Where the "
        "venue keeps its past, that is in `index_klines`.",
        ("observed_at", "price", "average_price", *_PROVENANCE),
        key=("observed_at",),
        time_column="observed_at",
        nullable=frozenset({"average_price"}),
        grains={"": "day"},
        settles_after=0,
    ),
    Dataset(
        "index_constituents",
        "Which exchanges an index looks at, and with what weights. A basket holds until the next one: rows are made "
        "where exchanges, pairs or weights changed, with the prices of that moment.",
        ("index_time", "index_price", "exchange", "constituent", "price", "weight", *_PROVENANCE),
        key=("index_time", "exchange", "constituent"),
        time_column="index_time",
        density="states",
        says=("exchange", "constituent", "weight"),  # prices move all the time
        rows_a_day=7_200,
    ),
    Dataset(
        "own_fills",
        "Every fill of one's own orders. `quantity` is one side's, on contracts too.",
        (
            "trade_time",
            "trade_id",
            "order_id",
            "side",
            "price",
            "quantity",
            "fee",
            "fee_currency",
            "role",
            "order_type",
            "client_order_id",
            *_PROVENANCE,
        ),
        # One trade is two fills where both sides of it are ours.
        key=("trade_id", "order_id"),
        time_column="trade_time",
        nullable=frozenset({"fee", "fee_currency", "role", "order_type", "client_order_id"}),
        grains={"": "month"},
        key_tells_time=True,
        own=True,
        settles_after=5 * SECOND,  # how soon a fill can be asked for is documented nowhere
        rows_a_day=50,
    ),
    Dataset(
        "own_orders",
        "Every order of one's own, once it is over: an open one is asked for again until it is.",
        (
            "created_at",
            "order_id",
            "account_id",
            "side",
            "order_type",
            "price",
            "quantity",
            "quote_quantity",
            "filled_quantity",
            "filled_quote_quantity",
            "fee",
            "order_status",
            "finished_at",
            "client_order_id",
            *_PROVENANCE,
        ),
        key=("order_id",),
        time_column="created_at",
        nullable=frozenset({"price", "quantity", "quote_quantity", "fee", "finished_at", "client_order_id"}),
        grains={"": "month"},
        key_tells_time=True,
        own=True,
        settles_after=5 * SECOND,
        rows_a_day=50,
    ),
    Dataset(
        "own_account_updates",
        "Every change of one's own balances, and all of them whenever a connection began. The whole account is one "
        "series, whose `symbol` is `*`. A stretch of time is told by the socket (`source` is `ws`, changes have a "
        "`sequence`) or by the venue's ledger (`rest`, each record has a `record_id` and an `amount`), never by both: "
        "the two share no number, and do not count changes alike.",
        (
            "updated_at",
            "change_time",
            "account_id",
            "account_type",
            "currency",
            "balance",
            "available",
            "change_type",
            "amount",
            "sequence",
            "record_id",
            *_PROVENANCE,
        ),
        # A row must lie in some partition. The change's own time says which; a snapshot has none, and lies where it was
        # heard. That is a column of its own, and part of the key: the snapshot of each connection is a row of its own,
        # while of a change it says what `change_time` says.
        # The ledger numbers its records, of which one instant may have several, and knows no `sequence`.
        key=("updated_at", "account_id", "currency", "change_time", "sequence", "record_id"),
        time_column="updated_at",
        nullable=frozenset(
            {"change_time", "account_type", "balance", "available", "change_type", "amount", "sequence", "record_id"}
        ),
        told_once=("account_id", "currency", "change_time"),
        told_by_one=True,  # the ledger counts changes otherwise than the socket
        grains={"": "month"},
        own=True,
        settles_after=5 * SECOND,
        rows_a_day=150,
    ),
    Dataset(
        "own_balances",
        "What one's own accounts held whenever they were looked at. The venue does not say as of when: it was so at "
        "`received_at`. All accounts are one series, whose `symbol` is `*`.",
        ("account_id", "account_type", "currency", "balance", "available", "frozen", "sequence", *_PROVENANCE),
        key=("received_at", "account_id", "currency"),
        time_column="received_at",
        nullable=frozenset({"sequence"}),
        grains={"": "month"},
        own=True,
        settles_after=0,
    ),
    Dataset(
        "capture_gaps",
        "When a feed that was captured was not heard, and why. What another way brought later is marked as healed.",
        ("feed", "gap_start", "gap_end", "cause", "healed_at", *_PROVENANCE),
        key=("feed", "gap_start"),
        time_column="gap_start",
        nullable=frozenset({"healed_at"}),
    ),
    Dataset(
        "source_differences",
        "What two readings of one row do not agree on, one row for every value: what is kept, what was dropped, and "
        "whose word either is. Candles that lost are whole in `kline_revisions`.",
        (
            "row_time",
            "dataset",
            "period",
            "row_key",
            "column_name",
            "kept",
            "dropped",
            "kept_text",
            "dropped_text",
            "kept_source",
            "dropped_source",
            "found_at",
            *_PROVENANCE,
        ),
        key=("row_time", "dataset", "row_key", "column_name", "found_at"),
        time_column="row_time",
        nullable=frozenset({"period", "kept", "dropped", "kept_text", "dropped_text"}),
        grains={"": "month"},
    ),
    Dataset(
        "coverage",
        "What is stored, and a verdict on every hole. Read from the footers of the files, never written.",
        ("dataset", "period", "span_start", "span_end", "verdict", "source", "rows"),
        key=("dataset", "span_start"),
        time_column="span_start",
        nullable=frozenset({"period"}),
        stored=False,
    ),
)

_BY_NAME = {entry.name: entry for entry in DATASETS}


def dataset(name: str) -> Dataset:
    """The dataset of that name, or a ``UsageError`` that lists them."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(f"{name!r} is not a dataset: choose from {', '.join(_BY_NAME)}") from None
