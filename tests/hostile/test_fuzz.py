"""Whatever a venue, a disk or a person says: what comes out is an answer or an error of ours, in bounded time.

Every parser of every venue in ``VENUES`` is fed what the sandbox really sends, spoilt (``mutants.py``); a venue, an
endpoint or a feed that is added is included by being in its table. ``make fuzz`` feeds more: COUNT cases per parser.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request as Line
from urllib.request import urlopen

import pytest

from htxdata import config
from htxdata.cli.options import parser
from htxdata.config import HOSTS
from htxdata.errors import CorruptPartition, HtxdataError
from htxdata.keys import Keys, Secret
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import SANDBOX_KEY, Sandbox
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Footer, Span, footer, reel, rows, tape
from htxdata.store.footer import SourceFile
from htxdata.timeline import DAY, HOUR, Window, iso, parse_instant
from htxdata.transport import unzip
from htxdata.transport.http import target_of
from htxdata.venues import VENUES
from htxdata.venues.terms import Facts, Venue
from tests.hostile.mutants import spoilt
from tests.store.build import candles
from tests.truth import configuration

COUNT = int(os.environ.get("HTXDATA_FUZZ", "0"))
"""Cases per parser of the long form."""

FEW = 12
SLOW_S = 5.0
NOW = parse_instant("2025-07-10")
DAYS = ("2025-07-04", "2025-07-05", "2024-03-05", "2022-03-05", "2021-03-05")


class Target(NamedTuple):
    """Something that reads bytes, and a payload that it reads without complaint."""

    name: str
    payload: bytes
    read: Callable[[bytes], Any]


def case(venue: Venue, dataset_name: str, path: str, period: str | None = None) -> str:
    return " ".join(part for part in (venue.name, dataset_name, path, period) if part)


# ------------------------------------------------------------------------------------------- what a venue says


NOTHING = b'{"status":"ok","data":[]}'
"""Where the sandbox has no such path: one that the documents print by mistake, it seems."""


KEYS = Keys(Secret(SANDBOX_KEY.access), Secret(SANDBOX_KEY.secret))


def asked(sandbox: Sandbox, venue: Venue, request: Request) -> Reply:
    said = request
    if request.private and venue.sign is not None:
        host = sandbox.url.removeprefix("http://")
        said = replace(request, params=venue.sign(request, host, KEYS, sandbox.now()))
    url = sandbox.hosts[venue.host] + target_of(said)
    headers = dict(venue.headers(KEYS)) if request.private else {}
    with contextlib.suppress(OSError), urlopen(Line(url, headers=headers), timeout=10) as answer:
        raw = answer.read()
        body = gzip.decompress(raw) if answer.headers.get("Content-Encoding") == "gzip" else raw
        return Reply(request, answer.status, body, NOW)
    return Reply(request, 200, NOTHING, NOW)


DATED = {"date": "Thu, 10 Jul 2025 00:00:00 GMT"}


def facts_of(venue: str) -> Facts:
    """What a contract is: 100 dollars, or a thousandth of a coin."""
    return Facts(100.0 if venue in ("htx-inverse", "htx-futures") else 0.001)


def liquid(sandbox: Sandbox, venue: Venue, name: str = "trades") -> str:
    """A symbol of which there is such a dataset."""
    listed = venue.describe(asked(sandbox, venue, venue.listings[0])).columns
    symbols: list[str] = [
        symbol
        for symbol, status in zip(listed["symbol"], listed["status"], strict=True)
        if venue.has(name, symbol) and status != "delisted"
    ]
    future = max((symbol for symbol in symbols if symbol.startswith("BTC")), default=max(symbols))
    return next((each for each in symbols if each.replace("-", "").lower().startswith("btcusd")), future)


def replied(venue: Venue, request: Request, parse: Callable[[Reply], Any]) -> Callable[[bytes], Any]:
    def read(body: bytes) -> Any:
        reply = Reply(request, 200, body, NOW, DATED)
        venue.judge(reply)
        for status in (200, 400, 429, 503):
            venue.judge(Reply(request, status, body, NOW, {"retry-after": body[:30].decode("latin-1")}))
        return parse(reply)

    return read


def stored(name: str, columns: dict[str, Any], unfit: Any = None, **more: Any) -> Any:
    """The rows as a partition would hold them: a time that no calendar has must not come so far."""
    declared = dataset(name)
    known = {key: value for key, value in columns.items() if key in declared.columns}
    table = conform(declared, {"source": "rest", "received_at": NOW, **known, **more}, unfit)
    rows.pack(table, Footer())
    return table


def of_replies(sandbox: Sandbox) -> Iterator[Target]:
    for venue in VENUES:
        if venue.host not in sandbox.hosts:
            continue
        for listing in venue.listings:
            reply = asked(sandbox, venue, listing)
            yield Target(
                case(venue, "listing", listing.path), reply.body, replied(venue, listing, venue.describe)
            )
        for endpoint in venue.endpoints:
            symbol = liquid(sandbox, venue, endpoint.dataset)
            period = next(iter(endpoint.periods), None) if endpoint.periods else None
            told_of = symbol if endpoint.of(symbol) else f"{symbol}-PERPETUAL"
            if endpoint.each:  # of one account, not of a symbol
                assert venue.accounts is not None
                assert venue.accounts.list is not None
                told_of = venue.accounts.numbers(asked(sandbox, venue, venue.accounts.list))[0]
            series = Series(endpoint.dataset, venue.name, told_of, period)
            window = Window(NOW - 2 * HOUR, NOW)
            request = endpoint.build(series, Ask(window, 20, None, 1))
            if request.private:  # own history reaches back some days only, by the exchange's clock
                own = Window(sandbox.now() - min(20 * HOUR, endpoint.span or DAY), sandbox.now())
                request = endpoint.build(series, Ask(own, 20, None, 1))
            reply = asked(sandbox, venue, request)

            def parse(reply: Reply, endpoint: Any = endpoint, series: Series = series) -> Any:
                parsed = endpoint.read(reply, series, facts_of(series.venue))
                return stored(endpoint.dataset, dict(parsed.columns), parsed.unfit)

            yield Target(
                case(venue, endpoint.dataset, endpoint.path, period),
                reply.body,
                replied(venue, request, parse),
            )
        told: dict[str, bytes] = {}
        for poll in venue.polls:
            symbol = liquid(sandbox, venue, poll.dataset)
            asks = poll.build(None if poll.whole else symbol)

            def look(reply: Reply, poll: Any = poll, symbol: str = symbol) -> Any:
                return poll.parse(reply, None if poll.whole else symbol)

            body = asked(sandbox, venue, asks).body
            # The same answer by another path, where this one is not to be had.
            told.setdefault(poll.dataset, body)
            body = told[poll.dataset] if body == NOTHING else body
            yield Target(case(venue, "poll " + poll.dataset, poll.path), body, replied(venue, asks, look))


def of_archives(sandbox: Sandbox) -> Iterator[Target]:
    for venue in VENUES:
        if venue.bucket is None or venue.archive_host is None or venue.host not in sandbox.hosts:
            continue
        base = sandbox.hosts[venue.archive_host]
        symbol = liquid(sandbox, venue)
        for archive in venue.archives:
            period = next(iter(archive.periods), None) if archive.periods else None
            series = Series(archive.dataset, venue.name, symbol, period)
            for day in (*DAYS, iso(sandbox.now() - 5 * DAY)[:10]):  # books and futures of lately only
                with (
                    contextlib.suppress(OSError),
                    urlopen(f"{base}/{archive.key(series, day)}", timeout=20) as answer,
                ):
                    packed = answer.read()
                    blocks = unzip.blocks if archive.packed == "zip" else unzip.tar_gz_blocks
                    content = b"".join(blocks(packed))

                    def read(body: bytes, archive: Any = archive, series: Series = series) -> Any:
                        for parsed in archive.read([body], series, facts_of(series.venue)):
                            stored(archive.dataset, dict(parsed.columns), parsed.unfit)

                    def opened(body: bytes, blocks: Any = blocks) -> Any:
                        return sum(map(len, blocks(body)))

                    name = case(venue, "archive " + archive.dataset, archive.tree, period)
                    yield Target(name, content[:60_000].rpartition(b"\n")[0] + b"\n", read)
                    yield Target(name + " packed", packed, opened)
                    break
        listing = venue.bucket.list_request("data/", None)
        with contextlib.suppress(OSError), urlopen(base + target_of(listing), timeout=20) as answer:
            yield Target(f"{venue.name} listing of the archive", answer.read(), venue.bucket.listed)
        yield Target(
            f"{venue.name} checksum",
            b"a" * 64 + b"  x.zip\n",
            lambda body, b=venue.bucket: b.sha256_of(body, "x.zip"),
        )


def of_feeds(sandbox: Sandbox, folder: Path) -> Iterator[Target]:
    """Frames as a capture of the sandbox taped them, by feed."""
    from htxdata.cli import main

    words = ["--config", str(configuration(sandbox, folder)), "capture", "--for", "1.5s"]
    words += ["--period", "1min", "--feed", "[!o]*"]  # a glob: of HashKey, a pair has no index, nor a perpetual
    asked_of = [(venue, liquid(sandbox, venue)) for venue in VENUES if venue.host in sandbox.hosts]
    public = [pair for pair in asked_of if any(not feed.name.startswith("own_") for feed in pair[0].feeds)]

    def capture(pair: tuple[Venue, str]) -> int:
        return main([*words, "--venue", pair[0].name, "--symbol", pair[1]])

    with ThreadPoolExecutor(len(public)) as pool:  # all at once: a capture waits most of the time
        assert list(pool.map(capture, public)) == [0] * len(public)
    for venue, symbol in asked_of:
        for feed in venue.feeds:
            messages = list(_messages(folder / "tape", venue.name, feed.name))
            payload = (
                max(messages[:200], key=len) if messages else b'{"ch":"market.x","ts":1,"tick":{"data":[]}}'
            )

            def read(body: bytes, feed: Any = feed, symbol: str = symbol, venue: str = venue.name) -> Any:
                pushed = feed.parse([(NOW, body), (NOW, body)], {symbol: facts_of(venue)})
                assert all(0 <= at < 2 and why for at, why in pushed.faults)
                for columns in pushed.columns.values():
                    stored(feed.dataset, columns)
                feed.dialect.hear(body)
                feed.symbol_of(body[:300].decode("utf-8", "replace"))
                if feed.watch is not None:
                    feed.watch(body)

            yield Target(case(venue, "feed", feed.name), payload, read)


def _messages(root: Path, venue: str, feed: str) -> Iterator[bytes]:
    for path in reel.reels(root, venue, feed):
        for _, item in reel.read(path):
            if isinstance(item, reel.Frames):
                yield from (
                    gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in item.bodies
                )


# ------------------------------------------------------------------------------------- what lies on the disk


def of_files(folder: Path) -> Iterator[Target]:
    records = [
        tape.Record(NOW + at, b'{"a":%d}' % at * 20, {"path": "/x", "params": [], "status": 200})
        for at in range(5)
    ]
    yield Target(
        "tape", b"".join(tape.encode([each]) for each in records), lambda body: list(tape.decode(body))
    )

    def replies(body: bytes) -> Any:
        path = folder / "r" / "venue=v" / "feed=f" / "date=2025-07-10" / "1.tape"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return list(tape.replies(folder / "r"))

    yield Target("tape of replies", tape.encode(records), replies)
    with contextlib.closing(_Closing(reel.Reel(folder, "htx-spot", "trades", NOW))) as made:
        made.reel.note(NOW, {"event": "opened"})
        made.reel.frames([NOW, NOW + 1], [b"abc", gzip.compress(b'{"ch":"x"}')])
        made.reel.seal(NOW + 2, "asked")

    def reeled(body: bytes) -> Any:
        path = folder / "x.reel"
        path.write_bytes(body)
        return list(reel.read(path))

    yield Target("reel", made.reel.path.read_bytes(), reeled)
    spans = tuple(
        Span(at * DAY, (at + 1) * DAY, "present", "rest", NOW + at, at) for at in range(60) if at % 3
    )
    packed = footer.pack(Footer(spans, 3, (SourceFile("data/a", "ab", "cd", 1, 2),)))
    yield Target("footer, deflated", packed.encode(), lambda body: footer.pack(_footer(body)))
    yield Target("footer", footer.pack(Footer(spans[:2])).encode(), lambda body: footer.pack(_footer(body)))
    file = bytes(rows.pack(candles(range(300)), Footer(spans[:2])))

    def partition(body: bytes) -> Any:
        table, _ = rows.unpack(dataset("klines"), io.BytesIO(body), "x")
        for piece in rows.Reader(dataset("klines"), io.BytesIO(body), "x").tables():
            piece.validate(full=False)
        return table.num_rows

    yield Target("partition", file, partition)


class _Closing:
    def __init__(self, held: reel.Reel) -> None:
        self.reel = held

    def close(self) -> None:
        self.reel.abandon()


def _footer(body: bytes) -> Footer:
    try:
        return footer.unpack(body)
    except ValueError as error:  # which is its promise; `footer.read` says the rest
        raise CorruptPartition(str(error)) from error


# ------------------------------------------------------------------------------------- what a person writes

TOML = b"""
lake = "data/lake"
tape = "data/tape"
[hosts]
htx_spot_rest = "https://api.huobi.pro"
htx_spot_ws = "wss://api.huobi.pro"
[budgets]
htx_spot_rest = 8
[[keep]]
venue = "htx-linear"
dataset = "klines"
symbols = ["BTC-USDT", "ETH-*"]
periods = ["1min", "1day"]
since = "2024-01-01"
"""
WORDS_OF_COMMANDS = (
    b"backfill\nklines\n--venue\nhtx-spot\n--symbol\nbtcusdt\n--period\n60min\n--start\n2024-01-01\n--end\n2024-02-01",
    b"capture\n--venue\nhtx-linear\n--feed\ntrades\n--symbol\nBTC-USDT\n--for\n30s",
    b"query\nselect 1\n--format\njson", b"coverage\nklines\n--venue\nhtx-spot\n--json",
    b"sandbox\n--port\n8790\n--seed\n3", b"export\nfreqtrade\n--venue\nhtx-spot\n--symbol\nbtcusdt\n--output\nx",
)  # fmt: skip


def of_people(folder: Path) -> Iterator[Target]:
    def configured(body: bytes) -> Any:
        path = folder / "htxdata.toml"
        path.write_bytes(body)
        return config.load(str(path))

    yield Target("htxdata.toml", TOML, configured)

    def words(body: bytes) -> Any:
        given = body.decode("utf-8", "surrogateescape").split("\n")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            with contextlib.suppress(SystemExit):  # --help, --version
                return parser().parse_args(given)

    for payload in WORDS_OF_COMMANDS:
        yield Target("command line of " + payload.partition(b"\n")[0].decode(), payload, words)
    yield Target(
        "time",
        b"2024-01-01T00:00:00.123456+08:00",
        lambda body: parse_instant(body.decode("utf-8", "replace")),
    )


# ---------------------------------------------------------------------------------------------------- the run


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    with Sandbox(seed=5, limits=False) as sandbox:
        said = [*of_replies(sandbox), *of_archives(sandbox), *of_feeds(sandbox, folder)]
    return [*said, *of_files(folder), *of_people(folder)]


def feed(targets: list[Target], count: int) -> tuple[int, int, list[str]]:
    """How many cases there were, how many of them were read without complaint, and what was wrong with the others: they
    ended by an error that is none of ours, that says nothing, or that took long."""
    good = total = 0
    wrong: list[str] = []
    for target in targets:
        for number in range(count):
            body = spoilt(target.payload, number)
            began = time.process_time()
            total += 1
            try:
                target.read(body)
                good += 1
            except HtxdataError as error:
                if not str(error):
                    wrong.append(f"{target.name} #{number}: an error without a word")
            except Exception as error:
                wrong.append(
                    f"{target.name} #{number}: {type(error).__name__}: {error!s:.200} for {body!r:.120}"
                )
            if time.process_time() - began > SLOW_S:
                wrong.append(f"{target.name} #{number}: took {time.process_time() - began:.1f} s")
    return total, good, wrong


def test_what_is_spoilt_here_is_read_when_it_is_not(targets: list[Target]) -> None:
    """Each payload is a good one, and each venue's tables are all there."""
    wrong = []
    for target in targets:
        try:
            target.read(target.payload)
        except HtxdataError as error:
            wrong.append(f"{target.name}: {error} for {target.payload[:100]!r}")
    assert wrong == [], "\n".join(wrong)
    names = " ".join(target.name for target in targets)
    lacking = [
        said
        for venue in VENUES
        for said in (
            *(endpoint.path for endpoint in venue.endpoints),
            *(f"{venue.name} feed {feed.name}" for feed in venue.feeds),
            *(f"{venue.name} archive {each.dataset}" for each in venue.archives),
        )
        if venue.host in HOSTS and said not in names
    ]
    assert lacking == []


def test_only_errors_of_ours_come_out(targets: list[Target]) -> None:
    """A dozen spoilings of everything."""
    total, good, wrong = feed(targets, FEW)
    assert total == FEW * len(targets)
    assert wrong == [], f"{len(wrong)} of {total}"
    assert 0.1 < good / total < 0.9, "spoilt enough to matter, and not beyond being looked at"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not COUNT, reason="make fuzz COUNT=…")
def test_only_errors_of_ours_come_out_for_long(targets: list[Target]) -> None:
    """The long form: HTXDATA_FUZZ spoilings of everything."""
    total, good, wrong = feed(targets, COUNT)
    assert total == COUNT * len(targets)
    assert wrong == [], f"{len(wrong)} of {total}"
    print(
        f"\nfuzz: {len(targets)} parsers, {total:,} cases, {good:,} read without complaint, the others refused"
    )
