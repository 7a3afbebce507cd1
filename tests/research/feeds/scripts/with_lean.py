"""LEAN's engine is .NET and cannot be had here. Its command line's package reads the market hours; the data are read by
what Common/Util/LeanData.cs and Common/Data/Market say of paths, entries and lines, written down again in this file.
"""

import importlib.util
import json
import re
import sys
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

# At its import the package fetches a list of brokerages, which is not for the registry to give; an empty one does here.
spec = importlib.util.find_spec("lean")
assert spec is not None
assert spec.origin is not None
text = Path(spec.origin).with_name("models").joinpath("__init__.py").read_text()
name = re.search(r"modules-[\d.]+\.json", text)
listed = Path(spec.origin).with_name(name[0] if name else "modules-1.14.json")
listed.exists() or listed.write_text('{"modules": []}')
from lean.components.util.market_hours_database import MarketHoursDatabase  # noqa: E402
from lean.models.api import QCSecurityType  # noqa: E402

folder, ask = Path(sys.argv[1]), json.loads(sys.argv[2])


class Manager:
    """Where LEAN's data folder is, with our entries as its database."""

    def get_data_directory(self) -> Path:
        entries = {}
        for path in (folder / "market-hours").glob("cryptofuture-*.json"):
            entries |= json.loads(path.read_text())["entries"]
        (folder / "market-hours" / "market-hours-database.json").write_text(json.dumps({"entries": entries}))
        return folder


hours = MarketHoursDatabase(Manager()).get_entry(QCSecurityType.CryptoFuture, "htx", "BTCUSDT")


def lines(path: Path, entry: str) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [entry], archive.namelist()
        return [line.split(",") for line in archive.read(entry).decode("ascii").splitlines()]


def instant(text: str, form: str) -> datetime:
    return datetime.strptime(text, form)  # noqa: DTZ007 - LEAN's times are naive and UTC


def number(text: str) -> str:
    """LEAN's ToDecimal takes digits, a point and a sign."""
    assert set(text) <= set("0123456789.-"), text
    return str(Decimal(text))


def minutes(kind: str, symbol: str, ending: str) -> list[list]:
    """LeanData: <type>/<market>/minute/<symbol>/<yyyyMMdd>_trade.zip; milliseconds since midnight."""
    rows = []
    for path in sorted((folder / kind / "htx" / "minute" / symbol).glob("*.zip")):
        day = instant(path.name[:8], "%Y%m%d")
        assert path.name == f"{day:%Y%m%d}_trade.zip"
        for at, *values in lines(path, f"{day:%Y%m%d}_{symbol}_minute_trade{ending}.csv"):
            assert 0 <= int(at) < 86_400_000
            rows.append([str(day + timedelta(milliseconds=int(at))), *map(number, values)])
    return rows


swap, spot = minutes("cryptofuture", "btcusdt", "_perp"), minutes("crypto", "pepeusdt", "")
top = folder / "cryptofuture" / "htx"
days = [
    [str(instant(at, "%Y%m%d %H:%M")), *map(number, values)]
    for at, *values in lines(top / "daily" / "btcusdt_trade.zip", "btcusdt_trade_perp.csv")
]
hour = lines(folder / "crypto" / "htx" / "hour" / "pepeusdt_trade.zip", "pepeusdt.csv")
rates = [line.split(",") for line in (top / "margin_interest" / "btcusdt.csv").read_text().splitlines()]
ticks = lines(top / "tick" / "btcusdt" / "20240102_trade.zip", "20240102_btcusdt_tick_trade_perp.csv")
# A long position of two from one minute's open to another's, with what MarginInterestRate costs it in between.
held = swap[ask["buy"] : ask["sell"]]
cost = sum(
    2 * Decimal(row[4]) * Decimal(rate)
    for at, rate in rates
    for row in held
    if datetime.fromisoformat(row[0]) + timedelta(minutes=1) == instant(at, "%Y%m%d %H:%M:%S")
)
print(json.dumps({
    "bars": len(swap), "first": swap[0], "last": swap[-1], "volume": str(sum(Decimal(row[5]) for row in swap)),
    "spot": [len(spot), spot[0]], "days": days, "hours": [len(hour), hour[0][0]], "ticks": [len(ticks), ticks[0]],
    "fundings": [[str(instant(at, "%Y%m%d %H:%M:%S")), number(rate)] for at, rate in rates],
    "cost": str(cost), "zone": hours.dataTimeZone, "sunday": [hours.sunday[0].start, hours.sunday[0].end],
    "properties": (folder / "symbol-properties" / "cryptofuture-htx-btcusdt.csv").read_text().splitlines()[1],
}))  # fmt: skip
