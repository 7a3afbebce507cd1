"""What the owner of a key did here: orders, fills and balances as pure functions of the seed.

Own fills are trades of the market at their time: of every stretch of `every` at most one of the market's taker orders
is ours. Either we were its taker (all its fills are ours), or the maker of its first fill (one fill, on the other
side). Now and then an order of ours is cancelled without a fill. Balances follow from the fills; after every `SWEEP`
stretches a transfer brings them back to what they were, so that a balance needs no history from the beginning of time.
No clock here: who asks says how late it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from .instruments import HASHKEY, INSTRUMENTS, LINEAR, PERMANENT, SPOT, Instrument
from .market import Market
from .noise import key_of
from .recent import Recent

ACCOUNT, OTHERS = 13_496_526, ((13_496_527, "otc"), (13_496_528, "point"))
"""The number of the spot account, and of those that hold nothing."""

USER = 28_483_123
TRADED = {
    SPOT: ("btcusdt", "ethusdt", "dogeusdt"),
    LINEAR: ("BTC-USDT", "ETH-USDT"),
    HASHKEY: ("BTCUSDT", "ETHUSDT", "BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL"),
    PERMANENT: ("btcusdt", "ethusdt"),
}
_PLACES = [(venue, symbol) for venue, symbols in TRADED.items() for symbol in symbols]
"""What an order's number says of where it was placed."""

PURSES = {
    SPOT: {"usdt": Decimal(1_000_000), "btc": Decimal(50), "eth": Decimal(500), "doge": Decimal(5_000_000)},
    HASHKEY: {"USDT": Decimal(1_000_000), "BTC": Decimal(50), "ETH": Decimal(500)},
}
"""What the spot account of each exchange holds after each sweep."""

SWEEP = 60
_LOOK = 600_000_000  # us of a stretch in which an order of ours is looked for
_FEE, _REBATE = Decimal("0.002"), Decimal("-0.00005")
_DIGITS = Decimal("1e-18")


@dataclass(frozen=True)
class Fill:
    """One fill of ours. Times are us UTC (whole ms); numbers are exact. `match` is the taker order's number."""

    record: int
    time: int
    trade_id: int
    match: int
    price: Decimal
    quantity: Decimal
    contracts: int
    fee: Decimal
    fee_currency: str


@dataclass(frozen=True)
class Order:
    """One order of ours, as it looks in the end. `price` None: a market order. Times are us UTC."""

    number: int
    client_id: str
    one: Instrument
    side: str
    type: str
    role: str
    price: Decimal | None
    amount: Decimal  # of a market buy: what was to be paid
    created_at: int
    finished_at: int
    state: str
    fills: tuple[Fill, ...]

    @property
    def symbol(self) -> str:
        return self.one.symbol

    def seen_at(self, now: int) -> Order | None:
        """As it was at that time: open until it is finished, None before it was placed."""
        if self.created_at > now:
            return None
        fills = tuple(fill for fill in self.fills if fill.time <= now)
        if self.finished_at <= now:
            return self
        state = "partial-filled" if fills else "submitted"
        return Order(**{**vars(self), "fills": fills, "state": state})


@dataclass(frozen=True)
class Change:
    """A balance changed. `sequence` counts the changes of a currency. `fee` is what of the change is one."""

    time: int
    currency: str
    kind: str
    amount: Decimal
    balance: Decimal
    sequence: int
    fee: Decimal = Decimal(0)


@dataclass(frozen=True)
class Record:
    """A line of the account's ledger. `number` is its own; `balance` is what was held after it."""

    number: int
    time: int
    currency: str
    kind: str
    amount: Decimal
    balance: Decimal


class Own:
    """Our orders on spot, linear swaps, permanent and HashKey. `every` (us): the length of a stretch. Times: us UTC."""

    def __init__(self, market: Market, every: int) -> None:
        self._market, self.every = market, every
        self._orders, self._changes = Recent(4096), Recent(64)

    # ------------------------------------------------------------------------------------------------- orders

    def orders(self, venue: str, symbol: str, start: int, end: int, now: int) -> list[Order]:
        """Orders created in [start, end), as they look at `now`, ascending."""
        found = (one.seen_at(now) for one in self._ever(venue, symbol, start, end))
        return [one for one in found if one is not None and start <= one.created_at < end]

    def fills(self, venue: str, symbol: str, start: int, end: int, now: int) -> list[tuple[Order, Fill]]:
        """Fills with start <= time < end that happened by `now`, ascending, each with its order as it looks then."""
        end = min(end, now + 1)
        return sorted(
            (
                (seen, fill)
                for order in self._ever(venue, symbol, start - 60_000_000, end)
                if (seen := order.seen_at(now)) is not None
                for fill in seen.fills
                if start <= fill.time < end
            ),
            key=lambda pair: (pair[1].time, pair[1].trade_id),
        )

    def order(self, number: int, now: int) -> Order | None:
        """The order with that number."""
        place, stretch = number % 64, number // 64
        if not 0 <= place < len(_PLACES) or not 0 < stretch * self.every <= now:
            return None
        made = self._made(*_PLACES[place], stretch)
        return None if made is None else made.seen_at(now)

    @staticmethod
    def place_of(number: int) -> tuple[str, str]:
        """Where an order was placed: the venue, and the symbol by the name that the order was given."""
        return _PLACES[number % 64]

    def _ever(self, venue: str, symbol: str, start: int, end: int) -> Iterator[Order]:
        if symbol not in TRADED[venue]:
            return
        for stretch in range(max(start // self.every, 1), -(-end // self.every)):
            made = self._made(venue, symbol, stretch)
            if made is not None:
                yield made

    def _made(self, venue: str, symbol: str, stretch: int) -> Order | None:
        made: list[Order | None] = self._orders.or_make(
            (venue, symbol, stretch), lambda: [self._make(venue, symbol, stretch)]
        )
        return made[0]

    def _make(self, venue: str, symbol: str, stretch: int) -> Order | None:
        one, dice = INSTRUMENTS[venue][symbol], key_of("own", self._market.seed, venue, symbol, stretch)
        start, end = stretch * self.every, (stretch + 1) * self.every
        since = start + dice % max(1, self.every // 2)
        rows = self._market.orders(venue, symbol, since, min(end, since + _LOOK))
        if not len(rows["trade_id"]):
            return None
        chosen = [place for place, order in enumerate(rows["order"]) if order == rows["order"][0]]
        number, at = stretch * 64 + _PLACES.index((venue, symbol)), int(rows["trade_time"][0])
        maker, cancelled = dice >> 8 & 3 == 0, dice >> 10 & 7 == 0
        taken = str(rows["side"][0])
        side = {"buy": "sell", "sell": "buy"}[taken] if maker else taken
        fills = (
            []
            if cancelled
            else [
                self._fill(venue, one, rows, row, side, maker, key_of("record", number, row))
                for row in (chosen[:1] if maker else chosen)
            ]
        )
        best, total = _price(one, rows, 0), sum((fill.quantity for fill in fills), Decimal(0))
        market_order = not maker and not cancelled and dice >> 13 & 1 == 0
        kind = "limit-maker" if maker else "market" if market_order else "limit"
        amount = total or _quantity(venue, one, rows, 0)
        if market_order and side == "buy":
            amount = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
        partial = maker and bool(fills) and dice >> 14 & 1 == 0
        return Order(
            number=number,
            client_id=f"own{number:x}",
            one=one,
            side=side,
            type=f"{side}-{kind}",
            role="maker" if maker else "taker",
            price=None if market_order else fills[-1].price if fills else best,
            amount=amount * 2 if partial else amount,
            created_at=max(start, at - (dice >> 16) % 20_000 * 1000) if maker else at,
            finished_at=at + 2_000_000 if cancelled or partial else at,
            state="canceled" if cancelled else "partial-canceled" if partial else "filled",
            fills=tuple(fills),
        )

    def _fill(
        self, venue: str, one: Instrument, rows: Any, row: int, side: str, maker: bool, record: int
    ) -> Fill:
        price, quantity = _price(one, rows, row), _quantity(venue, one, rows, row)
        rate = _REBATE if maker and one.venue == SPOT and record % 3 == 0 else _FEE
        cost = price * quantity
        # A fee is taken from what was bought; a rebate is paid in the other currency (htx-ws-v2 4). Contracts: USDT.
        in_base = not one.derivative and (side == "buy") == (rate > 0)
        paid_in = one.base if in_base else one.quote
        fee = ((quantity if in_base else cost) * rate).quantize(_DIGITS, ROUND_DOWN)
        return Fill(
            record=10**14 + record % (9 * 10**14),
            time=int(rows["trade_time"][row]),
            trade_id=int(rows["trade_id"][row]),
            match=int(rows["order"][row]),
            price=price,
            quantity=quantity,
            contracts=_contracts(venue, rows, row) if one.derivative else 0,
            fee=fee,
            fee_currency=paid_in.lower() if one.venue == SPOT else paid_in,
        )

    # ----------------------------------------------------------------------------------------------- balances

    def balances(self, now: int, venue: str = SPOT) -> dict[str, tuple[Decimal, int]]:
        """Of every currency of the spot account the balance at `now` and the number of its last change."""
        found: dict[str, tuple[Decimal, int]] = {}
        sweep = now // (self.every * SWEEP)
        for currency, held in PURSES[venue].items():
            found[currency] = held, sweep * 10_000
        for change in self._swept(venue, sweep, now):
            found[change.currency] = change.balance, change.sequence
        return found

    def changes(self, start: int, end: int, now: int) -> list[Change]:
        """The changes of all currencies with start <= time < end that happened by `now`, ascending."""
        length, end = self.every * SWEEP, min(end, now + 1)
        found = (
            change
            for sweep in range(start // length, -(-end // length))
            for change in self._swept(SPOT, sweep, now)
        )
        return [change for change in found if start <= change.time < end]

    def records(self, start: int, end: int, now: int) -> list[Record]:
        """The ledger of the spot account: what `changes` tells, a fee by itself behind what it was paid for."""
        out = []
        for one in self.changes(start, end, now):
            parts = [({"order.match": "trade"}.get(one.kind, one.kind), one.amount - one.fee)]
            if one.fee:
                parts.append(("transact-fee" if one.fee < 0 else "rebate", one.fee))
            held = one.balance - one.amount
            for place, (kind, amount) in enumerate(parts):
                held += amount
                number = 359 * 10**15 + key_of("ledger", one.currency, one.sequence, place) % 10**15
                out.append(Record(number, one.time, one.currency, kind, amount, held))
        return out

    def _swept(self, venue: str, sweep: int, now: int) -> list[Change]:
        """The changes of one sweep by `now`: the transfer that it begins with, and its fills."""
        length = self.every * SWEEP
        if now >= (sweep + 1) * length:
            kept: list[Change] = self._changes.or_make(
                (venue, sweep), lambda: self._happened(venue, sweep, now)
            )
            return kept
        return self._happened(venue, sweep, now)

    def _happened(self, venue: str, sweep: int, now: int) -> list[Change]:
        start, end = sweep * self.every * SWEEP, (sweep + 1) * self.every * SWEEP
        pairs = sorted(
            (
                pair
                for symbol in TRADED[venue]
                if not INSTRUMENTS[venue][symbol].derivative
                for pair in self.fills(venue, symbol, start, end, now)
            ),
            key=lambda pair: (pair[1].time, pair[1].record),
        )
        held, spelled = dict(PURSES[venue]), str.lower if venue == SPOT else str.upper
        count, out = dict.fromkeys(held, sweep * 10_000), []
        usdt = spelled("usdt")
        out.append(Change(start, usdt, "transfer", Decimal(10), held[usdt], count[usdt]))
        for order, fill in pairs:
            sign = 1 if order.side == "buy" else -1
            moved = {
                spelled(order.one.base): sign * fill.quantity,
                spelled(order.one.quote): -sign * fill.price * fill.quantity,
            }
            moved[fill.fee_currency] = moved.get(fill.fee_currency, Decimal(0)) - fill.fee
            for currency, amount in moved.items():
                held[currency] += amount
                count[currency] += 1
                fee = -fill.fee if currency == fill.fee_currency else Decimal(0)
                out.append(
                    Change(fill.time, currency, "order.match", amount, held[currency], count[currency], fee)
                )
        return out


def _price(one: Instrument, rows: Any, row: int) -> Decimal:
    return Decimal(f"{rows['price'][row]:.{one.price_decimals}f}")


def _quantity(venue: str, one: Instrument, rows: Any, row: int) -> Decimal:
    """Base units of one side."""
    if one.contract_size is None:
        return Decimal(f"{rows['quantity'][row]:.{one.quantity_decimals}f}")
    return _contracts(venue, rows, row) * Decimal(repr(one.contract_size))


def _contracts(venue: str, rows: Any, row: int) -> int:
    """Contracts of one side: HTX counts both in what it tells of the market, HashKey one. Of permanent it is not said
    [unknown]: one, so that a fill and the public trade that it was say the same."""
    return int(rows["contracts"][row]) // (1 if venue in (HASHKEY, PERMANENT) else 2)
