"""What is traded in the sandbox: a fixed table of spot pairs, swaps and dated futures, linear and coin-margined.

It holds what an instrument is (sizes, dates, halts) and its temper (price level, activity), but no random number and no
clock: what an instrument's status is at some instant is asked with that instant. Instants are integer microseconds UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from .periods import DAY, SECOND

SPOT, LINEAR, INVERSE, FUTURES = "htx-spot", "htx-linear", "htx-inverse", "htx-futures"
HASHKEY, PERMANENT = "hashkey", "htx-permanent"

AFTER_DELIVERY = 28 * DAY
"""For how long after its delivery a coin-margined future can still be asked for (htx-api 6: about four weeks)."""


def instant(text: str) -> int:
    """Microseconds UTC of an ISO date or time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * SECOND


@dataclass(frozen=True)
class Instrument:
    """One instrument. Times are int microseconds UTC or None; sizes are floats in the venue's units.

    `state` is how its story ends (`online`, `suspend`, `offline`); `status_at` says what it is at an instant.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    kind: str  # spot, swap, future
    price_decimals: int
    tick_units: int  # tick size in units of 10**-price_decimals
    quantity_decimals: int
    lot_units: int  # lot (spot) or contract size (linear) in units of 10**-quantity_decimals
    quote_decimals: int
    level: float  # the price around which it wanders
    trades_per_minute: float
    typical_lots: int
    listed_at: int
    delisted_at: int | None = None
    delivery_at: int | None = None
    halts: tuple[tuple[int, int | None], ...] = ()  # no trade and no candle in [start, end)
    flat_candles: bool = True  # False: a period without trades has no candle at all
    long_digits: bool = False  # quantities of 16 and 17 significant digits, as Java prints doubles
    swing: float = 0.5
    zero_text: str = "0"  # how a derivative candle spells a volume of nothing; `0E-18` is legal (htx-api 1.5)
    funding_eras: tuple[tuple[int, int], ...] = ()  # (from us, interval in hours)
    funding_extra: tuple[int, ...] = ()  # settlements off the grid
    funding_holes: tuple[tuple[int, int], ...] = ()  # settlements that never happened, [start, end)
    face: int = 0  # US dollars per contract, of coin-margined ones

    @property
    def derivative(self) -> bool:
        """Whether it is a contract: amounts are counted in contracts, and on both sides."""
        return self.kind != "spot"

    @property
    def contract_size(self) -> float | None:
        """Coins per contract, or US dollars where it is coin-margined; None on spot."""
        if self.face:
            return float(self.face)
        return self.lot_units / 10.0**self.quantity_decimals if self.derivative else None

    @property
    def tick_size(self) -> float:
        """Smallest price step."""
        return self.tick_units / 10.0**self.price_decimals

    @property
    def lot_size(self) -> float:
        """Smallest quantity step: base units on spot, one contract on derivatives."""
        return 1.0 if self.derivative else self.lot_units / 10.0**self.quantity_decimals

    @property
    def state(self) -> str:
        """How the story ends: online, suspend or offline."""
        if self.delisted_at is not None:
            return "offline"
        return "suspend" if any(end is None for _, end in self.halts) else "online"

    def status_at(self, time: int) -> str:
        """pre-online, online, suspend or offline at an instant (us UTC)."""
        if time < self.listed_at:
            return "pre-online"
        if self.delisted_at is not None and time >= self.delisted_at:
            return "offline"
        halted = any(start <= time and (end is None or time < end) for start, end in self.halts)
        return "suspend" if halted else "online"

    def sessions(self) -> tuple[tuple[int, int], ...]:
        """The half-open spans (us UTC) in which it trades, ascending; an open end is the year 2100."""
        end = self.delisted_at if self.delisted_at is not None else instant("2100-01-01")
        spans, start = [], self.listed_at
        for pause, resume in self.halts:
            spans.append((start, pause))
            start = end if resume is None else resume
        return tuple((a, b) for a, b in [*spans, (start, end)] if a < b)


def _spot(
    symbol: str, base: str, quote: str, listed: str, level: float, price_decimals: int, amount_decimals: int,
    rate: float, lots: int, **more: Any,
) -> Instrument:  # fmt: skip
    digits = min(price_decimals + amount_decimals, 8)
    return Instrument(SPOT, symbol, base, quote, "spot", price_decimals, 1, amount_decimals, 1, digits, level, rate,
                      lots, instant(listed), **more)  # fmt: skip


def _linear(
    symbol: str, listed: str, level: float, price_decimals: int, size: tuple[int, int], rate: float, lots: int,
    *, quote_decimals: int | None = None, delivery: str | None = None, eras: tuple[tuple[str, int], ...] = (),
    **more: Any,
) -> Instrument:  # fmt: skip
    """`size` is the contract size as (units, decimals): (1, 3) is 0.001 coins."""
    units, decimals = size
    delivery_at = instant(delivery) if delivery else None
    if delivery_at is not None:
        more["delisted_at"] = delivery_at
    digits = price_decimals + decimals if quote_decimals is None else quote_decimals
    return Instrument(LINEAR, symbol, symbol.split("-")[0], "USDT", "future" if delivery else "swap", price_decimals,
                      1, decimals, units, digits, level, rate, lots, instant(listed), delivery_at=delivery_at,
                      funding_eras=tuple((instant(since), hours) for since, hours in eras), **more)  # fmt: skip


def _coin(
    venue: str, symbol: str, base: str, listed: int, level: float, price_decimals: int, face: int, rate: float,
    lots: int, *, delivery: int | None = None, eras: tuple[tuple[str, int], ...] = (),
) -> Instrument:  # fmt: skip
    """A coin-margined one: a contract is `face` dollars, and coins are what these buy at a trade's price."""
    return Instrument(venue, symbol, base, "USD", "swap" if delivery is None else "future", price_decimals, 1, 10, 1, 0,
                      level, rate, lots, listed, delisted_at=delivery, delivery_at=delivery, face=face,
                      funding_eras=tuple((instant(since), hours) for since, hours in eras))  # fmt: skip


def is_quarterly(delivery: int) -> bool:
    """Whether a Friday is the last of March, June, September or December."""
    day = datetime.fromtimestamp(delivery // SECOND, UTC)
    return day.month % 3 == 0 and (day + timedelta(days=7)).month != day.month


def quarterly(delivery: int, by: int) -> int:
    """The quarterly delivery that comes `by` quarters after (before, if negative) the one at or before an instant."""
    step = 7 * DAY if by > 0 else -7 * DAY
    while not is_quarterly(delivery):
        delivery -= 7 * DAY
    for _ in range(abs(by)):
        delivery += step
        while not is_quarterly(delivery):
            delivery += step
    return delivery


def _dated(base: str, level: float, decimals: int, face: int, rate: float, lots: int, weekly: bool) -> list[Instrument]:
    """The futures of a coin, by their deliveries. A weekly one is listed two weeks before its delivery, a quarterly one
    when that before the last becomes a future of the next week: four of a coin trade at any time (htx-api 1.2, 6)."""
    out = []
    for delivery in range(_FIRST_DELIVERY, _LAST_DELIVERY, 7 * DAY):
        long = is_quarterly(delivery)
        if not long and not weekly:
            continue
        listed = (quarterly(delivery, -2) if long else delivery) - 14 * DAY
        symbol = f"{base}{datetime.fromtimestamp(delivery // SECOND, UTC):%y%m%d}"
        out.append(_coin(FUTURES, symbol, base, listed, level, decimals, face, rate, lots, delivery=delivery))
    return out


def _hashkey(
    symbol: str, listed: str, level: float, price_decimals: int, size: tuple[int, int], rate: float, lots: int,
    **more: Any,
) -> Instrument:  # fmt: skip
    """`size` is the lot (spot) or the contract size as (units, decimals): (1, 3) is 0.001 coins."""
    units, decimals = size
    pair, _, perpetual = symbol.partition("-")
    kind = "swap" if perpetual else "spot"
    eight, begun = 8 * 3600 * SECOND, instant(listed)
    eras = ((begun // eight * eight + eight, 8),) if perpetual else ()
    return Instrument(HASHKEY, symbol, pair.removesuffix("USDT"), "USDT", kind, price_decimals, 1, decimals, units,
                      price_decimals + decimals, level, rate, lots, begun, funding_eras=eras, **more)


# fmt: off
_FIRST_DELIVERY, _LAST_DELIVERY = instant("2025-10-03T08:00"), instant("2031-01-01")
_HOLE = (instant("2021-02-19T16:00:01"), instant("2021-02-20T16:00"))
_OFF_GRID = tuple(map(instant, (
    "2021-04-07T03:15", "2021-05-06T10:00", "2021-05-19T14:30", "2021-10-28T07:00", "2022-10-19T05:20",
    "2025-08-14T02:40")))

_TABLE = (
    _spot("btcusdt", "BTC", "USDT", "2017-10-27", 30_000.0, 2, 4, 3.0, 200),
    _spot("ethusdt", "ETH", "USDT", "2018-01-01T04:00", 1_800.0, 2, 4, 2.5, 2_000),
    # Prices on both sides of 1e-3, where Java changes to exponents.
    _spot("dogeusdt", "DOGE", "USDT", "2019-07-05", 0.00085, 7, 0, 2.0, 3_000, swing=0.6),
    _spot("pepeusdt", "PEPE", "USDT", "2023-05-06T02:00", 0.00001, 9, 10, 2.0, 0, long_digits=True),
    _spot("ethbtc", "ETH", "BTC", "2017-10-27", 0.03, 6, 4, 0.3, 6_000, swing=0.2),
    # Two very quiet ones: flat candles here, no candle at all there. The client must accept both (htx-api 3.1).
    _spot("steemusdt", "STEEM", "USDT", "2018-05-02T08:00", 0.2, 4, 2, 0.02, 9_000),
    _spot("mdxusdt", "MDX", "USDT", "2021-02-19T10:00", 0.05, 5, 2, 0.05, 30_000, flat_candles=False),
    _spot("nasusdt", "NAS", "USDT", "2018-02-05T12:00", 0.6, 4, 2, 1.0, 5_000,
          delisted_at=instant("2025-02-10T08:00")),
    _spot("wavesusdt", "WAVES", "USDT", "2018-03-14T12:00", 2.0, 4, 4, 2.0, 90_000,
          halts=((instant("2021-06-01T03:00"), instant("2021-06-02T11:30")), (instant("2026-02-03T09:00"), None))),
    _spot("bmtusdt", "BMT", "USDT", "2025-03-18T10:00", 0.12, 5, 1, 2.5, 8_000),
    _spot("币安人生usdt", "币安人生", "USDT", "2025-10-09T08:00", 0.15, 5, 1, 2.0, 7_000),
    _linear("BTC-USDT", "2020-10-21T04:00", 30_000.0, 1, (1, 3), 4.0, 40, eras=(("2020-10-21T16:00", 8),),
            funding_extra=_OFF_GRID, funding_holes=(_HOLE,)),
    _linear("ETH-USDT", "2020-10-21T04:00", 1_800.0, 2, (1, 2), 3.0, 60,
            eras=(("2020-10-21T16:00", 8), ("2024-09-02T00:00", 4))),
    _linear("DOGE-USDT", "2020-12-02T06:00", 0.12, 5, (100, 0), 2.5, 20, quote_decimals=3,
            eras=(("2020-12-02T08:00", 8), ("2025-06-10T00:00", 4), ("2025-06-12T08:00", 8))),
    _linear("SHIB-USDT", "2021-05-10T10:00", 0.00002, 9, (1000, 0), 2.0, 300, quote_decimals=6, swing=0.6,
            eras=(("2021-05-10T16:00", 8),)),
    _linear("MDX-USDT", "2021-03-16T08:00", 0.05, 5, (10, 0), 0.05, 30, quote_decimals=4, flat_candles=False,
            eras=(("2021-03-16T16:00", 8), ("2025-01-06T00:00", 4), ("2026-03-01T00:00", 1))),
    _linear("LUNA-USDT", "2021-03-01T06:00", 0.8, 4, (1, 0), 2.0, 90, eras=(("2021-03-01T08:00", 8),),
            delisted_at=instant("2025-05-13T08:00")),
    # Taken off and listed again: the hole in between has neither candles nor fundings.
    _linear("KSM-USDT", "2021-01-20T06:00", 30.0, 3, (1, 1), 1.0, 30, eras=(("2021-01-20T08:00", 8),),
            zero_text="0E-18", halts=((instant("2025-02-20T08:00"), instant("2025-06-03T06:00")),),
            funding_holes=((instant("2025-02-20T08:00:01"), instant("2025-06-03T06:00")),)),
    _linear("WAVES-USDT", "2021-04-06T06:00", 2.0, 4, (1, 0), 1.5, 200, eras=(("2021-04-06T08:00", 8),),
            halts=((instant("2026-02-03T09:00"), None),),
            funding_holes=((instant("2026-02-03T09:00"), instant("2100-01-01")),)),
    _linear("BMT-USDT", "2026-08-12T08:00", 0.12, 5, (10, 0), 2.5, 50, quote_decimals=4,
            eras=(("2026-08-12T09:00", 1),)),
    _linear("币安人生-USDT", "2025-10-09T10:00", 0.15, 5, (10, 0), 2.0, 50, quote_decimals=4,
            eras=(("2025-10-09T12:00", 4),)),
    _linear("BTC-USDT-250328", "2024-12-27T08:00", 30_300.0, 1, (1, 3), 1.0, 30, delivery="2025-03-28T08:00"),
    _linear("BTC-USDT-261225", "2026-06-26T08:00", 30_600.0, 1, (1, 3), 1.0, 30, delivery="2026-12-25T08:00"),
    _coin(INVERSE, "BTC-USD", "BTC", instant("2020-03-25T04:00"), 30_000.0, 1, 100, 4.0, 40,
          eras=(("2020-03-25T16:00", 8),)),
    _coin(INVERSE, "ETH-USD", "ETH", instant("2020-04-16T04:00"), 1_800.0, 2, 10, 3.0, 60,
          eras=(("2020-04-16T16:00", 8),)),
    _coin(INVERSE, "DOGE-USD", "DOGE", instant("2021-02-04T06:00"), 0.12, 5, 10, 1.5, 20,
          eras=(("2021-02-04T08:00", 8), ("2026-01-12T00:00", 4))),
    *_dated("BTC", 30_200.0, 2, 100, 2.0, 30, weekly=True),
    *_dated("ETH", 1_820.0, 3, 10, 1.0, 30, weekly=False),
    _hashkey("BTCUSDT", "2024-04-08T06:00", 30_000.0, 2, (1, 5), 3.0, 2_000),
    _hashkey("ETHUSDT", "2024-04-08T06:00", 1_800.0, 2, (1, 4), 2.5, 3_000),
    _hashkey("AVAXUSDT", "2024-09-10T08:00", 25.0, 3, (1, 2), 0.02, 900),
    _hashkey("ATOMUSDT", "2024-06-20T08:00", 8.0, 3, (1, 2), 1.0, 900, halts=((instant("2026-02-03T09:00"), None),)),
    _hashkey("BTCUSDT-PERPETUAL", "2024-07-01T06:00", 30_000.0, 1, (1, 3), 4.0, 40),
    _hashkey("ETHUSDT-PERPETUAL", "2024-07-01T06:00", 1_800.0, 2, (1, 3), 3.0, 300),
    _hashkey("DOGEUSDT-PERPETUAL", "2024-10-15T06:00", 0.12, 5, (10, 0), 1.5, 60),
    _hashkey("SOLUSDT-PERPETUAL", "2024-07-15T06:00", 90.0, 2, (1, 2), 1.0, 60,
             delisted_at=instant("2026-04-03T08:00")),
)
# fmt: on

_CROWD = {SPOT: re.compile(r"c(\d{3})usdt"), LINEAR: re.compile(r"C(\d{3})-USDT")}


@cache
def _of_crowd(venue: str, symbol: str) -> Instrument | None:
    """One of the many alike, made from its name; None if it is nobody's."""
    if venue not in _CROWD:
        return None
    found = _CROWD[venue].fullmatch(symbol)
    if found is None:
        return None
    number = int(found[1])
    level, decimals = 3.0 * 10.0 ** (number % 5) * (1.0 + number / 1000.0), 5 - number % 5
    base = f"C{number:03}"
    if venue == SPOT:
        return _spot(symbol, base, "USDT", "2026-01-05", level, decimals, 4, 4.0, 2_000, swing=0.3)
    eras = (("2026-01-05T08:00", 8),)
    return _linear(symbol, "2026-01-05", level, decimals, (1, 2), 4.0, 60, eras=eras, swing=0.3)


class Table(dict[str, Instrument]):
    """symbol -> Instrument. It lists the few that have a story, and knows the crowd too: `c000usdt` to `c999usdt` and
    `C000-USDT` to `C999-USDT`, all of them busy, for those who need a hundred of something (`Sandbox(crowd=...)`)."""

    def __init__(self, venue: str, listed: Iterable[Instrument]) -> None:
        super().__init__((one.symbol, one) for one in listed)
        self._venue = venue

    def __missing__(self, symbol: str) -> Instrument:
        one = _of_crowd(self._venue, symbol)
        if one is None:
            raise KeyError(symbol)
        return one

    def __contains__(self, symbol: object) -> bool:
        return super().__contains__(symbol) or (
            isinstance(symbol, str) and _of_crowd(self._venue, symbol) is not None
        )

    def get(self, symbol: str, default: Any = None) -> Any:
        try:
            return self[symbol]
        except KeyError:
            return default

    def listed(self, crowd: int) -> list[Instrument]:
        """Those with a story, and so many of the crowd."""
        if self._venue not in _CROWD:
            return [*self.values()]
        names = (f"c{number:03}usdt" if self._venue == SPOT else f"C{number:03}-USDT" for number in range(crowd))
        return [*self.values(), *(self[name] for name in names)]


_VENUES = (SPOT, LINEAR, INVERSE, FUTURES, HASHKEY)
INSTRUMENTS: dict[str, Table] = {
    venue: Table(venue, (one for one in _TABLE if one.venue == venue)) for venue in _VENUES
}
"""venue -> symbol -> Instrument, in listing-page order."""

# Permanent sells the linear perpetuals under its own names, which are lower-case letters (permanent-v1 6.2).
INSTRUMENTS[PERMANENT] = Table(PERMANENT, ())
INSTRUMENTS[PERMANENT].update(
    (one.symbol.replace("-", "").lower(), one)
    for one in INSTRUMENTS[LINEAR].values()
    if one.delivery_at is None and one.symbol.isascii()
)


def contract_type(one: Instrument, time: int) -> str:
    """`swap`, or which of the rolling aliases a dated future is at an instant (htx-api 1.2: aliases move)."""
    if one.delivery_at is None:
        return "swap"
    left = one.delivery_at - time
    if one.venue == FUTURES and left > 14 * DAY:
        return "quarter" if time >= quarterly(one.delivery_at, -1) - 14 * DAY else "next_quarter"
    for days, name in ((7, "this_week"), (14, "next_week"), (98, "quarter")):
        if left <= days * DAY:
            return name
    return "next_quarter"


_ALIASES = {"CW": "this_week", "NW": "next_week", "CQ": "quarter", "NQ": "next_quarter"}


def contract(code: str, time: int) -> Instrument | None:
    """The linear contract of a code (in any case) or of a rolling alias such as BTC-USDT-CQ, if listed by `time`."""
    table = INSTRUMENTS[LINEAR]
    one = table.get(code.upper())
    pair, _, alias = code.upper().rpartition("-")
    if one is None and alias in _ALIASES:
        one = next(
            (
                other
                for other in table.values()
                if other.symbol.startswith(pair + "-")
                and other.status_at(time) == "online"
                and contract_type(other, time) == _ALIASES[alias]
            ),
            None,
        )
    return None if one is None or one.status_at(time) == "pre-online" else one


def swap(code: str, time: int) -> Instrument | None:
    """The coin-margined swap of a code (in any case), if listed by `time`."""
    one: Instrument | None = INSTRUMENTS[INVERSE].get(code.upper())
    return None if one is None or one.status_at(time) == "pre-online" else one


def future(code: str, time: int) -> Instrument | None:
    """The coin-margined future of a code (`BTC260213`, in any case) or of a rolling alias (`BTC_CQ`), if it is listed,
    or was delivered in the last four weeks."""
    table = INSTRUMENTS[FUTURES]
    one: Instrument | None = table.get(code.upper())
    coin, _, alias = code.upper().rpartition("_")
    if one is None and alias in _ALIASES:
        meant = (other for other in table.values() if other.base == coin and other.status_at(time) == "online")
        one = next((other for other in meant if contract_type(other, time) == _ALIASES[alias]), None)
    return one if one is not None and still_known(one, time) else None


def still_known(one: Instrument, time: int) -> bool:
    """Whether a contract is listed, or was delivered so recently that it can still be asked for."""
    gone = one.venue == FUTURES and one.delivery_at is not None and time >= one.delivery_at + AFTER_DELIVERY
    return one.status_at(time) != "pre-online" and not gone
