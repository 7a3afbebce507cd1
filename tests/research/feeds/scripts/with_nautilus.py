"""nautilus_trader: the catalogue queried, and a backtest over its bars with one order each way."""

import json
import sys
from pathlib import Path

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType, TradeTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.trading.strategy import Strategy

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
catalog, instrument, bars, fundings = (
    example["catalog"],
    example["instrument"],
    example["bars"],
    example["fundings"],
)
name = "BTC-USDT.HTX"
days = catalog.bars(bar_types=[f"{name}-1-DAY-LAST-EXTERNAL"])
ticks = catalog.trade_ticks(instrument_ids=[name])


class Once(Strategy):
    """Two orders, and the fundings of the bars between them, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.fills, self.paid = 0, [], []

    def on_start(self) -> None:
        self.subscribe_bars(BarType.from_str(f"{name}-1-MINUTE-LAST-EXTERNAL"))
        self.subscribe_funding_rates(InstrumentId.from_str(name))

    def on_bar(self, bar) -> None:
        side = {ask["buy"]: OrderSide.BUY, ask["sell"]: OrderSide.SELL}.get(self.count)
        if side is not None:
            self.submit_order(self.order_factory.market(instrument.id, side, Quantity.from_str("0.100")))
        self.count += 1

    def on_funding_rate(self, update) -> None:
        self.paid.append([update.ts_event, str(update.rate)])

    def on_order_filled(self, event) -> None:
        self.fills.append([event.ts_event, str(event.last_px), str(event.last_qty)])


engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
engine.add_venue(
    Venue("HTX"), OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)], base_currency=None
)
engine.add_instrument(instrument)
engine.add_data(bars)
engine.add_data(fundings)
strategy = Once()
engine.add_strategy(strategy)
engine.run()


def row(bar) -> list:
    return [bar.ts_event, bar.ts_init, *map(str, (bar.open, bar.high, bar.low, bar.close, bar.volume))]


print(json.dumps({
    "bars": len(bars), "first": row(bars[0]), "last": row(bars[-1]), "seen": strategy.count,
    "volume": str(sum(bar.volume.as_decimal() for bar in bars)), "days": [row(bar) for bar in days],
    "instrument": [type(instrument).__name__, str(instrument.price_increment), str(instrument.size_increment)],
    "ticks": len(ticks), "tick": [ticks[0].ts_event, str(ticks[0].price), str(ticks[0].size),
                                  ticks[0].aggressor_side.name, str(ticks[0].trade_id)],
    "quantity": str(sum(tick.size.as_decimal() for tick in ticks)), "kind": TradeTick.__name__,
    "buys": sum(tick.aggressor_side.name == "BUYER" for tick in ticks),
    "fills": strategy.fills, "fundings": strategy.paid,
}))  # fmt: skip
engine.dispose()
