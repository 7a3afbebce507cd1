"""Placing, cancelling and asking for one order on HTX spot, HashKey's pairs or permanent, apart from all else.

Nothing of the pipeline may import this (import-linter), and it does nothing unless it is told ``allow_trading=True``
and the key permits it. An order is told once: where a reply is cut, late, a 5xx or no reply at all, nobody knows
whether the order stands, and `OutcomeUnknown` is raised. The client's own number of the order, where a venue takes one,
is then the way to ask (``find``); permanent takes none, and tells its newest orders instead (``newest``). Figures are
texts or Decimals, never floats.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self

from htxdata.config import Settings
from htxdata.errors import BadReply, OutcomeUnknown, Refused, UsageError
from htxdata.keys import Keys, need_keys
from htxdata.protocol.wire import Reply, Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client
from htxdata.venues import venue as venue_named
from htxdata.venues.hashkey import orders as hashkey
from htxdata.venues.hashkey.symbols import is_perpetual
from htxdata.venues.htx import orders, own
from htxdata.venues.permanent import orders as permanent
from htxdata.venues.terms import Venue

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIGURE = re.compile(r"[0-9]+(\.[0-9]+)?")

Words = tuple[Request, bytes]
"""What is told once: a request and its body."""

NewestOrder = permanent.Told


@dataclass(frozen=True)
class OrderState:
    """An order as the venue tells of it now. Figures are in the venue's own digits; permanent's are contracts, and
    ``client_order_id`` is "" there."""

    order_id: str
    client_order_id: str
    state: str
    quantity: str
    filled: str


@dataclass(frozen=True)
class _Ways:
    """How a venue is spoken to about an order. ``taken`` gives its number from the answer to its placing,
    ``cancelled`` from that to ``cancel``; ``no_order`` is the venue's word for an order that it does not have, for
    which ``by_client_id`` asked."""

    venue: str
    kinds: tuple[str, ...]
    cancel: Callable[[str], Words]
    taken: Callable[[Reply], str]
    cancelled: Callable[[Reply, str], str]
    by_id: Callable[[str], Request]
    state_of: Callable[[Reply], tuple[str, str, str, str, str]]
    by_client_id: Callable[[str], Request] | None = None
    no_order: str = ""


class _Trader(ABC):
    """One account's hands on one venue. Close it, or use it as a context manager.

    Raises ``UsageError`` unless ``allow_trading`` is True and the key may trade, as far as the venue tells what it may;
    ``ConfigError`` where there is no key or no address, ``KeyRefused`` where the venue does not take the key.
    """

    _ways: ClassVar[_Ways]

    def __init__(
        self, settings: Settings, *, allow_trading: bool = False, environ: Mapping[str, str] | None = None
    ) -> None:
        venue = venue_named(self._ways.venue)
        self._client, keys = _opened(venue, settings, allow_trading, environ)
        try:
            self._introduce(venue, keys)
        except BaseException:
            self._client.close()
            raise

    def _introduce(self, venue: Venue, keys: Keys) -> None:
        """Ask whether the key is taken, before anything is told with it."""
        assert venue.proof is not None
        self._client.get(venue.proof.ask)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def cancel(self, order_id: str) -> str:
        """Ask for an order's end, once; gives its number. That it was asked for is not that it is over: ask `order`."""
        number = _order_id(order_id)
        return self._tell(self._ways.cancel(number), lambda reply: self._ways.cancelled(reply, number))

    def order(self, order_id: str) -> OrderState:
        return OrderState(*self._ways.state_of(self._client.get(self._ways.by_id(_order_id(order_id)))))

    def _tell(self, words: Words, read: Callable[[Reply], str]) -> str:
        """Say it, once. Where the answer cannot be read, what came of it is not known."""
        request, body = words
        reply = self._client.tell(request, body)
        try:
            return read(reply)
        except BadReply as error:
            raise OutcomeUnknown(f"{request.path}: whether it was done is not known: {error}") from error

    def _checked(
        self, side: str, kind: str, amount: str | Decimal, price: str | Decimal | None
    ) -> tuple[str, str | None]:
        """Amount and price as texts, of an order that may be told."""
        if side not in ("buy", "sell") or kind not in self._ways.kinds:
            raise UsageError(f"an order is buy or sell and {', '.join(self._ways.kinds)}: not {side!r}, {kind!r}")
        if (price is None) != (kind == "market"):
            raise UsageError(f"a {kind} order has {'no' if kind == 'market' else 'a'} price")
        return _figure("amount", amount), _figure("price", price) if price is not None else None


class _NamingTrader(_Trader):
    """Where the client gives each order a number of his own."""

    def place(
        self, symbol: str, side: str, kind: str, amount: str | Decimal, price: str | Decimal | None = None, *,
        client_order_id: str,
    ) -> str:  # fmt: skip
        """Tell one order, once; gives its number. ``amount``: base units; of a market order to buy what is paid.

        Raises ``OutcomeUnknown`` where it is not known whether the order stands (ask with `find`), ``Refused`` where
        it surely does not.
        """
        figures = self._checked(side, kind, amount, price)
        if not _CLIENT_ID.fullmatch(client_order_id):
            raise UsageError(f"client_order_id {client_order_id!r:.80} is not 1 to 64 letters, digits, - and _")
        return self._tell(self._placing(symbol, side, kind, *figures, client_order_id), self._ways.taken)

    @abstractmethod
    def _placing(self, symbol: str, side: str, kind: str, amount: str, price: str | None, client: str) -> Words:
        """What is said to place an order whose parts are right."""

    def find(self, client_order_id: str) -> OrderState | None:
        """The order that was given this number, or None where the venue has none.

        After ``OutcomeUnknown``: an order may show up a moment later; None soon afterwards is not yet "no".
        """
        assert self._ways.by_client_id is not None
        try:
            return OrderState(*self._ways.state_of(self._client.get(self._ways.by_client_id(client_order_id))))
        except Refused as error:
            if self._ways.no_order in str(error):
                return None
            raise


class SpotTrader(_NamingTrader):
    """HTX spot, which tells what a key may do: one that may not trade is refused at once."""

    _ways = _Ways(
        "htx-spot", orders.KINDS, cancel=lambda number: (orders.cancel_request(number), b"{}"),
        taken=orders.taken, cancelled=lambda reply, number: orders.taken(reply), by_id=orders.by_id,
        state_of=orders.state_of, by_client_id=orders.by_client_id, no_order="base-record-invalid",  # (ccxt #5750)
    )  # fmt: skip

    def _introduce(self, venue: Venue, keys: Keys) -> None:
        permits = venue.permits
        assert permits is not None
        user = permits.user_of(self._client.get(permits.user))
        allowed = permits.key_of(self._client.get(permits.ask(user)), keys).permissions
        if "trade" not in allowed:
            raise UsageError(f"this key may {', '.join(allowed) or 'nothing'}, and not trade")
        self._account = _spot_account(self._client.get(own.ACCOUNTS))

    def _placing(self, symbol: str, side: str, kind: str, amount: str, price: str | None, client: str) -> Words:
        return orders.PLACE, orders.place_body(self._account, symbol, side, kind, amount, price, client)


class HashKeyTrader(_NamingTrader):
    """HashKey's pairs (``BTCUSDT``); perpetuals are not traded here.

    HashKey does not tell what a key may do [unknown]: whether it is taken is asked at once, and one that may not trade
    hears ``KeyRefused`` from the venue in answer to its first order, which then does not stand.
    """

    _ways = _Ways(
        "hashkey", tuple(hashkey.KINDS), cancel=lambda number: (hashkey.cancel_request(number), b""),
        taken=hashkey.taken, cancelled=lambda reply, number: hashkey.taken(reply), by_id=hashkey.by_id,
        state_of=hashkey.state_of, by_client_id=hashkey.by_client_id, no_order="-1143",  # (error table [doc])
    )  # fmt: skip

    def _placing(self, symbol: str, side: str, kind: str, amount: str, price: str | None, client: str) -> Words:
        if is_perpetual(symbol):
            raise UsageError(f"{symbol!r:.80} is a perpetual: pairs alone are traded here")
        return hashkey.place_request(symbol, side, kind, amount, price, client), b""


class PermanentTrader(_Trader):
    """Contracts of permanent: limit orders, also such that do not stand (``ioc``).

    It does not tell what a key may do either: as at HashKey. Neither does an order have a number of the client's here:
    after ``OutcomeUnknown`` look whether yours is among the `newest`.
    """

    _ways = _Ways(
        "htx-permanent", tuple(permanent.KINDS), taken=permanent.taken, cancelled=permanent.cancelled,
        cancel=lambda number: (permanent.CANCEL, permanent.cancel_body(number)), by_id=permanent.by_id,
        state_of=permanent.state_of,
    )  # fmt: skip

    def place(self, symbol: str, side: str, kind: str, contracts: str | Decimal, price: str | Decimal) -> str:
        """Tell one order, once; gives its number. ``contracts`` is a whole number of them.

        Raises ``OutcomeUnknown`` where it is not known whether the order stands, ``Refused`` where it surely does not.
        """
        amount, cost = self._checked(side, kind, contracts, price)
        if "." in amount or cost is None:
            raise UsageError(f"amount {amount}: an order is of whole contracts")
        body = permanent.place_body(symbol, side, kind, amount, cost)
        return self._tell((permanent.PLACE, body), self._ways.taken)

    def newest(self, symbol: str) -> list[NewestOrder]:
        """The newest 500 open orders of a contract, and the newest 500 of those that ended within 48 hours, newest
        first. After ``OutcomeUnknown``: an order may show up a moment later."""
        found: dict[str, NewestOrder] = {}
        for request in permanent.lists_of(symbol):  # one that ends meanwhile is told as it is in the end
            found |= {one.order_id: one for one in permanent.listed(self._client.get(request), symbol)}
        return sorted(found.values(), key=lambda one: (one.created_at, int(one.order_id)), reverse=True)


def _opened(
    venue: Venue, settings: Settings, allow_trading: bool, environ: Mapping[str, str] | None
) -> tuple[Client, Keys]:
    """A client that signs with the venue's key, and the key; ``UsageError`` unless ``allow_trading`` is True."""
    if allow_trading is not True:
        raise UsageError("nothing is traded unless allow_trading=True says that it may be")
    sign = venue.sign
    assert sign is not None
    keys = need_keys(venue.keys, "trading", environ)
    base = settings.host(venue.host)
    client = Client(
        base, Budget.at(base, settings.budgets[venue.host]), venue.judge, venue.limit_headers,
        sign=lambda request, host, now: sign(request, host, keys, now), headers=lambda request: venue.headers(keys),
    )  # fmt: skip
    return client, keys


def _spot_account(reply: Reply) -> str:
    for number, kind in own.accounts(reply):
        if kind == "spot":
            return number
    raise UsageError("this key's user has no spot account that works")


def _order_id(text: str) -> str:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{text!r:.80} is not the number of an order")
    return text


def _figure(name: str, value: str | Decimal) -> str:
    text = f"{value:f}" if isinstance(value, Decimal) else value
    if not isinstance(text, str) or not _FIGURE.fullmatch(text) or not Decimal(text):
        raise UsageError(f"{name} {value!r:.80} is not a positive figure written as a text or a Decimal")
    return text
