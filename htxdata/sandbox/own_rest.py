"""All private endpoints, and the door to them: who signed, and may he (htx-api 10.1, 10.2, 10.4, 10.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import own_accounts, own_orders
from .answers import Answer, Ask, Refusal, reply, underscores
from .keys import Keys
from .limits import SPOT as SPOT_HOST
from .limits import SWAP as SWAP_HOST
from .own import Own
from .own_asks import Caller, Endpoint


@dataclass(frozen=True)
class OwnRest:
    """All private endpoints of both hosts. `placed` are orders that were placed through them; they stand for ever."""

    own: Own
    keys: Keys
    placed: list[dict[str, Any]] = field(default_factory=list)

    def serves(self, host: str, method: str, path: str) -> bool:
        return any(
            line == host and verb == method and where.fullmatch(path) for line, verb, where, _ in _ENDPOINTS
        )

    def answer(
        self,
        ask: Ask,
        method: str,
        said: Sequence[tuple[str, str]],
        named: str,
        address: str,
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request. `named` is the host it was sent to, `said` its whole query, decoded."""
        found_at = (
            (where.fullmatch(ask.path), make)
            for line, verb, where, make in _ENDPOINTS
            if (line, verb) == (ask.host, method)
        )
        place, make = next((place, make) for place, make in found_at if place is not None)
        needs = "trade" if method == "POST" else "readOnly"
        found = self.keys.judge(method, named, ask.path, said, address, ask.now, needs=needs)
        if isinstance(found, str):
            raise _not_let_in(ask, found)
        return make(self.own, ask, Caller(found, place, self.placed, body))


def _not_let_in(ask: Ask, why: str) -> Refusal:
    if ask.host == SWAP_HOST:
        return underscores(ask, 403, why)
    if why.startswith("Login"):
        return Refusal(reply({"status": "error", "err-code": "login-required", "err-msg": why, "data": None}))
    text = f"Signature not valid: {why}"
    return Refusal(
        reply({"status": "error", "err-code": "api-signature-not-valid", "err-msg": text, "data": None})
    )


def _at(
    host: str, table: Mapping[str, Endpoint], verb: str = "GET"
) -> tuple[tuple[str, str, re.Pattern[str], Endpoint], ...]:
    return tuple(
        (host, verb, re.compile(path.replace("{id}", r"(?P<id>\d{1,18})")), make)
        for path, make in table.items()
    )


_ENDPOINTS = _at(
    SPOT_HOST,
    {
        "/v1/account/accounts": own_accounts.accounts,
        "/v1/account/accounts/{id}/balance": own_accounts.balance,
        "/v1/account/history": own_accounts.history,
        "/v1/order/matchresults": own_orders.matchresults,
        "/v1/order/orders": own_orders.orders,
        "/v1/order/orders/getClientOrder": own_orders.client_order,
        "/v1/order/orders/{id}": own_orders.order_detail,
        "/v1/order/orders/{id}/matchresults": own_orders.order_matchresults,
        "/v2/account/ledger": own_accounts.ledger,
        "/v2/user/uid": own_accounts.user,
        "/v2/user/api-key": own_accounts.api_key,
    },
)
_ENDPOINTS += _at(
    SPOT_HOST,
    {"/v1/order/orders/place": own_orders.place, "/v1/order/orders/{id}/submitcancel": own_orders.cancel},
    "POST",
)
_ENDPOINTS += _at(SWAP_HOST, {"/v5/trade/order/details": own_orders.linear_details})
