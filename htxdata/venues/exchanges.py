"""One name for each exchange that an index looks at, however a venue spells it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ONE_NAME: Mapping[str, str] = {
    # Keys are in lower case, without blanks, dots, dashes and underscores. The left side is what HTX has been seen to
    # write (sample linear-index-constituents: huobi, okex, HitBTC), or the former name of an exchange that took another
    # one. That names changed by a notice of 2026-02-13 is [A], which ones is not known [C].
    "huobi": "htx",
    "huobiglobal": "htx",
    "huobipro": "htx",
    "htxglobal": "htx",
    "okex": "okx",
    "gateio": "gate",
    "mxc": "mexc",
    "mexcglobal": "mexc",
    "coinbasepro": "coinbase",
    "coinbaseexchange": "coinbase",
    "gdax": "coinbase",
    "bitmax": "ascendex",
    "binanceglobal": "binance",
    "cryptocom": "crypto.com",
}
_MARKS = re.compile(r"[\s._-]+")


def exchange_name(said: str) -> str:
    """One name for each exchange, in lower case; a name that nobody told us of is lower-cased and stripped."""
    plain = said.strip().lower().strip()
    return _ONE_NAME.get(_MARKS.sub("", plain), plain)
