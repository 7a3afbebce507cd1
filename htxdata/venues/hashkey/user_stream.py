"""What HashKey's user stream tells of one's own fills (hashkey-api 6): who listens has a key lent for it over REST.

Nothing is subscribed: a connection tells everything of the account, in lists of events. Of these ``ticketInfo`` is
read, a fill; the others stay on the tape. ``outboundAccountInfo`` and ``outboundContractAccountInfo`` make no rows, for
they name no account and number nothing: two changes of one currency in one millisecond could not be told from one that
was told twice. What most of their letters mean is [unknown].

**How a fill is called.** ``T`` is the number of the ticket. Of pairs REST tells it too, as ``ticketId`` beside the
``id``: the numbers are milliseconds since 2018 times 2^23 and some bits of who made them, and those of tickets have the
very millisecond of the fill in all samples (REST's two, the socket's, that of a public trade). Of perpetuals REST tells
a ``tradeId`` alone, which is made some milliseconds later as ``id`` is: taken for another number [inferred]. There both
ways have in common the order, the time, the price, the contracts and the side, and a fill is named by these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.market import ALL_SYMBOLS
from htxdata.protocol.dialect import Dialect, Heard, Push, Strange
from htxdata.protocol.lease import Lent
from htxdata.protocol.wire import Reply, Request
from htxdata.venues import figures
from htxdata.venues.frames import UNDECODABLE, Key, Message, Sheets
from htxdata.venues.hashkey import own
from htxdata.venues.hashkey.dialects import hear_talk, instant_of
from htxdata.venues.hashkey.parse import price, size_for, sized
from htxdata.venues.hashkey.symbols import is_perpetual
from htxdata.venues.terms import NO_FACTS, Facts, Feed, Frame, Pushed

_KEYS = "/api/v1/userDataStream"
_TICKET = "ticketInfo"
_EVENTS = ("outboundAccountInfo", "outboundContractAccountInfo", "outboundContractPositionInfo", "executionReport",
           "contractExecutionReport", _TICKET)  # fmt: skip
_LONGEST = 512  # signs of a key; the samples of others have 64 to 128

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class _Lent(msgspec.Struct):
    listenKey: str


_lent = msgspec.json.Decoder(_Lent)


def listen_key(reply: Reply) -> str:
    """The key in an answer. It becomes a part of an address: other signs than those of such a part are no key's. What
    is wrong with an answer is told without quoting it."""
    try:
        key = _lent.decode(reply.body).listenKey
    except UNDECODABLE:
        raise BadReply(f"{_KEYS} answers without a 'listenKey'") from None
    if not 8 <= len(key) <= _LONGEST or not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
        raise BadReply(f"the 'listenKey' of {_KEYS} is no part of an address")
    return key


LENT = Lent(
    Request(_KEYS, private=True, method="POST"),
    listen_key,
    lambda key: Request(_KEYS, (("listenKey", key),), private=True, method="PUT"),
    valid=3600.0,
    every=1800.0,
)
"""hashkey-api 6: valid for 60 minutes, to be extended every 30. Whether a key that can only read may is [unknown]."""


# -------------------------------------------------------------------------------------------------------- the talk


def hear(message: bytes) -> Heard:
    """A ping, or a list of events; their time is that of the first."""
    if message[:1] != b"[":
        return hear_talk(message)
    try:
        events = _events(message)
    except BadReply as error:
        return Strange(str(error))
    first = events[0]
    return Push(_topic(ALL_SYMBOLS, None), instant_of(first.get("E")))


def _events(message: bytes) -> list[Message]:
    try:
        said = _decode(message)
    except (*UNDECODABLE, DecimalException) as error:
        raise BadReply(f"no JSON: {error}") from error
    if not isinstance(said, list) or not said or not all(isinstance(event, dict) for event in said):
        raise BadReply(f"{said!r:.60} is no list of events")
    return said


USER_STREAM = Dialect(
    name="hashkey-user-stream",
    hear=hear,
    subscribe=lambda topic, id: "",
    unsubscribe=lambda topic, id: "",
    request=None,
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=1,
    beats=30.0,
    deaf=100.0,
    docs="hashkey-api 6 [doc]: pinged every 30 s; three pings that did not come are a lost connection",
    unasked=True,
)


# ----------------------------------------------------------------------------------------------------------- fills


def _topic(symbol: str, period: str | None) -> str:
    return f"{_TICKET}:{symbol}"


def _symbol_of(topic: str) -> Key | None:
    kind, _, symbol = topic.partition(":")
    return (symbol, None) if kind == _TICKET and symbol else None


def _fill(event: Message, at: int, facts: Mapping[str, Facts]) -> tuple[Key, dict[str, Any], int]:
    symbol = own.word(event, "s", at)
    if symbol is None:
        raise BadReply(f"event {at}: 's' is empty: a fill of nothing")
    size = size_for(symbol, facts.get(symbol, NO_FACTS), is_perpetual(symbol))
    cost, fine = price(event, "p", at)
    amount, contracts, lost = sized(event, "q", at, size)
    if not amount:
        raise BadReply(f"event {at}: 'q' is 0: no fill")
    values = {
        "trade_time": figures.instant(event, "t", at), "trade_id": own.number(event, "T", at),
        "order_id": own.number(event, "o", at), "side": _side(event, at), "price": cost, "quantity": amount,
        "contracts": contracts, "fee": None, "role": "maker" if own.flag(event, "m", at) else "taker",
        "client_order_id": own.word(event, "c", at) if event.get("c") is not None else None,
    }  # fmt: skip
    return (symbol, None), values, lost + (not fine)


def _side(event: Message, at: int) -> str:
    """``BUY`` and ``SELL``, also of perpetuals [code]; should it be spelled as in REST one day, that is known too."""
    said = event.get("S")
    known = {"BUY": "buy", "SELL": "sell", **own.SIDES}
    if not isinstance(said, str) or said not in known:
        raise BadReply(f"event {at}: 'S' is {said!r:.60}, which is not known")
    return known[said]


_COLUMNS = ("trade_time", "trade_id", "order_id", "side", "price", "quantity", "contracts", "fee", "role",
            "client_order_id", "received_at")  # fmt: skip


def _parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
    """Rows without a fee, nor the type of the order; ``trade_id`` is the ticket's: `Feed.unnumbered` names the rest."""
    sheets = Sheets(_COLUMNS, _symbol_of)
    for place, (received_at, body) in enumerate(frames):
        try:
            made = [] if _is_talk(body) else _read(body, facts)
        except BadReply as error:
            sheets.pushed.faults.append((place, str(error)))
        except (DecimalException, OverflowError) as error:
            sheets.pushed.faults.append((place, f"a number that cannot be read: {error!r:.80}"))
        else:
            for key, row, unfit in made:
                sheets.add(key, [({**row, "received_at": received_at}, unfit)])
    return sheets.finish()


def _is_talk(body: bytes) -> bool:
    return body[:1] != b"[" and not isinstance(hear_talk(body), Strange)


def _read(body: bytes, facts: Mapping[str, Facts]) -> list[tuple[Key, dict[str, Any], int]]:
    """The fills of a message, or ``BadReply`` before anything of it is taken."""
    made = []
    for at, event in enumerate(_events(body)):
        if event.get("e") not in _EVENTS:
            raise BadReply(f"event {at}: 'e' is {event.get('e')!r:.60}, which is not known")
        if event["e"] == _TICKET:
            made.append(_fill(event, at, facts))
    return made


OWN_FEEDS = (
    Feed(
        "own_fills", "own_fills", "hashkey_ws", "/api/v1/ws", USER_STREAM, _topic, _symbol_of, _parse,
        docs="hashkey-api 6 [doc], ticketInfo [code]: fills of pairs and perpetuals without their fees",
        silence=None,  # who does not trade hears nothing, for days
        unnumbered=is_perpetual, every="must", lent=LENT, sized=True, whole=False,
    ),
)  # fmt: skip
