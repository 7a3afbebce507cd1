"""freqtrade: files by its own data handler, fundings as it pays them, a strategy in its own backtester (spot).

Its backtester asks the exchange for markets, which cannot be had here: they are given, nothing else is.
"""

import json
import logging
import sys
from pathlib import Path
from unittest.mock import PropertyMock, patch

import pandas as pd
from freqtrade.data.history import load_pair_history
from freqtrade.data.history.datahandlers import get_datahandler
from freqtrade.enums import CandleType, RunMode, TradingMode
from freqtrade.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting

logging.disable(logging.CRITICAL)
folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
columns = ["date", "open", "high", "low", "close", "volume"]
pair = "BTC/USDT:USDT"


def load(name: str, timeframe: str, kind: CandleType, fill: bool = True) -> pd.DataFrame:
    return load_pair_history(
        name, timeframe, folder, candle_type=kind, fill_up_missing=fill, drop_incomplete=False
    )


def row(frame: pd.DataFrame, at: int) -> list:
    return [str(frame["date"].iloc[at]), *frame.iloc[at][columns[1:]].astype(float).tolist()]


example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
minutes, funding = example["minutes"], example["funding"]
days = load(pair, "1d", CandleType.FUTURES)
sparse = [len(load("MDX/USDT:USDT", "1m", CandleType.FUTURES, fill)) for fill in (False, True)]
mark = load(pair, "1h", CandleType.MARK)
fees = Exchange.combine_funding_and_mark(funding, mark)
when = [pd.Timestamp(at, tz="UTC") for at in ask["held"]]
paid = Exchange.calculate_funding_fees(
    None, fees, amount=2.0, is_short=False, open_date=when[0], close_date=when[1]
)
trades = get_datahandler(folder, "feather").trades_load("BTC/USDT", TradingMode.SPOT)
pairs = get_datahandler(folder, "feather").ohlcv_get_available_data(folder, TradingMode.FUTURES)

Path("user_data/strategies").mkdir(parents=True)
Path("user_data/strategies/once.py").write_text(f"""
from freqtrade.strategy import IStrategy

class Once(IStrategy):
    timeframe, minimal_roi, stoploss, can_short, startup_candle_count = "5m", {{"0": 10}}, -0.99, False, 0

    def populate_indicators(self, frame, about):
        return frame

    def populate_entry_trend(self, frame, about):
        frame.loc[frame.index == {ask["buy"]}, "enter_long"] = 1
        return frame

    def populate_exit_trend(self, frame, about):
        frame.loc[frame.index == {ask["sell"]}, "exit_long"] = 1
        return frame
""")
config = {
    "strategy": "Once", "strategy_path": "user_data/strategies", "user_data_dir": Path("user_data").resolve(),
    "datadir": folder, "dataformat_ohlcv": "feather", "dataformat_trades": "feather", "runmode": RunMode.BACKTEST,
    "exchange": {"name": "htx", "pair_whitelist": ["BTC/USDT"], "pair_blacklist": [], "key": "", "secret": ""},
    "pairs": ["BTC/USDT"], "pairlists": [{"method": "StaticPairList"}], "stake_currency": "USDT", "stake_amount": 1000,
    "dry_run_wallet": 10_000, "dry_run": True, "trading_mode": TradingMode.SPOT, "margin_mode": "", "fee": 0.0,
    "candle_type_def": CandleType.SPOT, "timerange": "", "max_open_trades": 1, "export": "none",
    "entry_pricing": {"price_side": "same", "use_order_book": False}, "tradable_balance_ratio": 0.99,
    "exit_pricing": {"price_side": "same", "use_order_book": False}, "cancel_open_orders_on_exit": False,
    "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"}, "internals": {},
}  # fmt: skip
market = {
    "id": "btcusdt", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "spot": True, "active": True, "type": "spot",
    "margin": False, "swap": False, "future": False, "linear": None, "taker": 0.0, "maker": 0.0, "contractSize": None,
    "precision": {"price": 0.01, "amount": 1e-06}, "info": {},
    "limits": {"amount": {"min": 1e-6, "max": None}, "price": {"min": None, "max": None},
               "cost": {"min": 1, "max": None}, "leverage": {"min": None, "max": None}},
}  # fmt: skip
with (
    patch.object(Exchange, "reload_markets"),
    patch.object(Exchange, "validate_config"),
    patch.object(Exchange, "markets", PropertyMock(return_value={"BTC/USDT": market})),
    patch.object(Exchange, "get_fee", return_value=0.0),
):
    tester = Backtesting(config)
    tester._set_strategy(tester.strategylist[0])
    data, span = tester.load_bt_data()
    frames = tester.strategy.advise_all_indicators(data)
    done = tester.backtest(processed=frames, start_date=span.startdt or data["BTC/USDT"]["date"].iloc[0],
                           end_date=span.stopdt or data["BTC/USDT"]["date"].iloc[-1])  # fmt: skip
deal = done["results"].iloc[0]
print(json.dumps({
    "bars": len(minutes), "first": row(minutes, 0), "last": row(minutes, -1), "volume": float(minutes["volume"].sum()),
    "days": [row(days, at) for at in range(len(days))], "sparse": sparse, "pairs": sorted(map(str, pairs)),
    "fundings": [[str(at), float(rate)] for at, rate in zip(funding["date"], funding["funding_rate"], strict=True)],
    "paid": float(paid), "trades": len(trades), "trade": json.loads(trades.iloc[:1].to_json(orient="values"))[0],
    "deal": [str(deal["open_date"]), float(deal["open_rate"]), str(deal["close_date"]), float(deal["close_rate"])],
    "zone": str(minutes["date"].dtype),
}))  # fmt: skip
