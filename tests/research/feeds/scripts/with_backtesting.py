"""backtesting.py: load the file, buy in one bar, sell in another, pay the fundings in between."""

import json
import sys
from pathlib import Path

from backtesting import Strategy

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])


class Carry(Strategy):
    paid = 0.0

    def init(self) -> None:
        Carry.paid = 0.0

    def next(self) -> None:
        now = len(self.data) - 1
        if self.position:
            Carry.paid -= self.position.size * self.data.Close[-1] * self.data.Funding[-1]
        if now == ask["buy"]:
            self.buy(size=1_000_000)  # of FractionalBacktest's unit, 1e-8
        if now == ask["sell"]:
            self.position.close()


example: dict = {"Carry": Carry}
exec(ask["example"], example)  # of docs/backtesters.md
frame, test = example["frame"], example["test"]
stats = test.run()
trade = stats["_trades"].iloc[0]
first, last = frame.iloc[0], frame.iloc[-1]
print(json.dumps({
    "bars": len(frame), "zone": str(frame.index.tz), "volume": float(frame["Volume"].sum()),
    "first": [str(frame.index[0]), *first[["Open", "High", "Low", "Close", "Volume"]].tolist()],
    "last": [str(frame.index[-1]), *last[["Open", "High", "Low", "Close", "Volume"]].tolist()],
    "entry": [str(trade.EntryTime), float(trade.EntryPrice) / (1 if trade.EntryPrice > 1 else 1e-8)],
    "exit": [str(trade.ExitTime), float(trade.ExitPrice) / (1 if trade.ExitPrice > 1 else 1e-8)],
    "size": float(trade.Size), "funding": Carry.paid,
}))  # fmt: skip
