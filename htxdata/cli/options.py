"""The arguments of every command, and their help. Each ends with an example that works against the sandbox."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

from htxdata import __version__
from htxdata.errors import UsageError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def _lazy(name: str) -> Callable[[argparse.Namespace], int]:
    """A command that is imported when it runs."""

    def run(options: argparse.Namespace) -> int:
        module, _, function = name.partition(":")
        return int(getattr(importlib.import_module(f"htxdata.cli.{module}"), function)(options))

    return run


def _command(
    commands: Any,
    name: str,
    run: str,
    does: str,
    example: str,
    more: str = "",
    common: argparse.ArgumentParser | None = None,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.\n{more}".strip(),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common] if common else [],
        allow_abbrev=False,
    )
    parser.set_defaults(run=_lazy(run), command=name)
    return parser


_FILLED = (
    "klines mark_klines index_klines premium_klines estimated_rate_klines trades funding_rates open_interest "
    "liquidations book_changes index_constituents; with a key own_fills own_orders own_account_updates"
)
_VENUES = "htx-spot, htx-linear, htx-inverse, htx-futures, htx-permanent, hashkey"
"""Spelled out: `--help` loads no venue. tests/cli/test_options.py compares."""


def _series(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument("--venue", required=required, help=_VENUES)
    parser.add_argument(
        "--symbol", action="append", default=[], required=required, metavar="S",
        help="the venue's own spelling or a glob such as 'BTC-*'; once per value",
    )  # fmt: skip
    parser.add_argument(
        "--period", action="append", default=[], metavar="P",
        help="1min 5min 15min 30min 60min 4hour 1day 1week 1mon, or a glob; once per value",
    )  # fmt: skip


def _range(
    parser: argparse.ArgumentParser, required: bool, end: str = "first instant not wanted; now where left out"
) -> None:
    parser.add_argument(
        "--start", required=required, metavar="T", help="ISO 8601; a bare date is midnight UTC"
    )
    parser.add_argument("--end", metavar="T", help=end)


def _chosen(parser: argparse.ArgumentParser) -> None:
    """Some of what is stored."""
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="all where left out")
    parser.add_argument("--venue", help="a name or a glob")
    for name, letter in (("--symbol", "S"), ("--period", "P")):
        parser.add_argument(
            name, action="append", default=[], metavar=letter, help="a name or a glob; once per value"
        )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


_SANDBOX = "HTXDATA_HOSTS__HTX_SPOT_REST=http://127.0.0.1:8790/htx-spot"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="instead of HTXDATA_CONFIG or ./htxdata.toml",
    )
    top = _Parser(
        prog="htxdata",
        description="The whole history of a market, on your disk, with a verdict on every hole.",
        epilog="example:\n  htxdata demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"htxdata {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    demo = _command(
        commands, "demo", "demo:run", "a guided tour on the embedded sandbox exchange", "htxdata demo",
        "Starts the sandbox, backfills through the Prefect flow, and shows what is in the lake.", common,
    )  # fmt: skip
    demo.add_argument(
        "--folder", default="data/demo", help="where its lake and configuration go (%(default)s)"
    )

    plan = _command(
        commands, "plan", "commands:plan", "what a backfill (or a sync) would ask for; asks nothing",
        f"{_SANDBOX} \\\n  htxdata plan klines --venue htx-spot --symbol btcusdt --period 1min "
        "--start 2024-01-01 --end 2024-02-01",
        "Without a DATASET: what `htxdata sync` would do.", common,
    )  # fmt: skip
    plan.add_argument("dataset", nargs="?", metavar="DATASET", help=_FILLED)
    _series(plan, required=False)
    _range(plan, required=False)
    plan.add_argument("--json", action="store_true", help="print JSON")

    backfill = _command(
        commands, "backfill", "commands:backfill", "fill what is not covered yet",
        f"{_SANDBOX} \\\n  htxdata backfill klines --venue htx-spot --symbol btcusdt --period 1min "
        "--start 2024-01-01 --end 2024-01-08",
        "Stop it at will: the same command goes on from there.", common,
    )  # fmt: skip
    backfill.add_argument("dataset", metavar="DATASET", help=_FILLED)
    _series(backfill, required=True)
    _range(backfill, required=True)

    _command(commands, "sync", "commands:sync", "bring every [[keep]] of htxdata.toml up to now",
             "htxdata --config data/demo/htxdata.toml sync", "", common)  # fmt: skip

    capture = _command(
        commands, "capture", "live:capture", "listen to feeds: WebSocket to tape to tables",
        "HTXDATA_HOSTS__HTX_SWAP_WS=ws://127.0.0.1:8790/htx-swap \\\n"
        "  HTXDATA_HOSTS__HTX_SWAP_REST=http://127.0.0.1:8790/htx-swap \\\n"
        "  htxdata capture --venue htx-linear --feed trades --feed book --symbol 'BTC-*' --for 30s",
        "Every frame is on the tape before anything reads it. Lost connections come back by themselves, and\n"
        "the trades that they cost are asked for over REST. Stop it with Ctrl-C: what was heard is put into\n"
        "the tables. Exit code 3 where something was lost for good; capture_gaps says what and when.", common,
    )  # fmt: skip
    capture.add_argument("--venue", required=True, help=_VENUES)
    capture.add_argument(
        "--feed", action="append", required=True, metavar="F",
        help="trades klines book quotes funding liquidations index own_fills own_account_updates, or a glob; "
        "once per value; own_… need a key (docs/keys.md)",
    )  # fmt: skip
    capture.add_argument(
        "--symbol", action="append", required=True, metavar="S",
        help="the venue's own spelling or a glob such as 'BTC-*'; once per value",
    )  # fmt: skip
    capture.add_argument(
        "--period", action="append", default=[], metavar="P",
        help="of the feeds klines and index; 1min where left out; once per value",
    )  # fmt: skip
    capture.add_argument(
        "--levels", type=int, metavar="N",
        help="of books, on each side: 5 20 150 400 on htx-spot, 5 10 20 50 100 on htx-permanent, 20 150 on HTX's "
        "other contracts",
    )  # fmt: skip
    capture.add_argument("--for", dest="lasting", metavar="T", help="30s, 10m, 1h30m, 2d; until stopped where left out")
    capture.add_argument(
        "--rotate", default="1h", metavar="T", help="how long one connection and its tape last (%(default)s)"
    )

    distil = _command(
        commands, "distil", "live:distil", "put what is on the tapes into the tables",
        "htxdata --config data/demo/htxdata.toml distil --venue htx-linear --feed trades",
        "Safe while capture runs, which does it as well. A second run changes nothing. Exit code 3 where\n"
        "something was not heard and could not be had by another way either.", common,
    )  # fmt: skip
    distil.add_argument("--venue", help="all where left out")
    distil.add_argument("--feed", help="all where left out")
    distil.add_argument("--again", action="store_true", help="read every tape from its beginning")
    distil.add_argument("--json", action="store_true", help="print JSON")

    snapshot = _command(
        commands, "snapshot", "commands:snapshot", "look at what has no history: instruments, open_interest, …",
        "HTXDATA_HOSTS__HTX_SWAP_REST=http://127.0.0.1:8790/htx-swap \\\n"
        "  htxdata snapshot index_constituents --venue htx-linear --symbol 'BTC-*'",
        "Nobody can ask for it later: what the venue answers is put on the tape, raw, before it is read.\n"
        "Each look at open_interest, indicative_funding_rates, mark_prices and index_prices is a row of its own;\n"
        "of instruments and index_constituents (the baskets of indices) only what changed is. Exit code 3 where\n"
        "something gave no answer.", common,
    )  # fmt: skip
    snapshot.add_argument(
        "dataset", metavar="DATASET",
        help="instruments, open_interest, index_constituents, indicative_funding_rates, mark_prices, index_prices, "
        "own_balances (needs a key)",
    )  # fmt: skip
    snapshot.add_argument(
        "--venue", action="append", default=[], help="once per value; every venue that has it where left out"
    )
    snapshot.add_argument(
        "--symbol", action="append", default=[], metavar="S", help="a name or a glob; all where left out"
    )

    coverage = _command(
        commands, "coverage", "commands:coverage", "per series: from, to, rows, spans and verdicts",
        "htxdata --config data/demo/htxdata.toml coverage klines --symbol 'btc*'",
        "Reads the lake only; asks nothing.", common,
    )  # fmt: skip
    _chosen(coverage)
    coverage.add_argument("--json", action="store_true", help="print JSON")
    other = coverage.add_mutually_exclusive_group()
    other.add_argument(
        "--fresh", action="store_true",
        help="how old every [[keep]] is instead; calls the hooks of [alerts]; exit code 3 where one is late",
    )  # fmt: skip
    other.add_argument("--metrics", action="store_true", help="the same for Prometheus, in its text format")

    audit = _command(
        commands, "audit", "upkeep:audit", "is what the lake holds true: a table of findings",
        "htxdata --config data/demo/htxdata.toml audit klines --symbol 'btc*'",
        "Candles against trades and against shorter candles, sources against each other, rows against\n"
        "their footers. Reads the lake only; asks nothing. Exit code 3 if anything is found; the view\n"
        "audit_findings has it all.", common,
    )  # fmt: skip
    _chosen(audit)
    _range(audit, required=False, end="first instant not wanted; no bound where left out")
    audit.add_argument("--json", action="store_true", help="print JSON")

    compact = _command(
        commands, "compact", "upkeep:compact", "fewer, larger, sorted files; loses nothing",
        "htxdata --config data/demo/htxdata.toml compact klines --symbol 'btc*'",
        "One partition becomes one file, laid out as this version lays it out; every rewritten row is read\n"
        "again and compared before anything is replaced. A second run does nothing. Safe beside a backfill\n"
        "and beside readers. Exit code 3 where something had to be left as it is.", common,
    )  # fmt: skip
    _chosen(compact)
    compact.add_argument("--json", action="store_true", help="print JSON")

    report = _command(
        commands, "report", "reporting:report",
        "one self-contained page: coverage calendar, verdicts, candles, freshness",
        "htxdata --config data/demo/htxdata.toml report --output lake.html",
        "Open it in any browser; it asks no network. Reads the lake only. Exit code 3 where a file of the lake\n"
        "could not be read: the page is made of the others and names it.", common,
    )  # fmt: skip
    _chosen(report)
    _range(report, required=False, end="first instant not wanted; no bound where left out")
    report.add_argument(
        "--output",
        default="htxdata-report.html",
        metavar="F.html",
        help="the file that is written (%(default)s); - is stdout",
    )

    export = _command(
        commands, "export", "research:export", "what a backtester reads, in its own format",
        "htxdata --config data/demo/htxdata.toml export backtesting.py --venue htx-spot --symbol btcusdt "
        "--period 1min \\\n    --output data/demo/export",
        "Engines: backtesting.py, vectorbt, backtrader, nautilus_trader, freqtrade, hftbacktest,\n"
        "zipline-reloaded, qlib, lean. Bar labels, time zones, units and fundings are as each engine means\n"
        "them: docs/backtesters.md. The same export writes the same bytes, and the names of the files go to\n"
        "stdout. Where the lake does not know what there was, no bar is invented: the files are written,\n"
        "the holes are named, and the exit code is 3.", common,
    )  # fmt: skip
    export.add_argument("engine", metavar="ENGINE", help="its name, in any spelling")
    export.add_argument("--venue", required=True, help=_VENUES)
    export.add_argument(
        "--symbol", action="append", required=True, metavar="S",
        help="the venue's own spelling or a glob such as 'BTC-*'; once per value",
    )  # fmt: skip
    export.add_argument(
        "--period", action="append", default=[], metavar="P",
        help="of the bars: 1min (where left out), 5min, 7min, 60min, utc_day, …; once per value",
    )  # fmt: skip
    _range(export, required=False, end="first instant not wanted; the end of what is stored where left out")
    export.add_argument("--output", required=True, metavar="DIR", help="the folder to write to")
    export.add_argument("--trades", action="store_true", help="trades as well: nautilus_trader, freqtrade, lean")
    export.add_argument("--no-funding", action="store_true", help="leave fundings out")
    export.add_argument(
        "--latency", metavar="T",
        help="hftbacktest: how late rows are assumed to be heard that were not captured live, such as 50ms",
    )  # fmt: skip
    export.add_argument("--allow-holes", action="store_true", help="exit code 0 also where the range has holes")

    query = _command(
        commands, "query", "commands:query", "SQL on the views of the lake; read-only",
        "htxdata --config data/demo/htxdata.toml query 'select symbol, period, count(*) from klines group by all'",
        "Views: every dataset (data/README.md), coverage, audit_findings. Macros: bucket(t, '7min'),\n"
        "utc_day(t), venue_day(t, venue), … Elsewhere: htxdata query --print-views > views.sql; duckdb -init\n"
        "views.sql", common,
    )  # fmt: skip
    query.add_argument("sql", metavar="SQL", nargs="?", help="one statement")
    query.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    query.add_argument("--output", metavar="F", help="a file instead of stdout (-)")
    query.add_argument(
        "--print-views", action="store_true", help="print the SQL that makes the same views in any DuckDB"
    )

    doctor = _command(
        commands, "doctor", "doctor:doctor", "what is wrong with this machine, and the way out",
        "htxdata --config data/demo/htxdata.toml doctor",
        "Settings and where they come from, hosts, clock, disks, the lake and its tapes, within some ten\n"
        "seconds. Mends nothing. Exit code 3 where a problem was found; warnings are none.", common,
    )  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="print JSON, with all details")

    _command(
        commands, "serve", "serve:serve", "keep every [[keep]] up to date, by schedules, until stopped",
        "htxdata --config data/demo/htxdata.toml serve",
        "Captures, a sync every hour, snapshots, a night's upkeep and checks of freshness: [serve] says when,\n"
        "[alerts] who hears of what is late. Every run is a Prefect flow run with a page of its own, on a\n"
        "server that this command starts, or on the one that PREFECT_API_URL names. Ctrl-C (exit code 130)\n"
        "or SIGTERM (0) ends it well; started again, it goes on.", common,
    )  # fmt: skip

    sandbox = _command(
        commands, "sandbox", "commands:sandbox", "a local exchange to try things on",
        "htxdata sandbox --port 8790 --seed 7 --faults flaky",
        "Prints the [hosts] table that points at it, and the key for own_… data (docs/keys.md). Ctrl-C (exit code\n"
        "130) or SIGTERM (0) stops it.", common,
    )  # fmt: skip
    sandbox.add_argument("--port", type=_port, default=8790, help="0 takes a free one (%(default)s)")
    sandbox.add_argument("--seed", type=int, default=0, help="which market (%(default)s)")
    sandbox.add_argument("--faults", metavar="FILE|NAME", help="how it misbehaves")
    sandbox.add_argument(
        "--replay", metavar="DIR", help="serve the recorded market data of this folder instead"
    )
    return top
