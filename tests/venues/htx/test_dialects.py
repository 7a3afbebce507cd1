"""What HTX says over its WebSockets is understood; what it might say is never an exception."""

# ruff: noqa: E501  # messages stay in one piece

from __future__ import annotations

import contextlib
import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.protocol.dialect import (
    Acked,
    Admitted,
    Barred,
    Closing,
    Dialect,
    Heard,
    Ping,
    Push,
    Refused,
    Strange,
)
from htxdata.venues import frames
from htxdata.venues.frames import unpack
from htxdata.venues.htx.dialects import MARKET_SPOT, MARKET_SWAP, NOTIFICATION, OWN_NOTIFICATION, V2

ALL = (MARKET_SPOT, MARKET_SWAP, NOTIFICATION, OWN_NOTIFICATION, V2)


@pytest.mark.parametrize(
    ("dialect", "message", "heard"),
    [
        (MARKET_SPOT, '{"ping": 1492420473027}', Ping('{"pong":1492420473027}')),
        (MARKET_SWAP, '{"ping":"1492420473027"}', Ping('{"pong":"1492420473027"}')),
        (NOTIFICATION, '{"op":"ping","ts":"1492420473027"}', Ping('{"op":"pong","ts":"1492420473027"}')),
        (V2, '{"action":"ping","data":{"ts":1575537778295}}', Ping('{"action":"pong","data":{"ts":1575537778295}}')),
        (MARKET_SPOT, '{"id":"id1","status":"ok","subbed":"market.a","ts":1489474081631}', Acked("id1", "market.a", 1489474081631000)),
        (MARKET_SPOT, '{"id":7,"status":"ok","subbed":"market.a"}', Acked("7", "market.a", 0)),
        (MARKET_SPOT, '{"id":7.0,"status":"ok","unsubbed":"market.a","ts":"1489474081631"}', Acked("7", "market.a", 1489474081631000)),
        (MARKET_SPOT, '{"ts":1586323747018,"status":"error","err-code":"bad-request","err-msg":"invalid symbol","id":"2"}', Refused("2", "", "bad-request: invalid symbol")),
        (MARKET_SPOT, '{"status":"error","err-msg":"429 too many request topics","id":"2"}', Refused("2", "", "429 too many request topics", slower=True)),
        (MARKET_SPOT, '{"status":"error","err-code":"too-many-request"}', Refused("", "", "too-many-request", slower=True)),
        (MARKET_SPOT, '{"id":1583473663565,"rep":"market.a.mbp.150","status":"ok","ts":1698359289261,"data":{"seqNum":1}}', Push("market.a.mbp.150", 1698359289261000, "1583473663565")),
        (MARKET_SPOT, '{"ch":"market.tickers","status":"ok","ts":1722857569936,"data":[]}', Push("market.tickers", 1722857569936000)),
        (MARKET_SPOT, '{"ch":"market.a.trade.detail","ts":1630994963175,"tick":{"id":137005445109,"data":[{"id":137005445109359286410323766,"price":1E-8}]}}', Push("market.a.trade.detail", 1630994963175000)),
        (NOTIFICATION, '{"op":"sub","cid":"1","topic":"public.*.funding_rate","ts":1489474081631,"err-code":0}', Acked("1", "public.*.funding_rate", 1489474081631000)),
        (NOTIFICATION, '{"op":"unsub","cid":1,"topic":"x","ts":1489474081631,"err-code":0}', Acked("1", "x", 1489474081631000)),
        (NOTIFICATION, '{"op":"sub","cid":"1","topic":"x","err-code":2014,"err-msg":"repeated"}', Acked("1", "x", 0)),
        (NOTIFICATION, '{"op":"sub","cid":"1","topic":"x","err-code":4007,"err-msg":"no"}', Refused("1", "x", "4007: no")),
        (NOTIFICATION, '{"op":"sub","cid":"1","topic":"x","err-code":2030,"err-msg":"too many connections"}', Refused("1", "x", "2030: too many connections", slower=True)),
        (NOTIFICATION, '{"op":"notify","topic":"public.*.x","ts":1603778748166,"data":[{"id":123456789012345678901234567}]}', Push("public.*.x", 1603778748166000)),
        (NOTIFICATION, '{"op":"error","err-code":1,"err-msg":"bad"}', Refused("", "", "1: bad")),
        (OWN_NOTIFICATION, '{"op":"auth","type":"api","err-code":0,"ts":1645200307319,"data":{"user-id":"1"}}', Admitted()),
        (OWN_NOTIFICATION, '{"op":"auth","type":"api","err-code":2001,"err-msg":"no"}', Barred("2001: no")),
        (OWN_NOTIFICATION, '{"op":"auth","err-code":2030,"err-msg":"too many"}', Barred("2030: too many", again=True)),
        (OWN_NOTIFICATION, '{"op":"auth","type":"api"}', Barred("no code")),
        (OWN_NOTIFICATION, '{"op":"notify","topic":"trade","contract_code":"X","ts":1782367694387}', Push("trade", 1782367694387000)),
        (NOTIFICATION, '{"op":"close","ts":1489474081631}', Closing("the venue closes the connection")),
        (V2, '{"action":"sub","code":200,"ch":"orders#*","data":{}}', Acked("", "orders#*", 0)),
        (V2, '{"action":"sub","code":2002,"ch":"orders#*","message":"invalid.auth.state"}', Refused("", "orders#*", "2002: invalid.auth.state")),
        (V2, '{"action":"sub","code":4000,"ch":"x","message":"too.many.request"}', Refused("", "x", "4000: too.many.request", slower=True)),
        (V2, '{"action":"push","ch":"orders#*","data":{}}', Push("orders#*", 0)),
    ],
)  # fmt: skip
def test_what_the_documents_show_is_understood(dialect: Dialect, message: str, heard: Heard) -> None:
    """The messages of htx-api 7 and 10.3, ids as text and as numbers, stamps in the spelling in which they came."""
    assert dialect.hear(message.encode()) == heard


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "message",
    [
        b"", b"{", b"null", b"[]", b"5", b'"ping"', b"{}", b"\xff\xfe", b'{"ping":1e5}', b'{"ping":{}}', b'{"ping":12',
        b'{"op":"ping"}', b'{"op":"ping","ts":"now"}', b'{"action":"ping"}', b'{"action":"ping","data":{"ts":[]}}',
        b'{"op":5}', b'{"ch":5,"action":"push"}', b'{"op":"notify"}', b"[" * 100_000, b'{"id":' + b"[" * 100_000,
        b'{"id":"1","subbed":"x"}', b'{"op":"pong","ts":1}', b'{"ch":"x","ts":1} more', b'{"subbed":"a","status":"ok","id":1e999}',
    ],
)  # fmt: skip
def test_anything_else_is_strange(dialect: Dialect, message: bytes) -> None:
    """Torn, foreign, or of a kind that is not known: said, and nothing of it believed."""
    assert isinstance(dialect.hear(message), Strange)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("ping", "ch", "rep", "subbed", "unsubbed", "id", "ts", "status", "err-code", "err-msg", "op", "topic", "cid",
         "action", "code", "message", "data")  # fmt: skip
WORDS = st.sampled_from(
    ("ok", "error", "ping", "sub", "unsub", "notify", "close", "push", "200", 0, 200, 2014, {"ts": 1})
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON | WORDS, max_size=6), st.data())
def test_nothing_raises(said: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands under the names that are known, whole or cut anywhere: a value comes back."""
    message = json.dumps(said).encode()
    cut = data.draw(st.integers(0, len(message)))
    for dialect in ALL:
        assert isinstance(dialect.hear(message), Heard)
        assert isinstance(dialect.hear(message[:cut]), Heard)


@given(st.binary(max_size=60))
def test_noise_raises_nothing(noise: bytes) -> None:
    """Bytes that are no message are strange to every dialect, or by chance something else."""
    for dialect in ALL:
        assert isinstance(dialect.hear(noise), Heard)


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_commands_are_json_that_carries_topic_and_id(dialect: Dialect) -> None:
    """Also for a topic that has to be escaped. Only high-frequency books of contracts ask for differences."""
    topic = 'market."BTC"\\USDT.depth.size_150.high_freq'
    words = {
        MARKET_SPOT: ({"sub": topic, "id": "7"}, {"unsub": topic, "id": "7"}),
        MARKET_SWAP: ({"sub": topic, "data_type": "incremental", "id": "7"}, {"unsub": topic, "id": "7"}),
        NOTIFICATION: (
            {"op": "sub", "cid": "7", "topic": topic},
            {"op": "unsub", "cid": "7", "topic": topic},
        ),
        OWN_NOTIFICATION: (
            {"op": "sub", "cid": "7", "topic": topic, "contract_code": "*"},
            {"op": "unsub", "cid": "7", "topic": topic, "contract_code": "*"},
        ),
        V2: ({"action": "sub", "ch": topic}, {"action": "unsub", "ch": topic}),
    }[dialect]
    assert (json.loads(dialect.subscribe(topic, "7")), json.loads(dialect.unsubscribe(topic, "7"))) == words
    assert "data_type" not in dialect.subscribe("market.BTC-USDT.trade.detail", "7")
    if dialect.request is not None:
        assert json.loads(dialect.request(topic, "7")) == {"req": topic, "id": "7"}
    assert dialect.deaf > 2 * dialect.beats


# ------------------------------------------------------------------------------------------------- frames


@given(st.binary(max_size=3000))
@example(b"")
def test_a_frame_is_unpacked(message: bytes) -> None:
    """A packed one, in any member of the format; and a text one, which is its own message."""
    for level in (0, 1, 9):
        assert unpack(gzip.compress(message, level)) == message
    if message[:2] != b"\x1f\x8b":
        assert unpack(message) == message


def test_a_frame_that_was_cut_or_lies_is_told() -> None:
    """At every byte; with any bit of its checksum and its length turned; with more behind its end."""
    frame = gzip.compress(bytes(range(200)), mtime=0)
    for cut in range(2, len(frame)):
        with pytest.raises(BadReply):
            unpack(frame[:cut])
    for bit in range(64):
        lying = bytearray(frame)
        lying[-8 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadReply):
            unpack(bytes(lying))
    for more in (b"x", b"\0", frame):
        with pytest.raises(BadReply, match="goes on"):
            unpack(frame + more)


def test_damage_never_passes_for_another_message() -> None:
    """One byte of a frame changed anywhere: the same message (its head says more than matters), or ``BadReply``."""
    dice = random.Random(5)
    message = dice.randbytes(50) * 3
    frame = gzip.compress(message, mtime=0)
    for at in range(2, len(frame)):
        damaged = bytearray(frame)
        damaged[at] ^= dice.randrange(1, 256)
        with contextlib.suppress(BadReply):
            assert unpack(bytes(damaged)) == message


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more than the most is too much, and no more than that is ever made of it."""
    monkeypatch.setattr(frames, "MOST", 100_000)
    assert len(unpack(gzip.compress(bytes(100_000)))) == 100_000
    with pytest.raises(BadReply, match="more than 100000"):
        unpack(gzip.compress(bytes(100_001)))
