"""The notebooks: committed clean, and run top to bottom on a lake of the sandbox, with numbers that are the market's.

What they import of us is also looked at by ``tests/test_house.py``.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from htxdata.ingest.asked import Request
from htxdata.ingest.capture import capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import snapshot
from htxdata.sandbox import SANDBOX_KEY, Faults, Rule, Sandbox
from htxdata.timeline import DAY, HOUR, SECOND, iso, parse_instant
from htxdata.venues import venue
from tests.truth import configuration, fill, settings_for

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("what_is_in_my_lake", "funding_carry", "microstructure", "own_fills")
ALLOWED = {"htxdata", "matplotlib", "numpy", "pandas"} | set(sys.stdlib_module_names)
SWAP, SPOT, OTHER = "BTC-USDT", "btcusdt", "ETH-USDT"

each = pytest.mark.parametrize("name", NAMES)


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)


def code(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


# ------------------------------------------------------------------------------------------------- as committed


def test_these_are_all() -> None:
    """Nobody adds a notebook that no test runs."""
    assert sorted(path.stem for path in FOLDER.rglob("*.ipynb")) == sorted(NAMES)


@each
def test_it_is_a_valid_notebook_with_names_for_its_cells(name: str) -> None:
    """Format 4.5, a kernel of any Python 3, and ids that a person chose: a diff shows what was changed, and no more."""
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert not [one for one in ids if not re.fullmatch(r"[a-z][a-z-]+", one)]
    assert not [cell.id for cell in notebook.cells if cell.metadata]


@each
def test_it_is_committed_without_outputs(name: str) -> None:
    """Neither results nor counts of executions."""
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert not [cell.id for cell in cells if cell.outputs or cell.execution_count is not None]


@each
def test_it_needs_nothing_but_what_it_may(name: str) -> None:
    """Every cell compiles as plain Python, and imports ``htxdata`` itself, nothing below it, and the usual three."""
    imported = set()
    for source in code(name):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or ".")
    assert "htxdata" in imported
    assert not [one for one in imported if one.startswith(("htxdata.", "."))]
    assert {one.split(".")[0] for one in imported} <= ALLOWED


@each
def test_it_names_no_place_on_a_disk(name: str) -> None:
    """No absolute path, in code or prose, and none of a home."""
    text = "\n".join(cell.source for cell in read(name).cells)
    assert not re.findall(r"(?:(?<=[\s\"'`(=])/\w+/\w*|[A-Z]:\\\\|~/)", text)


@each
def test_it_says_how_to_get_a_lake_and_explains_itself(name: str) -> None:
    """The first cell is prose with the two commands; no stretch of more than two cells of code goes without prose."""
    cells = read(name).cells
    assert cells[0].cell_type == "markdown"
    assert "make demo" in cells[0].source
    assert "HTXDATA_CONFIG" in cells[0].source
    kinds = "".join(cell.cell_type[0] for cell in cells)
    assert not re.findall("cccc", kinds)


# ------------------------------------------------------------------------------------------------- as they run


def ahead_of(hours: float, speed: float) -> Callable[[], float]:
    """A clock that began so many hours ago and runs so many times as fast as ours."""
    began, start = time.monotonic(), time.time() - hours * 3600
    return lambda: start + (time.monotonic() - began) * speed


def heard(sandbox: Sandbox, folder: Path, *feeds: str, seconds: float) -> None:
    with Session(settings_for(sandbox, folder), say=lambda text: None) as session:
        capture(Wanted("htx-linear", feeds, (SWAP,)), session, threading.Event(), seconds=seconds)


def revise(folder: Path) -> None:
    """Two hours of minutes whose youngest candles the exchange changes after they were first read."""
    end = time.time_ns() // 1000 // HOUR * HOUR - 3 * HOUR
    clock = [end / SECOND + 120]
    young = Faults(Rule("revise", 1.0, seconds=500.0))
    with Sandbox(limits=False, faults=young, clock=lambda: clock[0]) as sandbox:
        for _ in range(2):
            minutes = Request("klines", "htx-linear", (SWAP,), ("1min",), iso(end - 2 * HOUR), iso(end))
            assert fill(settings_for(sandbox, folder), minutes).complete
            clock[0] += 3600


def since(days: float) -> str:
    return iso((time.time_ns() // 1000 - int(days * DAY)) // HOUR * HOUR)


def history() -> list[Request]:
    """Two weeks of candles of a swap and its spot pair, and of another swap with a hole of two days; and what goes
    with them."""
    candles = [
        Request("klines", where, (symbol,), (period,), since(days))
        for where, symbol in (("htx-spot", SPOT), ("htx-linear", SWAP))
        for period, days in (("60min", 14), ("1day", 40))
    ]
    return [
        *candles,
        Request("klines", "htx-linear", (OTHER,), ("60min",), since(14), since(9)),
        Request("klines", "htx-linear", (OTHER,), ("60min",), since(7)),
        Request("mark_klines", "htx-linear", (SWAP,), ("60min",), since(7)),
        Request("funding_rates", "htx-linear", (SWAP,), (), since(60)),
        Request("open_interest", "htx-linear", (SWAP,), (), since(20)),
    ]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A lake as somebody has it after some days: history by REST, a capture of all feeds, one that saw a settlement."""
    folder = tmp_path_factory.mktemp("researcher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTXDATA_BUDGET_DIR", str(folder / "budget"))
        (folder / "budget").mkdir()
        # Nine hours in as many seconds, over before now: one settlement at least is in them.
        with Sandbox(limits=False, clock=ahead_of(12, 3600)) as sandbox:
            heard(sandbox, folder, "funding", seconds=9.0)
        # Ten minutes in ten seconds; a message of the book is lost, and with it the book for a while.
        lost = Faults(Rule("missed_frame", after=100, times=1, topic="*depth*"))
        with Sandbox(limits=False, clock=ahead_of(2, 60), faults=lost) as sandbox:
            heard(sandbox, folder, "trades", "book", "quotes", seconds=10.0)
        revise(folder)
        with Sandbox(limits=False) as sandbox:
            settings = settings_for(sandbox, folder)
            assert fill(settings, *history()).complete
            with Session(settings, say=lambda text: None) as session:
                snapshot(session, "instruments", venue("htx-linear"), (SWAP,))
            configuration(sandbox, folder)
            yield sandbox, folder


PROBES = {
    "what_is_in_my_lake": """{
        "series": extents[["dataset", "symbol", "period"]].fillna("").values.tolist(),
        "revised": len(revised),
        "holes": [[h.series, h.span_start.isoformat(), h.span_end.isoformat()] for h in holes.itertuples()],
        "missing": cells.eq(list(VERDICTS).index("missing")).sum(axis=1).to_dict(),
        "candles": bars["close"].tolist(), "first": bars["open_time"].iloc[0].isoformat(),
        "utc_day_closes": drawn["utc_day"].set_index(drawn["utc_day"]["open_time"].astype(str))["close"].to_dict(),
    }""",
    "funding_carry": """{
        "times": [at.isoformat() for at in settled["funding_time"]], "rates": settled["funding_rate"].tolist(),
        "per_day": {str(day.date()): rate for day, rate in daily.items()},
        "decided": [[at.isoformat(), rate] for at, rate in zip(decided["funding_time"], decided["settled_rate"])],
        "carry": [len(held), carry["funding"].iloc[-1], carry["basis"].iloc[-1]],
        "opened": bars["close_time"].iloc[0].isoformat(), "closed": bars["close_time"].iloc[-1].isoformat(),
        "true": [[b.close_time.isoformat(), b.funding_time.isoformat()] for b in true.itertuples()],
        "heard": int(heard["funding_rate"].notna().sum()),
    }""",
    "microstructure": """{
        "trades": trades["trade_id"].tolist(), "volume": trades["quantity"].sum(),
        "first": trades["trade_time"].iloc[0].isoformat(),
        "until": extent["last"]["trades"].isoformat(), "bars": {kind: len(made) for kind, made in bars.items()},
        "tick": sizes["tick"], "at": at.isoformat(), "bids": bids[["price", "size"]].values.tolist(),
        "asks": asks[["price", "size"]].values.tolist(), "last": states[["bid", "ask"]].iloc[-1].tolist(),
        "message": changes["book_time"].max().isoformat(), "moves": sorted(len(found) for found in sources.values()),
    }""",
    "own_fills": """{
        "fills": [[r.trade_id, r.order_id, r.reference] for r in rows.itertuples()],
        "numbers": {name: rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in (
            "market", "vwap_before", "vwap_after", "against_market_bps", "against_vwap_before_bps",
            "against_vwap_after_bps", "fee_bps")},
        "summary": {" ".join(key): line.to_dict() for key, line in summary.astype(object).iterrows()},
    }""",
}
"""What is looked at when a notebook has run, as an expression over its variables."""


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, probe: str = "{}") -> tuple[Any, Any]:
    """The notebook with its outputs, and what the probe found. Its kernel has ended, its working directory is empty."""
    from nbclient import NotebookClient

    work = folder / "work"
    work.mkdir(exist_ok=True)
    monkeypatch.setenv("HTXDATA_CONFIG", str(folder / "htxdata.toml"))
    monkeypatch.setenv("MPLCONFIGDIR", str(folder / "matplotlib"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own, which puts plots into the notebook
    notebook = read(name)
    last = f"import json\nprint(json.dumps({probe}))"
    notebook.cells.append(nbformat.v4.new_code_cell(last, id="probe"))
    client = NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute()  # raises with the traceback of the first cell that fails
    assert client.km is None or not client.km.has_kernel
    assert list(work.iterdir()) == []
    return notebook, json.loads(notebook.cells.pop().outputs[0].text)


def images(notebook: Any) -> int:
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def complaints(notebook: Any) -> str:
    """What the cells wrote to stderr: a warning is one."""
    return "".join(
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    )


@pytest.mark.wide
def test_no_cell_fails_on_an_empty_lake(tmp_path: Path) -> None:
    """Every notebook, cell by cell, in one process and without a kernel: sooner than the slow tests below."""
    cells = "\n".join(
        "names = {'display': print}\n"
        + "".join(f"exec(compile({source!r}, {name!r}, 'exec'), names)\n" for source in code(name))
        for name in NAMES
    )
    script = f"import matplotlib\nmatplotlib.use('Agg')\n{cells}print('to the end')"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["to the end"]), ran.stderr


@pytest.mark.slow
@each
def test_an_empty_lake_is_told_in_sentences(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is there to be seen, no cell fails, and the notebook says what to do."""
    (tmp_path / "htxdata.toml").write_text(f'lake = "{tmp_path / "lake"}"\n')
    notebook, _ = run(name, tmp_path, monkeypatch)
    assert images(notebook) == 0
    assert name != "own_fills" or "docs/keys.md" in notebook.cells[3].outputs[0].text
    said = "".join(
        output.get("text", "") for cell in notebook.cells if "outputs" in cell for output in cell.outputs
    )
    assert re.search(r"htxdata (?:backfill|capture)|`htxdata", said)
    assert complaints(notebook) == ""


@pytest.mark.slow
def test_what_is_in_my_lake(market: tuple[Sandbox, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The calendar has the hole, the candles are the market's, and a UTC day closes as its last hour does."""
    sandbox, folder = market
    notebook, found = run("what_is_in_my_lake", folder, monkeypatch, probe=PROBES["what_is_in_my_lake"])
    assert images(notebook) == 5
    assert complaints(notebook) == ""
    assert {tuple(one) for one in found["series"]} >= {
        ("trades", SWAP, ""), ("quotes", SWAP, ""), ("book_changes", SWAP, ""), ("funding_rates", SWAP, ""),
        ("open_interest", SWAP, ""), ("instruments", SWAP, ""), ("klines", SPOT, "1day"), ("klines", SWAP, "1min"),
    }  # fmt: skip
    assert found["revised"] > 3
    other = f"klines htx-linear {OTHER} 60min"
    ((start, end),) = [span for name, *span in found["holes"] if name == other]
    hole_start, hole_end = parse_instant(start), parse_instant(end)
    assert hole_end - hole_start == 2 * DAY
    assert found["missing"][other] == (hole_end - 1) // DAY - hole_start // DAY + 1
    assert found["missing"][f"klines htx-linear {SWAP} 60min"] == 0
    opens = parse_instant(found["first"])
    hours = len(found["candles"])
    truth = sandbox.market.klines("htx-linear", SWAP, "60min", opens, opens + hours * HOUR)
    assert found["candles"] == truth["close"].tolist()
    assert len(found["utc_day_closes"]) >= 12
    for day, close in found["utc_day_closes"].items():
        opens = parse_instant(day.replace(" ", "T"))
        hour = sandbox.market.klines("htx-linear", SWAP, "60min", opens + 23 * HOUR, opens + 24 * HOUR)
        assert hour["close"].tolist() == [close]


@pytest.mark.slow
def test_funding_carry(market: tuple[Sandbox, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fundings, their sums per day, what a short collects and what the basis brings are computed again from the market;
    no bar has a funding of its future."""
    sandbox, folder = market
    notebook, found = run("funding_carry", folder, monkeypatch, probe=PROBES["funding_carry"])
    assert images(notebook) == 6
    assert complaints(notebook) == ""
    times = [parse_instant(at) for at in found["times"]]
    truth = sandbox.market.funding_rates("htx-linear", SWAP, times[0], times[-1] + 1)
    assert (times, found["rates"]) == (truth["funding_time"].tolist(), truth["funding_rate"].tolist())
    assert len(times) > 170
    days: dict[str, float] = {}
    for at, rate in zip(times, found["rates"], strict=True):
        days[iso(at)[:10]] = days.get(iso(at)[:10], 0.0) + rate
    assert found["per_day"] == pytest.approx(days, abs=1e-15)

    rates = dict(zip(times, found["rates"], strict=True))
    assert len({at for at, _ in found["decided"]}) >= 1
    assert all(rates[parse_instant(at)] == rate for at, rate in found["decided"])

    assert found["true"]
    for close, settled in found["true"]:
        assert parse_instant(settled) == max(at for at in times if at <= parse_instant(close))
    assert found["heard"] == 0  # it was all fetched after these bars had closed

    opened, closed = parse_instant(found["opened"]), parse_instant(found["closed"])
    held = [at for at in times if opened < at <= closed]
    collected = 0.0
    for at in held:
        mark = sandbox.market.mark_klines("htx-linear", SWAP, "60min", at - HOUR, at)["close"].tolist()
        last = sandbox.market.klines("htx-linear", SWAP, "60min", at - HOUR, at)["close"].tolist()
        collected += rates[at] * (mark if at >= marks_from(folder) + HOUR else last)[0]

    def close_at(where: str, symbol: str, at: int) -> float:
        return float(sandbox.market.klines(where, symbol, "60min", at - HOUR, at)["close"][0])

    moved = {
        key: close_at(*key, closed) - close_at(*key, opened)
        for key in (("htx-spot", SPOT), ("htx-linear", SWAP))
    }
    basis = moved[("htx-spot", SPOT)] - moved[("htx-linear", SWAP)]
    assert found["carry"][0] == len(held)
    assert found["carry"][1:] == pytest.approx([collected, basis], rel=1e-9, abs=1e-7)


def marks_from(folder: Path) -> int:
    """When the first candle of the mark price opens that is stored."""
    import htxdata

    with htxdata.open_lake(folder / "lake") as lake:
        found = lake.table("mark_klines").aggregate("epoch_us(min(open_time))").fetchall()

    return int(found[0][0])


@pytest.mark.slow
def test_microstructure(market: tuple[Sandbox, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trade of the market is there, tick bars hold as many as they should, and the book is the exchange's of that
    instant, level by level, after a message of it was lost."""
    sandbox, folder = market
    notebook, found = run("microstructure", folder, monkeypatch, probe=PROBES["microstructure"])
    assert images(notebook) == 6
    assert complaints(notebook) == ""
    start, until = parse_instant(found["first"]), parse_instant(found["until"])
    truth = sandbox.market.trades("htx-linear", SWAP, start, until)
    assert sorted(found["trades"]) == sorted(map(str, truth["trade_id"].tolist()))
    assert len(found["trades"]) > 500
    assert found["volume"] == pytest.approx(truth["quantity"].sum(), rel=1e-12)
    assert found["bars"]["tick"] == len(found["trades"]) // found["tick"]
    assert all(found["bars"].values())

    assert 0 <= parse_instant(found["at"]) - parse_instant(found["message"]) < SECOND
    book = sandbox.book("htx-linear", SWAP, depth=150, at=parse_instant(found["message"]))
    for mine, theirs in ((found["bids"], book.bids), (found["asks"], book.asks)):
        assert [price for price, _ in mine] == [price for price, _ in theirs]
        assert [size for _, size in mine] == pytest.approx([size * 0.001 for _, size in theirs], rel=1e-14)
    assert found["last"] == [found["bids"][0][0], found["asks"][0][0]]
    assert len(found["moves"]) == 2
    assert found["moves"][0] > 25


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A lake of somebody with a key: an hour of fills by REST, then some heard beside quotes, some beside the book."""
    folder = tmp_path_factory.mktemp("trader")
    (folder / "budget").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTXDATA_BUDGET_DIR", str(folder / "budget"))
        patch.setenv("HTX_ACCESS_KEY", SANDBOX_KEY.access)
        patch.setenv("HTX_SECRET_KEY", SANDBOX_KEY.secret)
        # A clock 290 seconds behind ours, which is as far as signatures may be off, that runs faster.
        behind = ahead_of(290 / 3600, 25.0)
        with Sandbox(seed=5, limits=False, own_seconds=5, ping_seconds=0.3, clock=behind) as sandbox:
            settings, now = settings_for(sandbox, folder), sandbox.now()
            past = Request("own_fills", "htx-spot", (SPOT,), (), iso(now - HOUR), iso(now - 10 * SECOND))
            assert fill(settings, past).complete
            for feed, seconds in (("quotes", 4.0), ("book", 4.0)):
                with Session(settings, say=lambda text: None) as session:
                    wanted = Wanted("htx-spot", ("own_fills", "trades", feed), (SPOT,))
                    capture(wanted, session, threading.Event(), seconds=seconds)
            configuration(sandbox, folder)
            yield sandbox, folder


@pytest.mark.slow
def test_own_fills(traded: tuple[Sandbox, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fill is compared with the exchange's book of just before, or its last trade; averages, basis points, fees
    and the table are those of plain Python over what the exchange knows."""
    import htxdata

    sandbox, folder = traded
    notebook, found = run("own_fills", folder, monkeypatch, probe=PROBES["own_fills"])
    assert images(notebook) == 2
    assert complaints(notebook) == ""
    with htxdata.open_lake(folder / "lake") as lake:
        told = lake.sql("select distinct epoch_us(book_time) from book_changes").fetchall()
        heard = {
            name: lake.coverage(name)
            .filter("verdict = 'present'")
            .project("epoch_us(span_start), epoch_us(span_end)")
            .fetchall()
            for name in ("quotes", "book_changes")
        }
        unknown = lake.coverage("trades").filter("verdict not in ('present', 'empty')").fetchall()
        until = int(lake.coverage("trades").aggregate("epoch_us(max(span_end))").fetchall()[0][0])
    assert unknown == []
    happened = {
        (str(one.trade_id), str(order.number)): (order, one)
        for order, one in sandbox.own.fills("htx-spot", SPOT, until - 2 * HOUR, until + HOUR, sandbox.now())
    }
    columns = sandbox.market.trades("htx-spot", SPOT, until - 3 * HOUR, until + HOUR)
    trades = [
        (int(at), float(price), float(size))
        for at, price, size in zip(columns["trade_time"], columns["price"], columns["quantity"], strict=True)
    ]

    def average(start: int, end: int) -> float | None:
        part = [(price, size) for at, price, size in trades if start <= at < end]
        return sum(price * size for price, size in part) / sum(size for _, size in part) if part else None

    def bps(side: str, price: float, against: float | None) -> float | None:
        sign = 1 if side == "buy" else -1
        return None if against is None else 10_000 * sign * (price - against) / against

    want: dict[str, list[float | None]] = {name: [] for name in found["numbers"]}
    paid: dict[str, list[tuple[float, float, float]]] = {}
    for trade_id, order_id, reference in found["fills"]:
        order, one = happened[trade_id, order_id]
        at, price, turnover = one.time, float(one.price), float(one.price * one.quantity)
        # What nobody heard up to the fill is not used, though there be an older quote.
        known = [name for name, spans in heard.items() if any(start < at <= end for start, end in spans)]
        assert reference == ({"quotes": "quote", "book_changes": "book"}[known[0]] if known else "trade")
        before = at - 1 if reference == "quote" else max((t for (t,) in told if t < at), default=0)
        if reference == "trade":
            market = max((trade for trade in enumerate(trades) if trade[1][0] < at), key=lambda t: t[0])[1][1]
        else:
            book = sandbox.book("htx-spot", SPOT, depth=1, at=before)
            market = (book.bids[0][0] + book.asks[0][0]) / 2
        around = (
            average(at - 60 * SECOND, at) if at <= until else None,
            average(at + 1, at + 60 * SECOND + 1) if at + 60 * SECOND < until else None,
        )
        fee = float(one.fee * (one.price if one.fee_currency == "btc" else 1)) / turnover * 10_000
        numbers = (market, *around, *(bps(order.side, price, each) for each in (market, *around)), fee)
        for name, number in zip(want, numbers, strict=True):
            want[name].append(number)
        if reference != "trade":
            slipped = bps(order.side, price, market)
            assert slipped is not None
            for key in (f"{order.side} {order.role}", "all all"):
                paid.setdefault(key, []).append((turnover, slipped, fee))
    kinds = [reference for *_, reference in found["fills"]]
    assert set(kinds) == {"trade", "book", "quote"}
    assert kinds.count("trade") > 50
    for name, numbers_of in want.items():
        assert [one is None for one in found["numbers"][name]] == [one is None for one in numbers_of], name
        mine, theirs = (
            [0.0 if one is None else one for one in each] for each in (found["numbers"][name], numbers_of)
        )
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-6), name
    assert found["summary"].keys() >= paid.keys()
    for key, rows in paid.items():
        total = sum(turnover for turnover, *_ in rows)
        line = found["summary"][key]
        assert line["compared"] == len(rows)
        assert line["against_mid_bps"] == pytest.approx(sum(t * s for t, s, _ in rows) / total, abs=1e-6)
        assert line["cost_bps"] == pytest.approx(sum(t * (s + f) for t, s, f in rows) / total, abs=1e-6)
