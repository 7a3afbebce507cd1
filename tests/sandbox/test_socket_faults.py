"""Every fault of frames does what its name says, as often and to whom its rule says, and heartbeats go unharmed."""

from __future__ import annotations

import gzip
import itertools
import json
import time
import zlib

import pytest

from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.sandbox.faults import FRAME_KINDS, KINDS, PRESETS
from tests.clocks import Hands, Wound
from tests.sandbox.socket_client import Gone, Said, Talk

NOON = 1_780_315_230  # 2026-06-01 12:00:30 UTC
SPOT, SWAP = "htx_spot_ws", "htx_swap_ws"
REFRESH = "market.btcusdt.mbp.refresh.5"  # a frame every 100 ms
DIFFS = "market.btcusdt.mbp.150"
HARM = [kind for kind in FRAME_KINDS if kind not in ("disconnect", "silence")]
SYMBOLS = ("btcusdt", "ethusdt", "dogeusdt", "pepeusdt", "ethbtc", "bmtusdt")
SPEED = 5.0  # of the sandbox's clock: what is pushed every 100 ms comes every 20
FAST = {"sub": "market.BTC-USDT.depth.size_150.high_freq", "data_type": "incremental", "id": "1"}


def sandbox(*rules: Rule, **more: float) -> Sandbox:
    return Sandbox(faults=Faults(*rules), limits=False, clock=Wound(NOON, SPEED), **more)  # type: ignore[arg-type]


def told(one: Sandbox, topic: str, count: int, path: str = "/feed") -> list[int]:
    """The numbers of the first so many messages."""
    with Talk(one.hosts[SPOT] + path) as talk:
        talk.ask(sub=topic)
        return [talk.next()["tick"]["seqNum"] for _ in range(count)]


def chain(one: Sandbox, number: int, count: int) -> list[int]:
    """The numbers of the diffs from one on, as they would be told."""
    from htxdata.sandbox.live_books import LiveBooks

    books = LiveBooks(0, one.market.instrument("htx-spot", "btcusdt"))
    tick = books.tick_of(number)
    return [books.sequence(at) for at, _ in books.pushes(150, 2).between(tick - 1, tick + 2 * count + 40)][
        :count
    ]


def test_a_missed_frame() -> None:
    """Every third diff is not sent: its number is missing, and the next one names it as the one before."""
    with sandbox(Rule("missed_frame", every=3)) as one:
        with Talk(one.hosts[SPOT] + "/feed") as talk:
            talk.ask(sub=DIFFS)
            ticks = [talk.next()["tick"] for _ in range(5)]
        whole = chain(one, ticks[0]["seqNum"], 7)
    assert [tick["seqNum"] for tick in ticks] == [whole[place] for place in (0, 1, 3, 4, 6)]
    assert [tick["prevSeqNum"] for tick in ticks[1:]] == [whole[place] for place in (0, 2, 3, 5)]
    assert one.faults.fired[0] == ("missed_frame", SPOT, "/feed")


def test_a_missed_frame_of_a_contract_skips_a_version() -> None:
    with sandbox(Rule("missed_frame", every=3)) as one:
        with Talk(one.hosts[SWAP] + "/linear-swap-ws") as talk:
            talk.ask(**FAST)
            versions = [talk.next()["tick"]["version"] for _ in range(5)]
    assert [version - versions[0] for version in versions] == [0, 1, 3, 4, 6]


def test_a_duplicated_frame() -> None:
    """The same bytes come twice in a row."""
    with sandbox(Rule("duplicated_frame", every=2)) as one:
        with Talk(one.hosts[SPOT] + "/feed") as talk:
            talk.ask(sub=DIFFS)
            frames = [talk.frame() for _ in range(6)]
    assert frames[1] == frames[2]
    assert frames[4] == frames[5]
    assert len(set(frames)) == 4


def test_reordered_frames() -> None:
    """A frame changes places with the next one of its connection; nothing is lost."""
    with sandbox(Rule("reordered_frame", every=3)) as one:
        numbers = told(one, DIFFS, 6)
        assert [numbers[place] for place in (0, 1, 3, 2, 4)] == chain(one, numbers[0], 5)


def test_a_broken_sequence() -> None:
    """Nothing is lost, but a diff names a message before it that nobody has seen; whole books are not touched."""
    with sandbox(Rule("sequence_break", every=3)) as one:
        with Talk(one.hosts[SPOT] + "/feed") as talk:
            talk.say({"sub": [DIFFS, REFRESH], "id": "x"})
            talk.next()
            said = [talk.next() for _ in range(14)]
        ticks = [heard["tick"] for heard in said if heard["ch"] == DIFFS]
        follows = [after["prevSeqNum"] == before["seqNum"] for before, after in itertools.pairwise(ticks)]
        assert [tick["seqNum"] for tick in ticks] == chain(one, ticks[0]["seqNum"], len(ticks))
        assert follows[:5] == [True, False, True, True, False]
        with Talk(one.hosts[SWAP] + "/linear-swap-ws") as talk:
            talk.ask(**FAST)
            versions = [talk.next()["tick"]["version"] for _ in range(7)]
    steps = [after - before for before, after in itertools.pairwise(versions)]
    assert sum(step != 1 for step in steps) == 2
    assert min(steps) == 1


def test_a_disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is gone without a close frame; connections are refused for the seconds of the rule, REST is not."""
    monkeypatch.setattr("htxdata.sandbox.websocket_harm.time", hands := Hands())
    with sandbox(Rule("disconnect", after=2, times=1, seconds=0.4, path="/ws")) as one:
        url = one.hosts[SPOT]
        with Talk(url + "/ws") as talk, Talk(url + "/feed") as other:
            talk.ask(sub=REFRESH)
            other.ask(sub=REFRESH)
            talk.next()
            talk.next()
            with pytest.raises(Gone) as gone:
                talk.next()
            assert gone.value.code is None
            assert one.sockets[0].why == "disconnect"
            with pytest.raises(Exception, match=r"(?i)disconnect|reset|refused"):
                Talk(url + "/ws").__enter__()
            other.next()
            Talk(url + "/feed").__exit__()
            hands.go(0.45)
            with Talk(url + "/ws") as again:
                again.ask(sub=REFRESH)
                for _ in range(3):
                    again.next()


def test_a_disconnect_of_no_seconds_lets_in_at_once() -> None:
    with sandbox(Rule("disconnect", after=1, times=1, seconds=0)) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            talk.ask(sub=REFRESH)
            talk.during(20.0)
            assert talk.gone
        assert len(told(one, REFRESH, 2, "/ws")) == 2


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data stops for the seconds of the rule, pings and acks go on, and what was not told is not told later."""
    monkeypatch.setattr("htxdata.sandbox.websocket_harm.time", hands := Hands())
    with sandbox(Rule("silence", after=3, times=1, seconds=0.5), ping_seconds=0.1) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            talk.ask(sub=REFRESH)
            before = [talk.next() for _ in range(3)]
            assert talk.during(0.45) == []
            assert any("ping" in said for said in talk.heard)
            hands.go(0.49)
            assert talk.ask(sub="market.ethusdt.mbp.refresh.5")["status"] == "ok"
            assert REFRESH not in {said.get("ch") for said in talk.during(0.1)}
            hands.go(0.01)
            after = talk.until(lambda said: said.get("ch") == REFRESH)
        assert after["ts"] - before[-1]["ts"] > 400 * SPEED


def test_silence_for_ever_is_of_one_connection_and_one_topic() -> None:
    """Who is silenced for ever stays so; another topic on it, and another connection, are not concerned."""
    other = "market.ethusdt.mbp.refresh.5"
    with sandbox(Rule("silence", topic="*btcusdt.mbp*", times=1, forever=True)) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            talk.say({"sub": [REFRESH, other], "id": "x"})
            several = lambda found: sum(heard.get("ch") == other for heard in found) >= 2  # noqa: E731
            said = [heard.get("ch") for heard in talk.during(0.3, several)]
        assert REFRESH not in said
        assert said.count(other) >= 2
        assert len(told(one, REFRESH, 2, "/ws")) == 2


def test_a_cut_frame() -> None:
    """A gzip stream ends before its end."""
    with sandbox(Rule("cut_frame", every=2)) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            talk.ask(sub=REFRESH)
            json.loads(gzip.decompress(talk.frame()))
            frame = talk.frame()
    with pytest.raises(EOFError):
        gzip.decompress(frame)
    assert zlib.decompressobj(31).decompress(frame) is not None


@pytest.mark.parametrize("mode", ["bytes", "json"])
def test_a_garbage_frame(mode: str) -> None:
    """What comes is not gzip, or good gzip of broken JSON."""
    with sandbox(Rule("garbage_frame", every=2, mode=mode)) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            talk.ask(sub=REFRESH)
            talk.next()
            frame = talk.frame()
    if mode == "bytes":
        with pytest.raises(gzip.BadGzipFile):
            gzip.decompress(frame)
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(gzip.decompress(frame))


def test_a_rule_is_about_what_it_names() -> None:
    """Filters of host, path, symbol, topic, time and count keep a rule away from what it does not mean."""
    others = (
        {"host": SWAP}, {"path": "/feed"}, {"symbol": "ethusdt"}, {"topic": "*.kline.*"}, {"between": (600.0, 700.0)},
        {"after": 100}, {"probability": 0.0}, {"every": 100},
    )  # fmt: skip
    with sandbox(*(Rule("cut_frame", **other) for other in others), Rule("stall"), Rule("error")) as one:  # type: ignore[arg-type]
        assert len(told(one, REFRESH, 3, "/ws")) == 3
        assert one.faults.fired == []
    for meant in ({"host": SPOT}, {"path": "/ws"}, {"symbol": "BTC*"}, {"topic": "*.mbp.*"}):
        faults = Faults(Rule("cut_frame", **meant))
        assert len(faults.decide(SPOT, "/ws", "btcusdt", 0.0, topic=REFRESH)) == 1


def test_heartbeats_and_acks_are_unharmed() -> None:
    """Where every data frame is harmed in one of the ways, each ping and each ack is whole and comes once."""
    kinds = dict(zip(HARM, SYMBOLS, strict=True))
    rules = [Rule(kind, symbol=symbol) for kind, symbol in kinds.items()]
    acks, pings, broken = [], [], 0
    with sandbox(*rules, ping_seconds=0.05) as one:
        with Talk(one.hosts[SPOT] + "/ws") as talk:
            for kind, symbol in kinds.items():
                talk.say({"sub": f"market.{symbol}.mbp.refresh.5", "id": kind})
            clock, end = Wound(0.0), time.monotonic() + 20
            some = lambda: broken >= 2 and len(pings) >= 2 and len(acks) == len(HARM)  # noqa: E731
            while clock() < 0.4 or not some():
                assert time.monotonic() < end
                try:
                    said: Said = json.loads(gzip.decompress(talk.frame(0.1)))
                except TimeoutError:
                    continue
                except (EOFError, gzip.BadGzipFile, json.JSONDecodeError):
                    broken += 1
                    continue
                if "ping" in said:
                    pings.append(said["ping"])
                    talk.say({"pong": said["ping"]})
                elif "id" in said:
                    acks.append(said["id"])
        assert {kind for kind, _, _ in one.faults.fired} == set(HARM) - {"sequence_break"}
    assert acks == list(HARM)
    assert len(pings) >= 2
    assert len(set(pings)) == len(pings)
    assert broken >= 2


def test_frames_are_harmed_as_a_pure_function_of_seed_and_count() -> None:
    """The same frames in the same order are harmed alike, whatever requests came between; another seed differs."""

    def run(seed: int, between: int) -> list[list[str]]:
        faults = Faults(*PRESETS["storm"], Rule("missed_frame", 0.3), seed=seed)
        found = []
        for _ in range(200):
            for _ in range(between):
                faults.decide("htx_spot_rest", "/x", "btcusdt", 0.0)
            fired = faults.decide(SPOT, "/ws", "btcusdt", 0.0, topic=REFRESH)
            found.append([one.rule.kind for one in fired])
        return found

    assert run(3, 0) == run(3, 2) != run(4, 0)
    assert 20 < sum("missed_frame" in kinds for kinds in run(3, 0)) < 100


def test_frame_kinds_never_fire_on_requests_nor_others_on_frames() -> None:
    faults = Faults(*(Rule(kind) for kind in KINDS))
    on_rest = {one.rule.kind for one in faults.decide("htx_spot_rest", "/market/trade", "btcusdt", 0.0)}
    on_frame = {
        one.rule.kind for one in faults.decide(SPOT, "/ws", "btcusdt", 0.0, topic=REFRESH, counted=True)
    }
    assert not on_rest & set(FRAME_KINDS)
    assert on_frame == set(FRAME_KINDS)


def test_the_preset_drops() -> None:
    """Within a minute each market socket is lost three times and falls silent once; later nothing is lost any more."""
    faults = Faults.parse("drops")
    market = ("/ws", "/feed", "/linear-swap-ws", "/swap-ws", "/quote/ws/v1", "/quote/ws/v2", "/api/swap/ws")
    found = []
    for step in range(1440):
        for path in (*market, "/ws_index"):
            for one in faults.decide(SPOT, path, "btcusdt", step / 20, topic=REFRESH):
                found.append((path, one.rule.kind, int(step / 20)))
    for path in market:
        assert [fact[1:] for fact in found if fact[0] == path] == [
            ("disconnect", 8), ("disconnect", 20), ("silence", 32), ("disconnect", 50),
        ]  # fmt: skip
    assert all(path != "/ws_index" for path, _, _ in found)
