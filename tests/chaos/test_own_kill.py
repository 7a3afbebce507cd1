"""One's own history under kill -9, by REST and by socket: whatever instant it was, the lake is the exchange's word."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from htxdata.keys import NAMES
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, Faults, Rule, Sandbox
from htxdata.sandbox.own import TRADED
from htxdata.store import reel
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, SECOND, iso
from tests.chaos.lives import Life
from tests.chaos.test_capture_kill import until_standing
from tests.chaos.test_kill import SQUALL, Market, finish, kill_again_and_again
from tests.ingest.test_own import assert_orders, hurried, rows_of, truth_of
from tests.ingest.test_own_ledger import RECORD, UPDATES, assert_told_once, records, told
from tests.truth import assert_covers, configuration, stored, strays

SYMBOLS = ("btcusdt", "ethusdt", "dogeusdt")
OWN_HOUR = 16  # of the ledger fewer are asked for: each is a request an account, and a silent one three


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment of this process and of those that it starts."""
    for access, secret in (NAMES["htx"], NAMES["hashkey"]):
        monkeypatch.setenv(access, SANDBOX_KEY.access)
        monkeypatch.setenv(secret, SANDBOX_KEY.secret)


def words(dataset: str, venue: str, symbols: tuple[str, ...], start: int, end: int) -> tuple[str, ...]:
    named = tuple(word for symbol in symbols for word in ("--symbol", symbol))
    return ("backfill", dataset, "--venue", venue, *named, "--start", iso(start), "--end", iso(end))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("kills", "seed"), [(8, 1), (40, 2)], ids=["some", "many"])
def test_kills_of_backfills_of_ones_own(tmp_path: Path, kills: int, seed: int) -> None:
    """Fills, orders and balances by REST, killed at random moments while the exchange misbehaves: each row is there, as
    it was, once; all is known, and nothing lies about."""
    end = (time.time_ns() // 1000 - HOUR) // HOUR * HOUR
    start, late = end - 2 * DAY, end - OWN_HOUR * HOUR
    commands = (
        words("own_fills", "htx-spot", SYMBOLS, start, end),
        words("own_orders", "htx-spot", SYMBOLS, start, end),
        words("own_fills", "htx-linear", ("BTC-USDT", "ETH-USDT"), start, end),
        words("own_account_updates", "htx-spot", ("*",), late, end),
    )
    with Sandbox(seed=seed, limits=False, faults=Faults(*SQUALL, seed=seed), own_seconds=900) as sandbox:
        config, market = configuration(sandbox, tmp_path), Market(commands)
        kill_again_and_again(sandbox, config, kills, seed, market)
        finish(config, market=market)
        lake, counts = tmp_path / "lake", []
        for venue, symbols in (("htx-spot", SYMBOLS), ("htx-linear", ("BTC-USDT", "ETH-USDT"))):
            for symbol in symbols:
                series = Series("own_fills", venue, symbol)
                truth = truth_of(sandbox, venue, symbol, start, end)
                assert rows_of(lake, series) == truth
                assert_covers(lake, series, start, end)
                counts.append(len(truth))
        for symbol in SYMBOLS:
            counts.append(assert_orders(lake, sandbox, symbol, start, end))
            assert_covers(lake, Series("own_orders", "htx-spot", symbol), start, end)
        assert told(lake, RECORD, "rest") == records(sandbox, late, end)
        assert_covers(lake, UPDATES, late, end)
        assert min(*counts, len(told(lake, RECORD, "rest"))) > 50
        assert strays(tmp_path) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kills", "faults"),
    [
        pytest.param(2, (), marks=pytest.mark.wide),
        pytest.param(6, (Rule("disconnect", 0.02), Rule("duplicated_frame", 0.05)), marks=pytest.mark.slow),
    ],
    ids=["a quiet line", "a bad line"],
)
def test_kills_of_captures_of_ones_own(tmp_path: Path, kills: int, faults: tuple[Rule, ...]) -> None:
    """Fills and balances over the socket, killed at random moments: what was not heard is asked for by the last life,
    each fill is there once, and each change of a balance was told by one way, whole."""
    dice = random.Random(kills)
    listen = (
        "capture",
        "--venue",
        "htx-spot",
        "--feed",
        "own_fills",
        "--feed",
        "own_account_updates",
        "--symbol",
        "*",
    )
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=Faults(*faults), clock=hurried(6.0)
    ) as sandbox:
        config, reels = configuration(sandbox, tmp_path), 0
        for _ in range(kills):
            with Life(config, *listen) as life:
                until_standing(tmp_path / "tape", reels + 2)
                time.sleep(dice.uniform(0.1, 2.0))
                life.kill()
            reels = len(reel.reels(tmp_path / "tape"))
        with Life(config, *listen, "--for", "6s") as last:
            assert last.end(120) == 0, (tmp_path / "said.txt").read_text()[-3000:]
        lake = tmp_path / "lake"
        spans = Store(lake).coverage(Series("own_fills", "htx-spot", "*"))
        start, end = spans[0].start, spans[-1].end
        assert end - start > 20 * SECOND
        assert_covers(lake, Series("own_fills", "htx-spot", "*"), start, end)
        count = 0
        for symbol in SYMBOLS:
            found = rows_of(lake, Series("own_fills", "htx-spot", symbol))
            truth = truth_of(sandbox, "htx-spot", symbol, start, end)
            assert [row for row in found if start <= row[2] < end] == truth
            count += len(truth)
        assert count > 0
        spans = Store(lake).coverage(UPDATES)
        assert_covers(lake, UPDATES, spans[0].start, spans[-1].end)
        # The ledger was asked for every silence; whether there was something to tell of them is the market's affair.
        # The last life alone listens for 36 seconds of a market that trades every ten: something was heard.
        assert {span.source for span in spans} == {"ws", "rest"}
        assert assert_told_once(lake, sandbox)["ws"] > 0
        assert not sandbox.refused_keys
        assert strays(tmp_path) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("venue", "kills", "faults"),
    [
        pytest.param("hashkey", 2, (), marks=pytest.mark.slow, id="hashkey"),
        *(
            pytest.param(
                venue, 6, (Rule("disconnect", 0.05), Rule("duplicated_frame", 0.1), Rule("missed_frame", 0.1)),
                marks=pytest.mark.slow, id=f"{venue} on a bad line",
            )
            for venue in ("hashkey", "htx-linear")
        ),
    ],
)  # fmt: skip
def test_kills_of_captures_of_fills_without_fees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: str, kills: int, faults: tuple[Rule, ...]
) -> None:
    """Where the socket tells no fee and proves nothing, killed at random moments: the next backfill asks for all of the
    time, and each fill is there once, whole, whichever way it came first."""
    dice = random.Random(kills)
    listen = ("capture", "--venue", venue, "--feed", "own_fills", "--symbol", "*")
    monkeypatch.setattr("htxdata.sandbox.hashkey_own._EARLY", 300_000)  # its clock is behind on purpose
    monkeypatch.setattr("htxdata.sandbox.hashkey_own._WINDOW", "300000")
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=Faults(*faults), clock=hurried(6.0)
    ) as sandbox:
        config, start = configuration(sandbox, tmp_path, rate=200.0), sandbox.now()
        for count in range(kills):
            with Life(config, *listen) as life:
                until_standing(tmp_path / "tape", count + 1)
                time.sleep(dice.uniform(0.1, 3.0))
                life.kill()
        with Life(config, *listen, "--for", "3s") as last:
            assert last.end(120) == 0, (tmp_path / "said.txt").read_text()[-3000:]
        lake, symbols = tmp_path / "lake", TRADED[venue]
        end = min(Store(lake).coverage(Series("own_fills", venue, symbol))[-1].end for symbol in symbols)
        with Life(config, *words("own_fills", venue, symbols, start, end)) as healing:
            assert healing.end(120) == 0, (tmp_path / "said.txt").read_text()[-3000:]
        count = 0
        for symbol in symbols:
            series = Series("own_fills", venue, symbol)
            assert_covers(lake, series, start, end)
            truth = truth_of(sandbox, venue, symbol, start, end)
            assert [row for row in rows_of(lake, series) if start <= row[2] < end] == truth
            count += len(truth)
        assert count > 0
        assert {row for symbol in symbols for row in stored(lake, Series("own_fills", venue, symbol))["source"]} == {
            "ws", "rest"
        }  # fmt: skip
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert not [key for key in sandbox.lent_keys if key.encode() in written]
        assert not sandbox.refused_keys
        assert strays(tmp_path) == []
