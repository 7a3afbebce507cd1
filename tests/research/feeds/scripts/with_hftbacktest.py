"""hftbacktest: two days replayed; the book as the engine rebuilt it, the trades as we heard them, one order."""

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import GTC, MARKET, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.data import validate_event_order
from hftbacktest.types import BUY_EVENT, DEPTH_CLEAR_EVENT, EXCH_EVENT, LOCAL_EVENT, TRADE_EVENT, event_dtype

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
about = json.loads((folder / "btc-usdt.json").read_text())
files = sorted(str(path) for path in folder.glob("*.npz"))
days = [np.load(path)["data"] for path in files]
for rows in days:
    assert rows.dtype == event_dtype, rows.dtype
    validate_event_order(rows)


def replay(held: list[str] | None, until: list[int]) -> dict:
    """The book at instants of our clock; ``None``: of the files that the example names."""
    if held is None:
        example: dict = {}
        exec(ask["example"], example)  # of docs/backtesters.md
        asset = example["asset"]
    else:
        asset = BacktestAsset().data(held).linear_asset(1.0)
        asset = asset.tick_size(about["tick_size"]).lot_size(about["lot_size"])
    asset = (
        asset.constant_order_latency(1_000_000, 1_000_000)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
    )
    asset = asset.trading_value_fee_model(0.0, 0.0).last_trades_capacity(100_000)
    engine = HashMapMarketDepthBacktest([asset])
    seen, volume, fills = {}, 0.0, None
    for at in until:
        engine.elapse(
            1
        ) if engine.current_timestamp > at else None  # the clock stands at the first event after a step
        engine.elapse(at - engine.current_timestamp)
        depth = engine.depth(0)
        book = depth.snapshot()
        seen[str(at)] = sorted(
            [
                "bid" if row["ev"] & BUY_EVENT else "ask",
                round(float(row["px"]), 6),
                round(float(row["qty"]), 6),
            ]
            for row in book.copy()
        )
        trades = engine.last_trades(0)
        volume += float(trades["qty"].sum())
        engine.clear_last_trades(0)
    if ask.get("order"):
        best = engine.depth(0).best_ask
        engine.submit_buy_order(0, 1, best, about["lot_size"], GTC, MARKET, False)
        engine.wait_order_response(0, 1, 10_000_000_000)
        order = engine.orders(0).get(1)
        fills = [float(best), float(order.exec_price), float(engine.position(0))]
    engine.close()
    return {"books": seen, "volume": volume, "fill": fills}


def told(row: np.void) -> list:
    return [int(row["exch_ts"]), int(row["local_ts"]), float(row["px"]), float(row["qty"])]


out = replay(None, ask["until"])
alone = replay(files[1:], ask["until"][-1:])
kinds = [rows["ev"] & 0xFF for rows in days]
traded = [rows[kind == TRADE_EVENT] for rows, kind in zip(days, kinds, strict=True)]
heard = [rows[rows["ev"] & LOCAL_EVENT == LOCAL_EVENT] for rows in traded]
print(json.dumps({
    **out, "alone": alone["books"], "rows": [len(rows) for rows in days],
    "trades": sum(len(rows) for rows in heard), "buys": int(sum((rows["ev"] & BUY_EVENT > 0).sum() for rows in heard)),
    "first": told(heard[0][0]), "last": told(heard[-1][-1]),
    "quantity": float(sum(rows["qty"].sum() for rows in heard)),
    "late": int(min((rows["local_ts"] - rows["exch_ts"]).min() for rows in days)),
    "begins": [int(kind[0]) == DEPTH_CLEAR_EVENT for kind in kinds],
    "split": int(sum((rows["ev"] & (EXCH_EVENT | LOCAL_EVENT) != EXCH_EVENT | LOCAL_EVENT).sum() for rows in days)),
}))  # fmt: skip
