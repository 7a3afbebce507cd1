"""Placing, cancelling and asking for one order on HTX spot or HashKey's pairs, apart from all else.

Nothing of the pipeline may import this (import-linter), and it does nothing unless it is told ``allow_trading=True``
and the key permits it. An order is told once: where a reply is cut, late, a 5xx or no reply at all, nobody knows
whether the order stands, and `OutcomeUnknown` is raised. The client's own number of the order, which every order has,
is then the way to ask: ``find``. Figures are texts or Decimals, never floats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

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
from htxdata.venues.terms import Venue

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIGURE = re.compile(r"[0-9]+(\.[0-9]+)?")
_NO_ORDER = "base-record-invalid"
"""HTX's word for an order that it does not have (ccxt #5750)."""

_NO_HASHKEY_ORDER = "-1143"
"""HashKey's (error table [doc])."""


@dataclass(frozen=True)
class OrderState:
    """An order as the venue tells of it now. Figures are in the venue's own digits."""

    order_id: str
    client_order_id: str
    state: str
    quantity: str
    filled: str


class SpotTrader:
    """One account's hands on HTX spot. Close it, or use it as a context manager.

    Raises ``UsageError`` unless ``allow_trading`` is True and the key may trade, ``ConfigError`` where there is no key,
    ``KeyRefused`` where the venue does not take it.
    """

    def __init__(
        self, settings: Settings, *, allow_trading: bool = False, environ: Mapping[str, str] | None = None
    ) -> None:
        venue = venue_named("htx-spot")
        self._client, keys = _opened(venue, settings, allow_trading, environ)
        permits = venue.permits
        assert permits is not None
        try:
            user = permits.user_of(self._client.get(permits.user))
            allowed = permits.key_of(self._client.get(permits.ask(user)), keys).permissions
            if "trade" not in allowed:
                raise UsageError(f"this key may {', '.join(allowed) or 'nothing'}, and not trade")
            self._account = _spot_account(self._client.get(own.ACCOUNTS))
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> SpotTrader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def place(
        self, symbol: str, side: str, kind: str, amount: str | Decimal, price: str | Decimal | None = None, *,
        client_order_id: str,
    ) -> str:  # fmt: skip
        """Tell one order, once; gives its number. ``amount``: base units; of a market order to buy what is paid.

        Raises ``OutcomeUnknown`` where it is not known whether the order stands (ask with `find`), ``Refused`` where
        it surely does not.
        """
        figures = _checked(tuple(orders.KINDS), side, kind, amount, price, client_order_id)
        body = orders.place_body(self._account, symbol, side, kind, *figures, client_order_id)
        return _told(self._client, orders.PLACE, body, orders.taken)

    def cancel(self, order_id: str) -> str:
        """Ask for an order's end, once; gives its number. That it was asked for is not that it is over: ask `order`."""
        return _told(self._client, orders.cancel_request(_order_id(order_id)), b"{}", orders.taken)

    def order(self, order_id: str) -> OrderState:
        return OrderState(*orders.state_of(self._client.get(orders.by_id(_order_id(order_id)))))

    def find(self, client_order_id: str) -> OrderState | None:
        """The order that was given this number, or None where the venue has none.

        After ``OutcomeUnknown``: an order may show up a moment later; None soon afterwards is not yet "no".
        """
        try:
            return OrderState(*orders.state_of(self._client.get(orders.by_client_id(client_order_id))))
        except Refused as error:
            if _NO_ORDER in str(error):
                return None
            raise


class HashKeyTrader:
    """The same hands on HashKey's pairs; perpetuals are not traded here.

    HashKey does not tell what a key may do [unknown]: whether it is taken is asked at once, and one that may not trade
    hears ``KeyRefused`` from the venue in answer to its first order, which then does not stand.
    """

    def __init__(
        self, settings: Settings, *, allow_trading: bool = False, environ: Mapping[str, str] | None = None
    ) -> None:
        self._client, _ = _opened(venue_named("hashkey"), settings, allow_trading, environ)
        try:
            self._client.get(hashkey.ACCOUNT)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> HashKeyTrader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def place(
        self, symbol: str, side: str, kind: str, amount: str | Decimal, price: str | Decimal | None = None, *,
        client_order_id: str,
    ) -> str:  # fmt: skip
        """As `SpotTrader.place`, of a pair (``BTCUSDT``)."""
        if is_perpetual(symbol):
            raise UsageError(f"{symbol!r:.80} is a perpetual: pairs alone are traded here")
        figures = _checked(tuple(hashkey.KINDS), side, kind, amount, price, client_order_id)
        request = hashkey.place_request(symbol, side, kind, *figures, client_order_id)
        return _told(self._client, request, b"", hashkey.taken)

    def cancel(self, order_id: str) -> str:
        """Ask for an order's end, once; gives its number. That it was asked for is not that it is over: ask `order`."""
        return _told(self._client, hashkey.cancel_request(_order_id(order_id)), b"", hashkey.taken)

    def order(self, order_id: str) -> OrderState:
        return OrderState(*hashkey.state_of(self._client.get(hashkey.by_id(_order_id(order_id)))))

    def find(self, client_order_id: str) -> OrderState | None:
        """As `SpotTrader.find`."""
        try:
            return OrderState(*hashkey.state_of(self._client.get(hashkey.by_client_id(client_order_id))))
        except Refused as error:
            if _NO_HASHKEY_ORDER in str(error):
                return None
            raise


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
        base, Budget(base.partition("://")[2], settings.budgets[venue.host]), venue.judge, venue.limit_headers,
        sign=lambda request, host, now: sign(request, host, keys, now), headers=lambda request: venue.headers(keys),
    )  # fmt: skip
    return client, keys


def _checked(
    kinds: tuple[str, ...], side: str, kind: str, amount: str | Decimal, price: str | Decimal | None, client: str
) -> tuple[str, str | None]:
    """Amount and price as texts, of an order that may be told."""
    if side not in ("buy", "sell") or kind not in kinds:
        raise UsageError(f"an order is buy or sell and {', '.join(kinds)}: not {side!r}, {kind!r}")
    if (price is None) != (kind == "market"):
        raise UsageError(f"a {kind} order has {'no' if kind == 'market' else 'a'} price")
    if not _CLIENT_ID.fullmatch(client):
        raise UsageError(f"client_order_id {client!r:.80} is not 1 to 64 letters, digits, - and _")
    return _figure("amount", amount), _figure("price", price) if price is not None else None


def _told(client: Client, request: Request, body: bytes, taken: Callable[[Reply], str]) -> str:
    reply = client.tell(request, body)
    try:
        return taken(reply)
    except BadReply as error:
        raise OutcomeUnknown(f"{request.path}: whether it was done is not known: {error}") from error


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
