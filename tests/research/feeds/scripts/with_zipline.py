"""zipline-reloaded: the bundle ingested, its readers asked, an algorithm run on minutes."""

import json
import os
import sys
import tempfile
from pathlib import Path

home = tempfile.mkdtemp()
os.environ["ZIPLINE_ROOT"] = home
import pandas as pd  # noqa: E402
from zipline import run_algorithm  # noqa: E402
from zipline.api import order, set_commission, set_slippage, symbol  # noqa: E402
from zipline.finance import commission, slippage  # noqa: E402
from zipline.utils.calendar_utils import get_calendar  # noqa: E402

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])
example: dict = {}
exec(ask["example"], example)  # of docs/backtesters.md
bundles = example["bundles"]
held = bundles.load("htx")
asset = held.asset_finder.lookup_symbol("BTC-USDT", as_of_date=None)
other = held.asset_finder.lookup_symbol("MDX-USDT", as_of_date=None)
calendar = get_calendar("24/7")
minutes = calendar.sessions_minutes(pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-04"))
fields = ["open", "high", "low", "close", "volume"]
reader = held.equity_minute_bar_reader
columns = [array[:, 0] for array in reader.load_raw_arrays(fields, minutes[0], minutes[-1], [asset.sid])]
frame = pd.DataFrame(dict(zip(fields, columns, strict=True)), index=minutes)
sparse = reader.load_raw_arrays(["close"], minutes[0], minutes[-1], [other.sid])[0][:, 0]
sessions = calendar.sessions_in_range(pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-04"))
days = [array[:, 0].tolist() for array in held.equity_daily_bar_reader.load_raw_arrays(
    fields, sessions[0], sessions[-1], [asset.sid])]  # fmt: skip
late = held.asset_finder.lookup_symbol("ETH-USDT", as_of_date=None)


def initialize(context) -> None:
    set_commission(commission.NoCommission())
    set_slippage(slippage.NoSlippage())
    context.at, context.seen = 0, []


def handle_data(context, data) -> None:
    btc = symbol("BTC-USDT")
    if context.at in (ask["buy"], ask["sell"]):
        order(btc, 3 if context.at == ask["buy"] else -3)
        context.seen.append([str(data.current_dt), float(data.current(btc, "close"))])
    context.at += 1


result = run_algorithm(
    start=pd.Timestamp("2024-01-02"), end=pd.Timestamp("2024-01-04"), initialize=initialize, handle_data=handle_data,
    capital_base=1e7, data_frequency="minute", bundle="htx", trading_calendar=calendar,
    benchmark_returns=pd.Series(0.0, index=sessions),
)  # fmt: skip
deals = [deal for day in result["transactions"] for deal in day]
print(json.dumps({
    "bars": len(frame), "first": [str(frame.index[0]), *frame.iloc[0].tolist()],
    "last": [str(frame.index[-1]), *frame.iloc[-1].tolist()], "volume": float(frame["volume"].sum()),
    "sparse": int(pd.notna(sparse).sum()), "days": days, "exchange": asset.exchange,
    "late": [str(late.start_date), str(late.end_date), str(late.auto_close_date)],
    "deals": [[str(deal["dt"]), float(deal["price"]), int(deal["amount"])] for deal in deals],
    "scale": json.loads((folder / "scales" / "BTC-USDT.json").read_text()),
}))  # fmt: skip
