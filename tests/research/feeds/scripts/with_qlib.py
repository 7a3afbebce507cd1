"""qlib: the folder as its provider; features, an expression over slots, and a top-1 strategy in its own backtest."""

import json
import sys
from pathlib import Path

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
D, frame = example["D"], example["frame"]
row = lambda at: [str(frame.index[at][1]), *frame.iloc[at].tolist()]  # noqa: E731
ref = D.features(["BTC-USDT"], ["Ref($close, 1)", "$close/Ref($close, 5)-1"], freq="1min").iloc[:, 0]
sparse = D.features(["MDX-USDT"], ["$close"], freq="1min")["$close"]
calendar = D.calendar(freq="1min")
pool = D.list_instruments(D.instruments("all"), freq="1min")
days = D.features(["BTC-USDT", "ETH-USDT"], ["$close", "$volume"], freq="day")

from qlib.backtest import backtest  # noqa: E402
from qlib.backtest.decision import Order, TradeDecisionWO  # noqa: E402
from qlib.strategy.base import BaseStrategy  # noqa: E402


class Once(BaseStrategy):
    """Buy at the first step, sell at the second."""

    def generate_trade_decision(self, execute_result=None):
        step = self.trade_calendar.get_trade_step()
        start, end = self.trade_calendar.get_step_time(step)
        way = {0: Order.BUY, 1: Order.SELL}.get(step)
        orders = [] if way is None else [Order("BTC-USDT", 1.0, way, start, end)]
        return TradeDecisionWO(orders, self)


executor = {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor",
            "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True}}  # fmt: skip
exchange = {"freq": "day", "deal_price": "close", "open_cost": 0.0, "close_cost": 0.0, "min_cost": 0.0,
            "limit_threshold": None, "codes": ["BTC-USDT"], "trade_unit": None}  # fmt: skip
metrics, _ = backtest(
    start_time="2024-01-02", end_time="2024-01-03", strategy=Once(), executor=executor, benchmark="BTC-USDT",
    account=1e6, exchange_kwargs=exchange,
)  # fmt: skip
report, _ = metrics["1day"]
print(json.dumps({
    "bars": len(frame), "first": row(0), "last": row(-1), "volume": float(frame["$volume"].astype("f8").sum()),
    "ref": [str(ref.index[1][1]), float(ref.iloc[1])], "calendar": [str(calendar[0]), str(calendar[-1]), len(calendar)],
    "sparse": [len(sparse), int(sparse.notna().sum())],
    "pool": {name: [[str(end) for end in span] for span in spans] for name, spans in pool.items()},
    "days": [[name, str(at), float(close), float(volume)] for (name, at), (close, volume) in
             zip(days.index, days.to_numpy(), strict=True)],
    "funding": float(frame["$funding"].astype("f8").abs().sum()),
    "account": report["account"].tolist(), "cash": report["cash"].tolist(),
}))  # fmt: skip
