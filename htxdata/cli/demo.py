"""The guided tour: a local exchange, the Prefect flow, and a look at what came of it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htxdata import config
from htxdata.cli import show
from htxdata.timeline import DAY, iso

if TYPE_CHECKING:
    from flows.local_server import LocalServer
    from htxdata.ingest.outcome import Outcome
    from htxdata.sandbox import Sandbox

PORT = 8790
"""The one that `htxdata sandbox` takes, so that what the demo suggests at its end works as it stands."""

WHAT = (
    ("htx-spot", "klines", ("btcusdt", "ethusdt", "dogeusdt"), ("1min", "60min"), 14),
    ("htx-spot", "klines", ("btcusdt", "ethusdt"), ("1day",), 365),
    ("htx-linear", "klines", ("BTC-USDT", "ETH-USDT"), ("1min", "1day"), 14),
    ("htx-linear", "funding_rates", ("BTC-USDT", "ETH-USDT"), (), 365),
)
"""Venue, dataset, symbols, periods and how many days back."""

HEAR = ("htx-linear", ("trades", "book", "quotes"), ("BTC-USDT", "ETH-USDT"))
"""Venue, feeds and symbols that are captured, for ``LISTEN_S`` seconds."""

LISTEN_S = 5.0

CANDLES = (
    "select open_time, open, high, low, close, volume from klines "
    "where venue = 'htx-spot' and symbol = 'btcusdt' and period = '60min' order by open_time desc limit 6"
)
EXTENTS = """
select dataset, concat_ws(' ', venue, symbol, period), strftime(min(span_start), '%Y-%m-%d %H:%M'),
       strftime(max(span_end), '%Y-%m-%d %H:%M'), sum(rows), string_agg(distinct verdict, ', ' order by verdict)
from coverage where dataset <> 'instruments' group by dataset, venue, symbol, period
order by dataset desc, venue desc, symbol, sum(rows) desc
"""
FUNDING = "select symbol, sum(funding_rate) as paid from funding_rates group by symbol"


def run(options: argparse.Namespace) -> int:
    """Fill a small lake from the sandbox by the flow ``backfill`` and show it. Run again: next to nothing is asked."""
    from flows.local_server import LocalServer
    from htxdata.sandbox import Sandbox

    began = time.monotonic()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    _own_environment(folder)
    with LocalServer(folder / ".prefect") as server:  # it starts while we go on
        with _sandbox(Sandbox) as sandbox:
            file = write_config(folder, sandbox.hosts)
            _say(1, f"a local exchange runs at {sandbox.url}\n   {file} points at it")
            _fill(file, server)
            _listen(file)
            asked = len(sandbox.requests)
        _say(5, f"done in {show.duration(time.monotonic() - began)}; the exchange was asked {asked} times\n")
    look(file, sandbox.port)
    return 0


def _say(number: int, text: str) -> None:
    show.note(f"{number}. {text}")


def _own_environment(folder: Path) -> None:
    """The demo's own settings and no others: neither the user's lake nor their Prefect server hears of it."""
    from flows.environment import quiet_environment

    for name in list(os.environ):
        if name.startswith("PREFECT_") or (name.startswith("HTXDATA_") and name != "HTXDATA_BUDGET_DIR"):
            del os.environ[name]
    os.environ.update(quiet_environment(folder / ".prefect"))


@contextlib.contextmanager
def _sandbox(sandbox: type[Sandbox]) -> Iterator[Sandbox]:
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(sandbox(seed=0, port=PORT))
        except OSError:
            running = stack.enter_context(sandbox(seed=0, port=0))
            _say(0, f"port {PORT} is taken, so the exchange has another one")
        yield running


def write_config(folder: Path, hosts: dict[str, str], now: int | None = None) -> Path:
    """The configuration file of the demo: where its lake is, where its exchange is, and what `sync` keeps."""
    today = (time.time_ns() // 1000 if now is None else now) // DAY * DAY
    lines = [
        "# Written by `htxdata demo`. It points at the local sandbox exchange: start that with `htxdata sandbox`.",
        f"lake = {_toml(str(folder / 'lake'))}",
        f"tape = {_toml(str(folder / 'tape'))}",
        "",
        "[hosts]",
        *(f"{key} = {_toml(base)}" for key, base in hosts.items()),
    ]
    for venue, dataset, symbols, periods, days in WHAT:
        lines += ["", "[[keep]]", f"venue = {_toml(venue)}", f"dataset = {_toml(dataset)}"]
        lines.append(f"symbols = [{', '.join(map(_toml, symbols))}]")
        if periods:
            lines.append(f"periods = [{', '.join(map(_toml, periods))}]")
        lines.append(f"since = {_toml(iso(today - days * DAY)[:10])}")
    file = folder / "htxdata.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _fill(file: Path, server: LocalServer) -> None:
    """Instruments, then every [[keep]] through the flow."""
    from htxdata.ingest.session import Session
    from htxdata.ingest.snapshot import snapshot_instruments
    from htxdata.venues import VENUES

    settings = config.load(file)
    with Session(settings, say=show.note) as session:
        seen = [f"{snapshot_instruments(session, venue).seen} on {venue.name}" for venue in VENUES]
    _say(2, f"instruments: {', '.join(seen)}")
    _say(3, "the Prefect flow `backfill` fills the lake (its server starts in seconds)")
    os.environ["PREFECT_API_URL"] = server.url()
    from flows.backfill import backfill
    from flows.side_by_side import watcher

    for keep in settings.keep:
        show.note(
            f"   {' '.join((keep.dataset, keep.venue, *keep.symbols, *keep.periods))} since {keep.since}"
        )
        with _watched() as step:
            token = watcher.set(step)
            try:
                backfill(
                    keep.dataset,
                    keep.venue,
                    list(keep.symbols),
                    str(keep.since),
                    None,
                    list(keep.periods),
                    str(file),
                )
            finally:
                watcher.reset(token)


def _listen(file: Path) -> None:
    """Capture for some seconds."""
    import threading

    from htxdata.ingest.capture import capture
    from htxdata.ingest.capture_wanted import Wanted
    from htxdata.ingest.session import Session

    _say(4, f"`htxdata capture` listens for {LISTEN_S:.0f} seconds")
    with Session(config.load(file), say=show.note) as session:
        done = capture(Wanted(*HEAR), session, threading.Event(), seconds=LISTEN_S)
    show.note(f"   {show.thousands(done.frames)} frames, {show.thousands(done.rows)} rows, {len(done.gaps)} gaps")


@contextlib.contextmanager
def _watched() -> Iterator[Callable[[int, Outcome], None]]:
    """A progress bar that appears with the first finished partition of each rung: the archive, then REST."""
    steps: list[show.Steps] = []
    left = 0
    with contextlib.ExitStack() as bars:

        def step(total: int, outcome: Outcome) -> None:
            nonlocal left
            if not left:
                bars.close()
                steps[:], left = [bars.enter_context(show.progress(total))], total
            left -= 1
            steps[0](outcome)

        yield step


@dataclass(frozen=True)
class Next:
    """A command to try, and what it does."""

    command: str
    does: str


def next_commands(file: Path, port: int) -> Sequence[Next]:
    """Three commands that work when typed into the shell that ran the demo."""
    us = program()
    it = f"{us} --config {shlex.quote(str(file))}"
    elsewhere = "" if port == PORT else f" --port {port}"
    return (
        Next(f"{it} coverage klines --symbol 'btc*'", "every span of it, with its verdict"),
        Next(f'{it} query "{FUNDING}"', "what a long position paid in the last year; any SQL will do"),
        Next(
            f"{us} sandbox{elsewhere} > {os.devnull} & {it} sync; kill $!",
            "start the exchange again and ask it for what is new since",
        ),
    )


def program() -> str:
    """How the user's shell finds us: by name, by path from here, or as a module."""
    beside = Path(sys.executable).parent / "htxdata"
    found = shutil.which("htxdata")
    if found and Path(found).exists() and beside.exists() and Path(found).samefile(beside):
        return "htxdata"
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m htxdata"
    with contextlib.suppress(ValueError):
        return shlex.quote(str(beside.relative_to(Path.cwd())))
    return shlex.quote(str(beside))


def look(file: Path, port: int) -> None:
    """The coverage table, one SQL answer, a chart, and what to type next."""
    from htxdata.cli import main

    lake = config.load(file).lake
    print("What is in the lake (times are UTC)\n")
    print(extents(lake))
    print("\nThe last hours of btcusdt, by SQL\n")
    main(["--config", str(file), "query", CANDLES])
    chart(lake)
    print("\nThree commands to try next\n")
    for one in next_commands(file, port):
        print(f"  # {one.does}\n  {one.command}\n")
    sys.stdout.flush()


def extents(lake: str) -> str:
    """`htxdata coverage` in brief: one line per series, narrow enough for any terminal."""
    from htxdata.research.lake import Lake

    with Lake(lake) as opened:
        rows = opened.sql(EXTENTS).fetchall()
    lines: list[tuple[str, ...]] = []
    for dataset in dict.fromkeys(row[0] for row in rows):
        lines.append((dataset, "", "", "", ""))
        for _, series, start, end, count, verdicts in (row for row in rows if row[0] == dataset):
            lines.append((f"  {series}", start, end, show.thousands(count), verdicts))
    return show.table(("series", "from", "to", "rows", "verdict"), lines, right=(3,))


def chart(lake: str) -> None:
    """As many hourly candles of btcusdt as the terminal is wide."""
    from htxdata.research.lake import Lake

    width = max(40, min(120, shutil.get_terminal_size((100, 24)).columns - 12))
    with Lake(lake) as opened:
        hours = (
            opened.klines("btcusdt", venue="htx-spot", period="60min").order("open_time desc").limit(width)
        )
        rows: list[dict[str, Any]] = hours.order("open_time").to_arrow_table().to_pylist()
    if rows:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        until = f"{rows[-1]['open_time']:%Y-%m-%d %H:%M} UTC"
        print(
            f"\nbtcusdt, {len(rows)} hours up to {until}, made by the sandbox{'' if colour else ' (░ up, █ down)'}\n"
        )
        opens, highs, lows, closes = (
            [row[name] for row in rows] for name in ("open", "high", "low", "close")
        )
        print(show.candles(opens, highs, lows, closes, colour=colour))
