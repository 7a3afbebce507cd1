"""What the private sockets say: own fills and changes of balances on spot (htx-ws-v2 4, 5), own fills on contracts.

These are few: there is no quick way beside the careful one. A topic may tell of all symbols, and the one that was asked
for is not always the one that comes back (``trade.clearing#*`` for ``trade.clearing#*#1``): what a push is of is in its
data. A document's sample has a blank behind a name, and no ``action``: both are borne.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import DecimalException
from typing import Any

from htxdata.errors import BadReply
from htxdata.market import ALL_SYMBOLS
from htxdata.venues.htx import own
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.dialects import OWN_NOTIFICATION, V2
from htxdata.venues.htx.feeds_frames import Key, Message, Sheets, figure, message_of, price
from htxdata.venues.htx.feeds_topics import PAIR, Shape
from htxdata.venues.terms import Facts, Feed, Frame, Pushed

Read = Callable[[Message, int], tuple[Key, dict[str, Any], int] | None]
"""The data of a push, and when it was received: whose row it is, the row, and how many values do not fit."""

_TALK = ("ping", "pong", "sub", "unsub", "req", "error")


def _clearing() -> Shape:
    pattern = re.compile(rf"trade\.clearing#({PAIR}|\*)(?:#[01])?")

    def symbol_of(topic: str) -> Key | None:
        match = pattern.fullmatch(topic)
        return None if match is None else (match[1], None)

    return Shape(lambda symbol, period: f"trade.clearing#{symbol}#1", symbol_of)


def _accounts() -> Shape:
    pattern = re.compile(r"accounts\.update(?:#[012])?")

    def symbol_of(topic: str) -> Key | None:
        return (ALL_SYMBOLS, None) if pattern.fullmatch(topic) else None

    return Shape(lambda symbol, period: "accounts.update#2", symbol_of)


def _parser(
    shape: Shape, names: Sequence[str], read: Read
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets((*names, "received_at"), shape.symbol_of)
        for at, (received_at, body) in enumerate(frames):
            try:
                found = _read(sheets, body, received_at, read)
                if found is not None:
                    key, row, unfit = found
                    sheets.add(key, [({**row, "received_at": received_at}, unfit)])
            except BadReply as error:
                sheets.pushed.faults.append((at, str(error)))
            except (DecimalException, OverflowError) as error:
                sheets.pushed.faults.append((at, f"a number that cannot be read: {error!r:.80}"))
        return sheets.finish()

    return parse


def _read(sheets: Sheets, body: bytes, received_at: int, read: Read) -> tuple[Key, dict[str, Any], int] | None:
    message = message_of(body)
    if message.get("action") in _TALK:
        return None
    if message.get("action", "push") != "push":
        raise BadReply(f"the action {message['action']!r:.60} is not known")
    sheets.key(message.get("ch"))
    data = message.get("data")
    if not isinstance(data, dict):
        raise BadReply(f"'data' is {data!r:.60}, not an object")
    return read({name.strip(): value for name, value in data.items()}, received_at)


def _fill(data: Message, received_at: int) -> tuple[Key, dict[str, Any], int] | None:
    event = data.get("eventType")
    if event == "cancellation":
        return None
    if event != "trade":
        raise BadReply(f"'eventType' is {event!r:.60}, neither trade nor cancellation")
    side, taker = data.get("orderSide"), data.get("aggressor")
    if side not in ("buy", "sell"):
        raise BadReply(f"'orderSide' is {side!r:.60}, neither buy nor sell")
    if not isinstance(taker, bool):
        raise BadReply(f"'aggressor' is {taker!r:.60}, neither true nor false")
    cost, first = price(data, "tradePrice")
    quantity, second = figure(data, "tradeVolume")
    fee, currency, third = own.paid(data, ("transactFee", "feeCurrency", "feeDeduct", "feeDeductType"), 0)
    kind = data.get("orderType")
    if kind is not None and own.side_of(data, "orderType", 0) != side:
        raise BadReply(f"'orderType' is {kind!r:.60}, and 'orderSide' {side!r}")
    values = (
        wire.instant(data, "tradeTime", 0), own.number(data, "tradeId", 0), own.number(data, "orderId", 0), side, cost,
        quantity, fee, currency, "taker" if taker else "maker", kind, data.get("clientOrderId") or None,
    )  # fmt: skip
    return (own.word(data, "symbol", 0), None), dict(zip(own.FILL, values, strict=True)), first + second + third


UPDATE = ("updated_at", "change_time", "account_id", "account_type", "currency", "balance", "available", "change_type",
          "sequence")  # fmt: skip


def _update(data: Message, received_at: int) -> tuple[Key, dict[str, Any], int]:
    changed = None if data.get("changeTime") is None else wire.instant(data, "changeTime", 0)
    lost = 0
    held: dict[str, float | None] = dict.fromkeys(("balance", "available"))
    for name in held:
        if data.get(name) is not None:
            held[name], fitting = wire.number(data, name, 0)
            lost += not fitting
    if held["balance"] is None and held["available"] is None:
        raise BadReply("neither 'balance' nor 'available' is said")
    why = data.get("changeType")
    if why is not None and not isinstance(why, str):
        raise BadReply(f"'changeType' is {why!r:.60}, not a word")
    values = (
        received_at if changed is None else changed, changed, own.number(data, "accountId", 0),
        data.get("accountType") or None, own.word(data, "currency", 0), held["balance"], held["available"],
        # Older documents spell `order-match` (htx-ws-v2 5).
        None if why is None else re.sub(r"^(order|margin)-", r"\1.", why),
        None if data.get("seqNum") is None else wire.integer(data, "seqNum", 0),
    )  # fmt: skip
    return (ALL_SYMBOLS, None), dict(zip(UPDATE, values, strict=True)), lost


# ------------------------------------------------------------------------------------------------- contracts

_NOTICES = ("ping", "pong", "auth", "sub", "unsub", "error", "close")


def _matches(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
    """``trade``: one row a fill, without its fee and the type of its order (sample linear-ws-v5-private-trade)."""
    names = tuple(name for name in own.FILL if name not in ("fee_currency", "order_type"))
    sheets = Sheets((*names, "received_at"), _MATCHES.symbol_of)
    for at, (received_at, body) in enumerate(frames):
        try:
            for row, key, unfit in _matched(body):
                sheets.add(key, [({**row, "received_at": received_at}, unfit)])
        except BadReply as error:
            sheets.pushed.faults.append((at, str(error)))
        except (DecimalException, OverflowError) as error:
            sheets.pushed.faults.append((at, f"a number that cannot be read: {error!r:.80}"))
    return sheets.finish()


def _matched(body: bytes) -> list[tuple[dict[str, Any], Key, int]]:
    message = message_of(body)
    if message.get("op") in _NOTICES:
        return []
    if message.get("op") != "notify" or message.get("topic") != _MATCHES.topic(ALL_SYMBOLS, None):
        raise BadReply(f"{message.get('op')!r:.30} of {message.get('topic')!r:.60} is not known")
    rows = message.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadReply(f"'data' is {rows!r:.60}, not a list of objects")
    out: list[tuple[dict[str, Any], Key, int]] = []
    for at, (row, name) in enumerate(zip(rows, own.match_names(rows), strict=True)):
        side = row.get("direction", row.get("side"))  # the sample says the one, the document the other
        if side not in ("buy", "sell"):
            raise BadReply(f"row {at}: 'direction' is {side!r:.60}, neither buy nor sell")
        cost, lost = price(row, "trade_price")
        turnover, _ = figure(row, "trade_turnover")
        role = own.role_of({"role": str(row.get("role")).lower()}, "role", at)
        values = {
            "trade_time": wire.instant(row, "created_time", at), "trade_id": name,
            "order_id": own.number(row, "order_id", at), "side": side, "price": cost,
            "quantity": own.coins(turnover, cost), "fee": None, "role": role,
            "client_order_id": row.get("client_order_id") or None,
        }  # fmt: skip
        out.append((values, (own.word(row, "contract_code", at).upper(), None), lost))
    return out


_MATCHES = Shape(lambda symbol, period: "trade", lambda topic: (ALL_SYMBOLS, None) if topic == "trade" else None)

_fills, _updates = _clearing(), _accounts()
QUIET = None
"""Who does not trade hears nothing, for days."""

SPOT_OWN_FEEDS = (
    Feed(
        "own_fills", "own_fills", "htx_spot_ws", "/ws/v2", V2, *_fills, _parser(_fills, own.FILL, _fill),
        docs="htx-ws-v2 4 [A]: one push a fill; mode 1 tells cancellations as well",
        silence=QUIET, every="may",
    ),
    Feed(
        "own_account_updates", "own_account_updates", "htx_spot_ws", "/ws/v2", V2, *_updates,
        _parser(_updates, UPDATE, _update),
        docs="htx-ws-v2 5 [A]: mode 2, both figures in one message; at first all balances",
        silence=QUIET, every="must",
    ),
)  # fmt: skip
LINEAR_OWN_FEEDS = (
    Feed(
        "own_fills", "own_fills", "htx_swap_ws", "/ws/v5/notification", OWN_NOTIFICATION, *_MATCHES, _matches,
        docs="htx-api 10.5 [B], sample linear-ws-v5-private-trade: fills without fees; all contracts are one topic",
        silence=QUIET, every="must", whole=False,
    ),
)  # fmt: skip
