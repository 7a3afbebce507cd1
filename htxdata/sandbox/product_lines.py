"""The three product lines of api.hbdm.com: who is meant by a code, and under which parameter it is asked for.

The same endpoints exist for each under another path; what differs besides is small (htx-api 4 to 6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .answers import Ask, hyphens, underscores
from .instruments import FUTURES, INVERSE, LINEAR, Instrument, contract, future, swap


class Line(NamedTuple):
    """One product line. `find` gives the contract of a code (in any case) as it is at an instant."""

    venue: str
    parameter: str
    find: Callable[[str, int], Instrument | None]

    def asked(self, ask: Ask) -> str:
        """The code in a request of market data; a refusal where there is none."""
        code = ask.query.get(self.parameter, "")
        if not code:
            raise underscores(ask, 1066, f"{self.parameter} cannot be empty.")
        return code

    def meant(self, ask: Ask) -> Instrument:
        """The contract that a request of market data is about."""
        one = self.find(self.asked(ask), ask.now)
        if one is None:
            raise hyphens(ask, "invalid-parameter", "invalid symbol")
        return one

    def contract(self, ask: Ask) -> Instrument:
        """The contract that a request of reference data is about."""
        one = self.find(self.asked(ask), ask.now)
        if one is None:
            raise underscores(ask, 1014, "The contract does not exist.")
        return one


def business_asked(ask: Ask, otherwise: str) -> str:
    """``swap``, ``futures`` or ``all``: which linear contracts a request is about."""
    business = ask.query.get("business_type") or otherwise
    if business not in ("swap", "futures", "all"):
        raise underscores(ask, 1067, "The business_type field is invalid.")
    return business


USDT = Line(LINEAR, "contract_code", contract)
COIN_SWAPS = Line(INVERSE, "contract_code", swap)
COIN_FUTURES = Line(FUTURES, "symbol", future)
