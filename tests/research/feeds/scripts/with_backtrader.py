"""backtrader: the CSV as it is, resampled to 5 minutes by the engine; one order; fundings from a line of their own."""

import json
import sys
from pathlib import Path

import backtrader as bt

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])


example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
minutes = example["minutes"]


class Carry(bt.Strategy):
    def __init__(self) -> None:
        self.rows, self.fives, self.fills, self.paid = [], [], [], 0.0

    def notify_order(self, order) -> None:
        if order.status == order.Completed:
            self.fills.append(
                [bt.num2date(order.executed.dt).isoformat(" ", "seconds"), order.executed.price]
            )

    def next(self) -> None:
        minute, five = self.datas
        if len(minute) != len(self.rows):
            line = (minute.open[0], minute.high[0], minute.low[0], minute.close[0], minute.volume[0])
            self.rows.append([bt.num2date(minute.datetime[0]).isoformat(" ", "seconds"), *line])
            self.paid -= self.getposition(minute).size * minute.close[0] * minute.funding[0]
            if len(self.rows) == ask["buy"] + 1:
                self.buy(minute, size=1)
            if len(self.rows) == ask["sell"] + 1:
                self.close(minute)
        if len(five) != len(self.fives):
            line = (five.open[0], five.high[0], five.low[0], five.close[0], five.volume[0])
            self.fives.append([bt.num2date(five.datetime[0]).isoformat(" ", "seconds"), *line])

    def prenext(self) -> None:
        self.next()


cerebro = bt.Cerebro()
cerebro.broker.setcash(1e6)
cerebro.adddata(minutes)
cerebro.resampledata(minutes, timeframe=bt.TimeFrame.Minutes, compression=5)
cerebro.addstrategy(Carry)
(done,) = cerebro.run(runonce=False, stdstats=False)
print(json.dumps({
    "bars": len(done.rows), "first": done.rows[0], "last": done.rows[-1], "volume": sum(row[5] for row in done.rows),
    "five": done.fives[:2], "fives": len(done.fives), "entry": done.fills[0], "exit": done.fills[1],
    "funding": done.paid,
}))  # fmt: skip
