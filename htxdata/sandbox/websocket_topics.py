"""The topics of the market sockets: what a client may name, and which feed tells it (htx-api 7.3 to 7.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .derived import exists
from .instruments import INSTRUMENTS, SPOT, Instrument, contract, future, swap
from .periods import PERIODS
from .websocket_books import BestFeed, DiffFeed, FastFeed, RefreshFeed, StepFeed
from .websocket_feeds import DetailFeed, Feed, KlineFeed, TickerFeed, TradeFeed
from .websocket_floor import Floor
from .websocket_index import KINDS, IndexFeed

_MAJORS = (
    "btcusdt",
    "ethusdt",
    "ethbtc",
    "dogeusdt",
)  # mbp.20 is for a short list of pairs only (htx-api 7.3)
_LINEAR_PERIODS = tuple(period for period in PERIODS if period != "1year")


class Unknown(Exception):
    """A topic that the venue does not know; the text is the venue's."""


@dataclass(frozen=True)
class Topic:
    """A topic as it was asked for. `text` is how it stands in pushes; `what` is the part behind the symbol."""

    text: str
    what: str
    one: Instrument
    options: str = ""  # of a subscription: data_type

    @property
    def key(self) -> tuple[str, str]:
        return self.text, self.options


Opened = Callable[[Floor, int], Feed]


def spot_topic(path: str, text: str, now: int) -> Topic:
    """A topic of /ws or /feed; the incremental books are on /feed alone."""
    head, symbol, what = _split(text)
    if head != "market" or not _spot_known(path, what):
        raise Unknown(f"invalid topic {text}")
    one = INSTRUMENTS[SPOT].get(symbol)
    if one is None or one.status_at(now) in ("pre-online", "offline"):
        raise Unknown(f"invalid {what}.symbol {symbol}" if what.startswith("mbp.") else "invalid symbol")
    if what == "mbp.20" and symbol not in _MAJORS:
        raise Unknown(f"invalid {what}.symbol {symbol}")
    return Topic(text, what, one)


def _split(text: str) -> tuple[str, str, str]:
    head, _, rest = text.partition(".")
    symbol, _, what = rest.partition(".")
    return head, symbol, what


def _spot_known(path: str, what: str) -> bool:
    refresh = what in ("mbp.refresh.5", "mbp.refresh.10", "mbp.refresh.20")
    if path == "/feed":
        return refresh or what in ("mbp.5", "mbp.20", "mbp.150", "mbp.400")
    plain = ("trade.detail", "bbo", "detail", "ticker", *(f"depth.step{step}" for step in range(6)))
    return refresh or what in plain or (what.startswith("kline.") and what[6:] in PERIODS)


_FINDERS = {
    "/linear-swap-ws": (contract,),
    "/swap-ws": (swap,),
    "/ws": (future,),
    "/ws_index": (contract, swap, future),
}
"""Path -> who may be named there; a code is of one product line only."""


def contract_topic(path: str, text: str, now: int, options: str = "") -> Topic:
    """A topic of a product line's socket, or of /ws_index; the contract's case does not matter (htx-api 1.2)."""
    head, code, what = _split(text)
    index = path == "/ws_index"
    if head != "market" or not (_index_known(what) if index else _linear_known(what)):
        raise Unknown(f"invalid topic {text}")
    one = next((one for find in _FINDERS[path] if (one := find(code, now)) is not None), None)
    if one is None or one.status_at(now) == "offline":
        raise Unknown("invalid symbol")
    if index and not exists(KINDS[what.partition(".")[0]], one):
        raise Unknown("invalid symbol")
    if what.endswith(".high_freq"):
        options = options or "snapshot"
        if options not in ("snapshot", "incremental"):
            raise Unknown(f"invalid data_type {options}")
    else:
        options = ""
    return Topic(f"market.{code.upper()}.{what}", what, one, options)


def _linear_known(what: str) -> bool:
    plain = ("trade.detail", "bbo", "detail", "depth.size_20.high_freq", "depth.size_150.high_freq")
    steps = tuple(f"depth.step{step}" for step in range(20))
    return what in plain or what in steps or (what.startswith("kline.") and what[6:] in _LINEAR_PERIODS)


def _index_known(what: str) -> bool:
    kind, _, period = what.partition(".")
    return kind in KINDS and period in _LINEAR_PERIODS


def opened(floor: Floor, topic: Topic, now: int) -> Feed:
    """The feed that tells a topic, from now on."""
    text, one, what = topic.text, topic.one, topic.what
    kind, _, rest = what.partition(".")
    if what == "trade.detail":
        return TradeFeed(floor, text, one, now)
    if what == "bbo":
        return BestFeed(floor, text, one, now)
    if what == "detail":
        return DetailFeed(floor, text, one, now)
    if what == "ticker":
        return TickerFeed(floor, text, one, now)
    if kind == "kline":
        return KlineFeed(floor, text, one, now, rest)
    if kind in KINDS:
        return IndexFeed(floor, text, one, now, kind, rest)
    if what.startswith("mbp.refresh."):
        return RefreshFeed(floor, text, one, now, int(what[12:]))
    if kind == "mbp":
        return DiffFeed(floor, text, one, now, int(rest))
    if rest.startswith("step"):
        return StepFeed(floor, text, one, now, int(rest[4:]))
    return FastFeed(floor, text, one, now, int(rest.split(".")[0][5:]), topic.options == "snapshot")
