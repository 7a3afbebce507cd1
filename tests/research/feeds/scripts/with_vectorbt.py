"""vectorbt: two symbols of unlike reach aligned by Data, a portfolio from signals."""

import json
import sys
from pathlib import Path

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
vbt, frames, data, close = example["vbt"], example["frames"], example["data"], example["close"]
volume = data.get("Volume")
entries = close.notna() & False
exits = entries.copy()
entries.iloc[ask["buy"]] = True
exits.iloc[ask["sell"]] = True
portfolio = vbt.Portfolio.from_signals(close, entries, exits, init_cash=1e6, size=1.0, freq="1min")
btc = portfolio.trades.records_readable[lambda table: table["Column"] == "BTC-USDT"].iloc[0]
made = frames["BTC-USDT"]
names = ["Open", "High", "Low", "Close", "Volume"]
print(json.dumps({
    "bars": len(close), "zone": str(close.index.tz), "name": made.index.name, "columns": list(close.columns),
    "nan": int(close["ETH-USDT"].isna().sum()), "volume": float(volume["BTC-USDT"].sum()),
    "first": [str(made.index[0]), *made.iloc[0][names].tolist()],
    "last": [str(made.index[-1]), *made.iloc[-1][names].tolist()],
    "entry": [str(btc["Entry Timestamp"]), float(btc["Avg Entry Price"])],
    "exit": [str(btc["Exit Timestamp"]), float(btc["Avg Exit Price"])],
    "pnl": float(btc["PnL"]), "funding": float(made["Funding"].sum()),
    "period": str(portfolio.wrapper.freq),
}))  # fmt: skip
