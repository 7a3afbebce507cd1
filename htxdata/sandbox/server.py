"""The sandbox as an object: a server in a thread of its own, on 127.0.0.1, started and stopped with `with`."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from aiohttp import web

from .answers import Exchange
from .archive import ArchiveHost
from .archive_bucket import Bucket, Moment
from .archive_zips import Options
from .bars import Columns
from .faults import Faults
from .hashkey_own import HashkeyOwn
from .keys import SANDBOX_KEY, ApiKey, Keys
from .limits import Budget, Door
from .live_books import DEEPEST, TICK, LiveBook, LiveBooks
from .market import Market
from .own import Own
from .own_rest import OwnRest
from .permanent_own import PermanentOwn
from .replay import Replay
from .rest import Record, Rest
from .websocket import Sockets
from .websocket_lines import Command, Manners, Socket

_WORKERS = 2  # threads that make the candles that take long


class Sandbox:
    """A local HTX. Use as a context manager; the server runs in a background thread meanwhile.

    seed: of the market. port: 0 takes a free one; one in use raises OSError on entering. faults: Faults, or what
    `Faults.parse` takes. replay: Replay, or the folder of recordings. limits: True for HTX's own, False for none (over
    WebSocket too), or host key -> requests in any second (or (requests, seconds)). clock: seconds since 1970, asked per
    request and per tick.
    spot_history: 0 switches /market/history/candles off (404), N limits it to the newest N candles of a period.
    v5: False takes the v5 fundings away (404). v5_from_inclusive: whether the cursor's own row is in its page.
    ban_after: refusals within ten seconds that earn a ban of ban_seconds.
    archive_delay_hours: how long after its end a UTC+8 day is published. archive_listing: False refuses listings (403).
    archive_perp_size: what `size` of the new tree's contract trades counts, `contracts` or `coins`.
    archive_repeated_ids: the share of archive trades that share their id and time with the next one; a quarter as many
    rows occur twice. archive_cache_bytes: of zips kept in memory.
    ping_seconds: between the heartbeats of a WebSocket. most_topics: that one connection may have.
    funding_seconds: between the pushes of funding rates. replay_speed: how much faster than it was recorded a session
    is played; 0 sends it all at once.
    hashkey_bound: which id leads back in HashKey's history of fundings (`hashkey_funding.BOUNDS`); hashkey_page: the
    most rows that it sends at once.
    permanent_edge_ms: whether `start` of permanent's candles is milliseconds, which its text leaves open.
    permanent_by_ascii: whether it sorts the names that are signed by ASCII, as its text says, and not as its worked
    example has them.
    keys: those that exist besides the one that everybody may use. listen_seconds: for how long HashKey lends a key to
    listen with. own_seconds: how often (on each traded symbol) their
    owner has an order.
    crowd: how many instruments alike each venue lists besides those with a story (`instruments.Table`), up to 1000.
    """

    def __init__(
        self,
        seed: int = 0,
        port: int = 0,
        faults: Faults | str | None = None,
        replay: Replay | str | Path | None = None,
        limits: bool | Mapping[str, float | Budget] = True,
        clock: Callable[[], float] = time.time,
        log_requests: bool = True,
        spot_history: int | None = None,
        *,
        v5: bool = True,
        v5_from_inclusive: bool = True,
        ban_after: int = 20,
        ban_seconds: float = 60.0,
        archive_delay_hours: float = 12.0,
        archive_listing: bool = True,
        archive_perp_size: str = "contracts",
        archive_repeated_ids: float = 0.0,
        archive_cache_bytes: int = 64 << 20,
        ping_seconds: float = 5.0,
        most_topics: int = 500,
        funding_seconds: float = 60.0,
        replay_speed: float = 1.0,
        crowd: int = 0,
        hashkey_bound: str = "end",
        hashkey_page: int = 1000,
        permanent_edge_ms: bool = False,
        permanent_by_ascii: bool = False,
        keys: Sequence[ApiKey] = (),
        own_seconds: float = 4 * 3600.0,
        listen_seconds: float = 3600.0,
    ) -> None:
        self.market = Market(seed)
        self.faults = Faults.parse(faults) if isinstance(faults, str) else faults or Faults()
        self.replay = Replay.load(replay) if isinstance(replay, (str, Path)) else replay
        self._door = Door(limits, ban_after, ban_seconds)
        self._exchange = Exchange(
            self.market, self.replay, v5, v5_from_inclusive, spot_history, crowd, hashkey_bound, hashkey_page,
            permanent_unit=1_000 if permanent_edge_ms else 1_000_000,
        )  # fmt: skip
        options = Options(
            archive_delay_hours, archive_listing, archive_perp_size, archive_repeated_ids, archive_cache_bytes
        )
        self.own = Own(self.market, int(own_seconds * 1_000_000))
        self._keys = Keys({key.access: key for key in (SANDBOX_KEY, *keys)}, lent_seconds=listen_seconds)
        self._own_rest = OwnRest(self.own, self._keys)
        self._hashkey_own = HashkeyOwn(self.own, self._keys)
        self._permanent_own = PermanentOwn(self.own, self._keys, permanent_by_ascii)
        self._bucket = Bucket(self.market, self.replay, self.faults, options)
        self._clock, self._asked_port = clock, port
        self._began: float | None = None
        self._sockets: list[Socket] = []
        self._commands: list[Command] | None = [] if log_requests else None
        self._manners = Manners(
            limits is not False, ping_seconds, most_topics, funding_seconds, replay_speed
        )
        self._log: list[Record] | None = [] if log_requests else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT"""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> dict[str, str]:
        """The `[hosts]` of a configuration that points here."""
        socket_url = f"ws://127.0.0.1:{self.port}"
        return {
            "htx_spot_rest": f"{self.url}/htx-spot",
            "htx_swap_rest": f"{self.url}/htx-swap",
            "htx_spot_ws": f"{socket_url}/htx-spot",
            "htx_swap_ws": f"{socket_url}/htx-swap",
            "htx_archive": f"{self.url}/htx-archive",
            "hashkey_rest": f"{self.url}/hashkey",
            "hashkey_ws": f"{socket_url}/hashkey",
            "permanent_rest": f"{self.url}/permanent/api/swap",
            "permanent_ws": f"{socket_url}/permanent/api/swap",
        }

    @property
    def requests(self) -> list[Record]:
        """All requests so far, in order of arrival (empty with log_requests=False)."""
        return list(self._log or ())

    @property
    def violations(self) -> int:
        """How many requests came over the enforced limit."""
        return len(self._door.violations)

    @property
    def violation_times(self) -> list[tuple[float, str, str]]:
        """(monotonic seconds, host key, path) of each of them."""
        return list(self._door.violations)

    @property
    def placed(self) -> list[dict[str, Any]]:
        """The orders that were placed by request, as they look now."""
        everywhere = (*self._own_rest.placed, *self._hashkey_own.placed, *self._permanent_own.placed)
        return [dict(row) for row in everywhere]

    @property
    def refused_keys(self) -> dict[str, int]:
        """How many private requests and sign-ins were not let in, by the words of the refusal."""
        return dict(self._keys.refusals)

    @property
    def lent_keys(self) -> list[str]:
        """The keys to listen with that were lent so far."""
        return list(self._keys.lent)

    @property
    def sockets(self) -> list[Socket]:
        """All WebSocket connections so far, in order; those that live still change."""
        return list(self._sockets)

    @property
    def commands(self) -> list[Command]:
        """All that clients said over WebSocket, pongs too, in order of arrival (empty with log_requests=False)."""
        return list(self._commands or ())

    def now(self) -> int:
        """The sandbox's clock, us UTC."""
        return int(self._clock() * 1_000_000)

    def book(
        self,
        venue: str,
        symbol: str,
        at: int | None = None,
        *,
        sequence: int | None = None,
        depth: int | None = None,
    ) -> LiveBook:
        """The order book as WebSocket tells it: at an instant (us UTC; now unless said), or by its number (`seqNum`,
        `mrid`). The deepest there is unless said: 400 levels a side on spot, 150 on contracts.

        ValueError if no book has that number. A book of what does not trade then is empty.
        """
        books = LiveBooks(self.market.seed, self.market.instrument(venue, symbol))
        tick = books.tick_of(sequence) if sequence is not None else (self.now() if at is None else at) // TICK
        return books.read(tick, DEEPEST[venue] if depth is None else depth)

    def trades_between(self, venue: str, symbol: str, start: int, end: int) -> Columns:
        """What WebSocket tells of trades with start <= trade_time < end (us UTC): `Market.orders`."""
        return self.market.orders(venue, symbol, start, end)

    def archive_keys(self, prefix: str = "") -> list[str]:
        """What the archive has at this moment, in its order, as a whole listing would say."""
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        return list(self._bucket.keys(prefix, "", Moment(int(self._clock() * 1_000_000), elapsed)))

    def archive_rows(self, key: str) -> Columns:
        """What a file of the archive says, as columns named as Market's; KeyError if there is never such a file.

        It differs from Market where the archive does: placeholder candles of halted and dead instruments, repeated ids.
        Faults do not show: it is what the file says in the end. Funding times are the exact ones.
        """
        return self._bucket.truth(key)

    def __enter__(self) -> Sandbox:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._asked_port))
            listener.listen(512)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._live, args=(listener, started), name="sandbox", daemon=True
        )
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._thread = self._loop = self._stop = None

    def _live(self, listener: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._run(listener, started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _run(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with ThreadPoolExecutor(_WORKERS, "sandbox-candles") as workers:
            # All threads exist from the start, so that none seems to be left behind by whoever asks first.
            together = threading.Barrier(_WORKERS)
            await asyncio.gather(
                *(self._loop.run_in_executor(workers, together.wait) for _ in range(_WORKERS))
            )
            archive = ArchiveHost(self._bucket, self._door, self.faults, self._clock, workers)
            self._began = archive.began
            sockets = Sockets(
                self.market,
                self.replay,
                self.faults,
                self._clock,
                workers,
                self._manners,
                self._sockets,
                self._commands,
                self._own_rest,
            )
            rest = Rest(
                self._exchange,
                self._door,
                self.faults,
                self._clock,
                self._log,
                workers,
                archive,
                sockets,
                self._own_rest,
                self._hashkey_own,
                self._permanent_own,
            )
            runner = web.ServerRunner(
                web.Server(rest.answer, access_log=None), handle_signals=False, shutdown_timeout=0.05
            )
            await runner.setup()
            await web.SockSite(runner, listener).start()
            started.set_result(None)
            await self._stop.wait()
            await sockets.close()
            await runner.cleanup()


def serve(
    port: int = 8790,
    seed: int = 0,
    faults: Faults | str | None = None,
    replay: Replay | str | Path | None = None,
    on_ready: Callable[[Sandbox], Any] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM, then stop cleanly; the number of the signal. Blocking; must be called in the main
    thread to hear signals."""
    over, told = threading.Event(), [0]

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)
        over.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(seed, port, faults, replay, log_requests=False) as sandbox:
            if on_ready is not None:
                on_ready(sandbox)
            while not over.wait(0.2):
                pass
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
    return told[-1]
