"""Every export, loaded by the engine itself: `make engines` (needs the package registry; some minutes).

Each test exports with our command, makes an environment with the engine (engines.toml), runs a script of scripts/ in
it, and compares what the script says with the sandbox's truth. Where the engine trades, its fills are those of its
own rules.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from htxdata.cli import main
from htxdata.timeline import DAY, MINUTE, SECOND, iso
from tests.research.feeds import small_lake
from tests.research.feeds.small_lake import BOOKS, END, START

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
REQUIRES = {
    name: entry["requires"] for name, entry in tomllib.loads((HERE / "engines.toml").read_text()).items()
}
BUY, SELL = 470, 980  # the bars in which the strategies decide; two fundings lie between
NAMES = ("open", "high", "low", "close", "volume")


@pytest.fixture(autouse=True)
def our_lake(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTXDATA_LAKE", str(lake))


def environment(name: str, folder: Path, more: list[str] | None = None) -> Path:
    """A fresh virtual environment with an engine; its Python."""
    wanted = [*REQUIRES[name], *(more or [])]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    python = folder / "bin" / "python"
    # The tests' home folder is empty: without this, each run would fetch everything anew.
    cache = Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "uv")
    env = {"UV_CACHE_DIR": str(cache), **os.environ} if cache.is_dir() else dict(os.environ)
    if uv:
        made = [[uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", "--quiet", "--python", str(python), *wanted]]  # fmt: skip
        if all(subprocess.run(line, env=env, check=False).returncode == 0 for line in made):
            return python
        shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def example(name: str) -> str:
    """What docs/backtesters.md says of loading an engine's files from a folder ``out``."""
    text = (ROOT / "docs" / "backtesters.md").read_text()
    found = re.search(rf"^```py {name}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def play(name: str, python: Path, folder: Path, **ask: Any) -> dict[str, Any]:
    """What the engine's script says, which runs the documents' example first."""
    ask["example"] = example(name)
    assert ask["example"] or name == "lean"
    script = HERE / "scripts" / f"with_{name}.py"
    words = [str(python), "-W", "ignore", str(script), str(folder), json.dumps(ask)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900, cwd=folder.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def export(engine: str, output: Path, *more: str, venue: str = "htx-linear") -> None:
    assert main(["export", engine, "--venue", venue, "--output", str(output), *more]) == 0


def truth(symbol: str = "BTC-USDT", venue: str = "htx-linear") -> dict[str, Any]:
    return small_lake.candles(venue, symbol)


def stamp(instant: int, ending: str = "") -> str:
    return iso(int(instant)).replace("T", " ").rstrip("Z") + ending


def bar(at: int, ending: str = "", late: int = 0, **which: str) -> list[Any]:
    """A minute as most scripts tell it: its label, ``late`` after its opening, and its numbers."""
    known = truth(**which)
    return [stamp(known["open_time"][at] + late, ending), *(known[name][at] for name in NAMES)]


def paid(size: float) -> float:
    """What a position pays that is held from the open after BUY to the open after SELL, each funding at the close of
    its bar."""
    known, rates = truth(), small_lake.fundings("BTC-USDT")
    closes = known["open_time"] + MINUTE
    between = (rates["funding_time"] > known["open_time"][BUY + 1]) & (rates["funding_time"] <= closes[SELL])
    at = closes.searchsorted(rates["funding_time"][between])
    assert len(at) == 2
    return float(-(size * known["close"][at] * rates["funding_rate"][between]).sum())


def days(symbol: str = "BTC-USDT") -> list[list[float]]:
    """Days of UTC from the truth's minutes."""
    known, out = truth(symbol), []
    for start in range(START, END, DAY):
        mine = (known["open_time"] >= start) & (known["open_time"] < start + DAY)
        if mine.any():
            low, high = known["low"][mine].min(), known["high"][mine].max()
            out.append(
                [known["open"][mine][0], high, low, known["close"][mine][-1], known["volume"][mine].sum()]
            )
    return out


def close(values: Any) -> Any:
    return pytest.approx(values, rel=1e-12)


def single(values: Any) -> Any:
    """To the seven digits of a float32."""
    return pytest.approx(values, rel=1e-7)


def test_backtesting(tmp_path: Path) -> None:
    """Open labels, naive UTC; the order of a bar fills at the next bar's open; fundings come with the bars that end
    in them."""
    export("backtesting.py", tmp_path / "out", "--symbol", "BTC-USDT")
    said = play(
        "backtesting", environment("backtesting", tmp_path / "venv"), tmp_path / "out", buy=BUY, sell=SELL
    )
    known = truth()
    assert (said["bars"], said["zone"]) == (4320, "None")
    assert (said["first"], said["last"]) == (bar(0), bar(-1))
    assert said["volume"] == close(known["volume"].sum())
    assert said["entry"] == [stamp(known["open_time"][BUY + 1]), close(known["open"][BUY + 1])]
    assert said["exit"] == [stamp(known["open_time"][SELL + 1]), close(known["open"][SELL + 1])]
    assert said["size"] == close(0.01)
    assert said["funding"] == close(paid(0.01))


def test_vectorbt(tmp_path: Path) -> None:
    """Symbols of unlike reach stand on one index with NaN; a signal fills at its bar's close."""
    export("vectorbt", tmp_path / "out", "--symbol", "BTC-USDT", "--symbol", "ETH-USDT")
    said = play("vectorbt", environment("vectorbt", tmp_path / "venv"), tmp_path / "out", buy=BUY, sell=SELL)
    known, rates = truth(), small_lake.fundings("BTC-USDT")
    assert (said["bars"], said["zone"], said["name"], said["nan"]) == (4320, "UTC", "Open time", 1440)
    assert said["columns"] == ["BTC-USDT", "ETH-USDT"]
    assert (said["first"], said["last"]) == (bar(0, "+00:00"), bar(-1, "+00:00"))
    assert said["volume"] == close(known["volume"].sum())
    for key, at in (("entry", BUY), ("exit", SELL)):
        assert said[key] == [stamp(known["open_time"][at], "+00:00"), close(known["close"][at])]
    assert said["pnl"] == pytest.approx(known["close"][SELL] - known["close"][BUY], abs=1e-6)
    assert said["funding"] == close(rates["funding_rate"][rates["funding_time"] > START].sum())


def test_backtrader(tmp_path: Path) -> None:
    """END labels: backtrader's own resampling puts minutes 00:00 to 00:04 into the bar stamped 00:05."""
    export("backtrader", tmp_path / "out", "--symbol", "BTC-USDT")
    said = play(
        "backtrader", environment("backtrader", tmp_path / "venv"), tmp_path / "out", buy=BUY, sell=SELL
    )
    known = truth()
    assert said["bars"] == 4320
    assert (said["first"], said["last"]) == (bar(0, late=MINUTE), bar(-1, late=MINUTE))
    assert said["volume"] == close(known["volume"].sum())
    five = [
        known["open"][0],
        known["high"][:5].max(),
        known["low"][:5].min(),
        known["close"][4],
        known["volume"][:5].sum(),
    ]
    assert said["five"][0][0] == stamp(START + 5 * MINUTE)
    assert said["five"][0][1:] == close(five)
    assert said["fives"] == 864
    for key, at in (("entry", BUY + 1), ("exit", SELL + 1)):
        assert said[key] == [stamp(known["open_time"][at] + MINUTE), close(known["open"][at])]
    assert said["funding"] == close(paid(1.0))


def test_nautilus_trader(lake: Path, tmp_path: Path) -> None:
    """The catalogue, written beside htxdata's own dependencies, holds the lake digit for digit; bars are known at
    their close."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    python = environment("nautilus", tmp_path / "venv", ours)
    out = tmp_path / "out"
    words = ["export", "nautilus_trader", "--venue", "htx-linear", "--symbol", "BTC-USDT", "--period", "1min",
             "--period", "utc_day", "--trades", "--output", str(out)]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    contents = []
    for _ in range(2):
        done = subprocess.run(
            [str(python), "-m", "htxdata", *words], env=env, capture_output=True, text=True, check=False
        )
        # The trades end a day before the candles; nothing was asked of the days after, so nothing is a hole.
        assert done.returncode == 0, done.stderr[-3000:]
        contents.append({str(path): path.read_bytes() for path in out.rglob("*.parquet")})
    assert contents[0] == contents[1]
    assert not list(out.glob(".*"))
    said = play("nautilus", python, out, buy=BUY, sell=SELL)
    known, rates = truth(), small_lake.fundings("BTC-USDT")

    def row(at: int) -> list[Any]:
        label = int(known["open_time"][at] + MINUTE) * 1000
        return [label, label, *(f"{known[n][at]:.1f}" for n in NAMES[:4]), f"{known['volume'][at]:.3f}"]

    assert (said["bars"], said["seen"]) == (4320, 4320)
    assert (said["first"], said["last"]) == (row(0), row(-1))
    assert Decimal(said["volume"]) == sum(Decimal(str(each)) for each in known["volume"].tolist())
    assert [one[0] for one in said["days"]] == [(START + n * DAY) * 1000 for n in (1, 2, 3)]
    assert [[float(each) for each in one[2:]] for one in said["days"]] == [close(each) for each in days()]
    assert said["instrument"] == ["CryptoPerpetual", "0.1", "0.001"]
    ticks = small_lake.trades("htx-linear", "BTC-USDT", *BOOKS)
    assert (said["ticks"], said["buys"]) == (len(ticks["price"]), int((ticks["side"] == "buy").sum()))
    taker = {"buy": "BUYER", "sell": "SELLER"}[str(ticks["side"][0])]
    numbers = [f"{ticks['price'][0]:.1f}", f"{ticks['quantity'][0]:.3f}"]
    assert said["tick"] == [int(ticks["trade_time"][0]) * 1000, *numbers, taker, ticks["trade_id"][0]]
    assert Decimal(said["quantity"]) == sum(Decimal(str(each)) for each in ticks["quantity"].tolist())
    for fill, at in zip(said["fills"], (BUY, SELL), strict=True):
        assert fill == [int(known["open_time"][at] + MINUTE) * 1000, f"{known['close'][at]:.1f}", "0.100"]
    mine = rates["funding_time"] >= START
    assert said["fundings"] == [
        [int(at) * 1000, format(Decimal(repr(rate)), "f")]
        for at, rate in zip(
            rates["funding_time"][mine].tolist(), rates["funding_rate"][mine].tolist(), strict=True
        )
    ]


def test_freqtrade(tmp_path: Path) -> None:
    """Its handlers find the files by name, fundings are paid on the mark price, and its backtester trades them."""
    out = tmp_path / "out"
    swaps = ["--symbol", "BTC-USDT", "--symbol", "MDX-USDT", "--period", "1min", "--period", "utc_day"]
    assert (
        main(["export", "freqtrade", "--venue", "htx-linear", "--output", str(out), *swaps]) == 3
    )  # MDX: no fundings
    export("freqtrade", out, "--symbol", "btcusdt", "--period", "5min", "--trades", venue="htx-spot")
    held = [iso(int(truth()["open_time"][at + 1])).rstrip("Z") for at in (BUY, SELL)]
    said = play("freqtrade", environment("freqtrade", tmp_path / "venv"), out, buy=47, sell=98, held=held)
    known, rates = truth(), small_lake.fundings("BTC-USDT")
    assert (said["bars"], said["zone"]) == (4320, "datetime64[ms, UTC]")
    assert (said["first"], said["last"]) == (bar(0, "+00:00"), bar(-1, "+00:00"))
    assert said["volume"] == close(known["volume"].sum())
    assert [one[0] for one in said["days"]] == [stamp(START + n * DAY, "+00:00") for n in range(3)]
    assert [one[1:] for one in said["days"]] == [close(each) for each in days()]
    assert said["sparse"] == [205, 4298]  # it fills up the slots between the first and the last bar itself
    mine = rates["funding_time"] >= START
    times, values = rates["funding_time"][mine], rates["funding_rate"][mine]
    assert said["fundings"] == [
        [stamp(at, "+00:00"), rate] for at, rate in zip(times, values.tolist(), strict=True)
    ]
    mark = small_lake.MARKET.mark_klines("htx-linear", "BTC-USDT", "60min", START, END)
    due = (times > known["open_time"][BUY + 1]) & (times <= known["open_time"][SELL + 1])
    cost = (values[due] * mark["open"][mark["open_time"].searchsorted(times[due])]).sum()
    assert said["paid"] == close(-2 * cost)
    ticks = small_lake.trades("htx-spot", "btcusdt", START, START + 60 * MINUTE)
    assert said["trades"] == len(ticks["price"])
    assert said["trade"][:2] == [int(ticks["trade_time"][0]) // 1000, ticks["trade_id"][0]]
    assert said["trade"][3:6] == [str(ticks["side"][0]), ticks["price"][0], ticks["quantity"][0]]
    spot = truth("btcusdt", "htx-spot")
    for at, place in ((0, 48), (2, 99)):  # five minutes each; the bar after the signal
        assert said["deal"][at : at + 2] == [
            stamp(START + place * 5 * MINUTE, "+00:00"),
            spot["open"][place * 5],
        ]


def standing(at: int) -> list[list[Any]]:
    """The book as it had been heard by ``at`` (nanoseconds), by brute force."""
    rows, book, whole = small_lake.book(), {}, 0
    names = ("kind", "side", "price", "size", "sequence", "received_at")
    for kind, side, price, size, number, heard in zip(*(rows[name].tolist() for name in names), strict=True):
        if heard * 1000 > at:
            break
        if kind == "snapshot" and number != whole:
            book, whole = {}, number
        book[side, price] = size
    return sorted([*level, size] for level, size in book.items() if size)


def test_hftbacktest(tmp_path: Path) -> None:
    """The engine rebuilds the book that brute force rebuilds, also from the second day's file alone, and hears all
    trades."""
    out = tmp_path / "out"
    export("hftbacktest", out, "--symbol", "BTC-USDT")
    seconds = (
        50_000,
        DAY // SECOND - 1,
        DAY // SECOND + 60,
        2 * DAY // SECOND - 60,
    )  # the third: just after a whole book
    until = [(START + each * SECOND) * 1000 for each in seconds]
    python = environment("hftbacktest", tmp_path / "venv")
    said = play("hftbacktest", python, out, until=until, order=True)
    for at in until:
        assert said["books"][str(at)] == standing(at)
    assert said["alone"][str(until[-1])] == said["books"][str(until[-1])]
    ticks = small_lake.live_trades()
    assert (said["trades"], said["buys"]) == (len(ticks["price"]), int((ticks["side"] == "buy").sum()))
    assert said["quantity"] == close(ticks["quantity"].sum())
    for key, at in (("first", 0), ("last", -1)):
        assert said[key][:2] == [int(ticks[name][at]) * 1000 for name in ("trade_time", "received_at")]
        assert said[key][2:] == [ticks["price"][at], ticks["quantity"][at]]
    assert said["volume"] == close(ticks["quantity"][ticks["received_at"] * 1000 <= until[-1]].sum())
    assert said["late"] > 0
    assert said["begins"] == [True, True]
    assert said["split"] > 0
    best = min(price for side, price, _ in said["books"][str(until[-1])] if side == "ask")
    assert said["fill"] == pytest.approx([best, best, 0.001])


def test_zipline(tmp_path: Path) -> None:
    """The bundle's minutes are those of the 24/7 calendar, close-labelled; days are sessions; orders fill at the next
    minute's close."""
    out = tmp_path / "out"
    symbols = ["--symbol", "BTC-USDT", "--symbol", "ETH-USDT", "--symbol", "MDX-USDT"]
    export("zipline-reloaded", out, *symbols, "--period", "1min", "--period", "utc_day")
    said = play("zipline", environment("zipline", tmp_path / "venv"), out, buy=BUY, sell=SELL)
    known = truth()
    assert said["bars"] == 4320
    assert said["scale"] == {"price_scale": 1, "volume_scale": 1000, "digits_lost": False}
    for key, at in (("first", 0), ("last", -1)):
        label, *numbers = bar(at, "+00:00", late=MINUTE)
        assert said[key][0] == label
        assert said[key][1:] == close([*numbers[:4], round(numbers[4] * 1000)])
    assert said["volume"] == close(known["volume"].sum() * 1000)
    assert said["sparse"] == 205
    assert np.array(said["days"]).T[:, :4] == pytest.approx(np.array(days())[:, :4])
    assert said["days"][4] == [round(day[4] * 1000) for day in days()]
    assert said["exchange"] == "HTX"
    assert said["late"] == [f"2024-01-0{n} 00:00:00" for n in (3, 4, 5)]
    for deal, at, amount in zip(said["deals"], (BUY, SELL), (3, -3), strict=True):
        assert deal == [
            stamp(known["open_time"][at + 1] + MINUTE, "+00:00"),
            close(known["close"][at + 1]),
            amount,
        ]


def test_qlib(tmp_path: Path) -> None:
    """Features are the lake's to the seven digits of a float32, expressions count slots, and its backtest trades a
    day."""
    out = tmp_path / "out"
    symbols = ["--symbol", "BTC-USDT", "--symbol", "ETH-USDT", "--symbol", "MDX-USDT"]
    words = ["export", "qlib", "--venue", "htx-linear", *symbols, "--period", "1min", "--period", "utc_day"]
    assert main([*words, "--output", str(out)]) == 3  # MDX: no fundings
    said = play("qlib", environment("qlib", tmp_path / "venv"), out)
    known, rates = truth(), small_lake.fundings("BTC-USDT")
    assert said["bars"] == 4320
    for key, at in (("first", 0), ("last", -1)):
        label, *numbers = bar(at)
        assert said[key][0] == label
        assert said[key][1:6] == single(numbers)
        assert said[key][6:8] == single([1.0, known["quote_volume"][at]])
    assert said["last"][8] == single(rates["funding_rate"][-1])
    assert said["volume"] == single(known["volume"].sum())
    assert said["ref"] == [stamp(START + MINUTE), single(known["close"][0])]
    assert said["calendar"] == [stamp(START), stamp(END - MINUTE), 4320]
    assert said["sparse"] == [4298, 205]
    ends = [stamp(START), stamp(START + DAY), stamp(END - MINUTE)]
    assert said["pool"]["BTC-USDT"] == [[ends[0], ends[2]]]
    assert said["pool"]["ETH-USDT"] == [[ends[1], ends[2]]]
    closes = [[day[3], day[4]] for day in days()]
    assert [one[2:] for one in said["days"] if one[0] == "BTC-USDT"] == [single(each) for each in closes]
    assert [one[1] for one in said["days"]] == [stamp(START + n * DAY) for n in (0, 1, 2, 1, 2)]
    assert said["funding"] == single(np.abs(rates["funding_rate"][rates["funding_time"] > START]).sum())
    assert said["cash"][0] == pytest.approx(1e6 - closes[0][0], rel=1e-6)
    assert said["account"][1] == pytest.approx(1e6 + closes[1][0] - closes[0][0], rel=1e-6)


def test_lean(tmp_path: Path) -> None:
    """Paths, entries and lines are those of LeanData.cs, digit for digit. The engine itself is not run: it is .NET."""
    out = tmp_path / "out"
    export("lean", out, "--symbol", "BTC-USDT", "--period", "1min", "--period", "utc_day", "--trades")
    export("lean", out, "--symbol", "pepeusdt", "--period", "1min", "--period", "60min", venue="htx-spot")
    said = play("lean", environment("lean", tmp_path / "venv"), out, buy=BUY + 1, sell=SELL + 1)
    known, rates, spot = truth(), small_lake.fundings("BTC-USDT"), truth("pepeusdt", "htx-spot")

    def digits(values: Any) -> list[Decimal]:
        return [Decimal(repr(float(value))) for value in values]

    assert said["bars"] == 4320
    for key, at in (("first", 0), ("last", -1)):
        label, *numbers = bar(at)
        assert said[key][0] == label
        assert [Decimal(each) for each in said[key][1:]] == digits(numbers)
    assert Decimal(said["volume"]) == sum(digits(known["volume"]))
    assert said["spot"][0] == 4320
    assert [Decimal(each) for each in said["spot"][1][1:]] == digits(spot[name][0] for name in NAMES)
    assert [one[0] for one in said["days"]] == [stamp(START + n * DAY) for n in range(3)]
    assert [[float(each) for each in one[1:]] for one in said["days"]] == [close(each) for each in days()]
    assert said["hours"] == [72, "20240102 00:00"]
    ticks = small_lake.trades("htx-linear", "BTC-USDT", START, START + DAY)
    assert said["ticks"][0] == len(ticks["price"])
    assert int(said["ticks"][1][0]) == (ticks["trade_time"][0] - START) // 1000
    assert [Decimal(each) for each in said["ticks"][1][1:]] == digits(
        [ticks["price"][0], ticks["quantity"][0]]
    )
    mine = rates["funding_time"] >= START
    assert [one[0] for one in said["fundings"]] == [stamp(at) for at in rates["funding_time"][mine]]
    assert [Decimal(one[1]) for one in said["fundings"]] == digits(rates["funding_rate"][mine])
    assert float(said["cost"]) == close(-paid(2.0))
    assert (said["zone"], said["sunday"]) == ("UTC", ["00:00:00", "1.00:00:00"])
    assert said["properties"] == "htx,BTCUSDT,cryptofuture,,USDT,1,0.1,0.001,BTC-USDT"
