"""Client.get against a server that misbehaves in every way we know, one sentence each."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import ConfigError, Refused, Unreachable
from htxdata.protocol import pacing
from htxdata.protocol.backoff import Patience
from htxdata.protocol.wire import Fault, LimitHeaders, Reply, Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client, target_of
from htxdata.transport.line import Limits, gunzip
from tests.clocks import Watch
from tests.transport.conftest import FakeTime
from tests.transport.local_venue import OK, LocalVenue, answer
from tests.waits import until

HTX_SWAP = LimitHeaders(remaining="ratelimit-remaining", reset="ratelimit-reset")
PAGE = Request("/market/history/kline", (("symbol", "btcusdt"), ("period", "1min")))
BODY = b'{"status":"ok","data":[' + b"1," * 5000 + b"1]}"


def judge(reply: Reply) -> Fault | None:
    """A venue of few words."""
    if reply.body.startswith(b'{"status":"ok"'):
        return None
    if b"invalid symbol" in reply.body:
        return Fault("symbol", "invalid-parameter: invalid symbol")
    if b"too-many" in reply.body:
        return Fault("throttled", "rate-too-many-requests")
    return Fault("garbled", f"not an answer: {reply.body[:20]!r}")


MakeClient = Callable[..., Client]


@pytest.fixture
def make(venue: LocalVenue, tmp_path: Path, fake: FakeTime) -> Iterator[MakeClient]:
    clients = []

    def make(base_url: str = venue.url, **options: Any) -> Client:
        budget = Budget("venue", 1e6, tmp_path, clock=fake.clock, sleep=fake.sleep)
        options = {"sleep": fake.sleep, "jitter": lambda: 1.0, "limit_headers": HTX_SWAP} | options
        clients.append(client := Client(base_url, budget, judge, **options))
        return client

    yield make
    for client in clients:
        client.close()


def assert_mended(venue: LocalVenue, client: Client, *script: Any) -> Reply:
    """These answers are each asked again, and in the end there is a good one."""
    venue.script.extend(script)
    reply = client.get(PAGE)
    assert reply.body == OK
    assert len(venue.heard) == len(script) + 1
    assert client.counts().retries == len(script)
    return reply


def test_what_is_sent(venue: LocalVenue, make: MakeClient) -> None:
    """A GET without a body (htx-api 1.1: one with a length draws a 403), and gzip asked for."""
    make(venue.url + "/htx-spot/").get(
        Request("/v1/币 a/x", (("symbol", "币usdt"), ("q", "a b&c=d"), ("b", "1")))
    )
    lines = venue.heard[0].split("\r\n")
    assert lines[0] == "GET /htx-spot/v1/%E5%B8%81%20a/x?symbol=%E5%B8%81usdt&q=a%20b%26c%3Dd&b=1 HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["accept-encoding"] == "gzip"
    assert headers["user-agent"].startswith("htxdata/")
    assert headers["host"] == f"127.0.0.1:{venue.port}"
    assert not {"content-length", "transfer-encoding", "content-type"} & set(headers)


def test_a_target_without_params() -> None:
    assert target_of(Request("/a/b")) == "/a/b"


def test_what_comes_back(venue: LocalVenue, make: MakeClient) -> None:
    venue.script.append(answer(gzip.compress(BODY), Content_Encoding="gzip", X_Y="1"))
    reply = make(now_us=lambda: 77).get(PAGE)
    assert (reply.request, reply.status, reply.body, reply.received_at) == (PAGE, 200, BODY, 77)
    assert reply.headers["x-y"] == "1"


def test_a_connection_is_used_again(venue: LocalVenue, make: MakeClient) -> None:
    client = make()
    venue.script.append(answer(gzip.compress(BODY), Content_Encoding="gzip"))
    for _ in range(5):
        client.get(PAGE)
    assert venue.connections == 1
    assert client.counts().requests == 5
    assert client.counts().bytes == len(gzip.compress(BODY)) + 4 * len(OK)


def test_threads_have_a_connection_each(venue: LocalVenue, make: MakeClient) -> None:
    client, replies = make(), []
    threads = [
        threading.Thread(target=lambda: replies.extend(client.get(PAGE) for _ in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.body for reply in replies] == [OK] * 200
    assert venue.connections <= 4
    assert client.counts().requests == 200


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_chunked_body(venue: LocalVenue, make: MakeClient, pieces: int) -> None:
    packed = gzip.compress(BODY)
    step = len(packed) // pieces + 1
    chunks = [packed[n : n + step] for n in range(0, len(packed), step)]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    venue.script.append(head + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n")
    client = make()
    assert client.get(PAGE).body == BODY
    client.get(PAGE)
    assert venue.connections == 1


def test_a_body_that_ends_with_the_connection(venue: LocalVenue, make: MakeClient) -> None:
    venue.script.append(lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY))
    client = make()
    assert client.get(PAGE).body == BODY
    assert client.get(PAGE).body == OK


# -------------------------------------------------------------------------------------------------- throttled, banned


def test_429_with_retry_after(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    assert_mended(venue, make(), answer(b"", 429, Retry_After="7"))
    assert sum(fake.slept) == pytest.approx(7)


def test_429_with_a_date(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    when = {
        "Date": formatdate(1_700_000_000, usegmt=True),
        "Retry_After": formatdate(1_700_000_009, usegmt=True),
    }
    assert_mended(venue, make(), answer(b"", 429, **when))
    assert sum(fake.slept) == pytest.approx(9)


def test_429_with_nothing_doubles(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    """And starts anew after a good reply."""
    client = make()
    assert_mended(venue, client, *[answer(b"", 429)] * 3)
    assert sum(fake.slept) == pytest.approx(1 + 2 + 4)
    venue.script.append(answer(b"", 429))
    client.get(PAGE)
    assert sum(fake.slept) == pytest.approx(1 + 2 + 4 + 1)


def test_a_limit_in_the_body_of_a_200(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    assert_mended(venue, make(), answer(b'{"status":"error","err-code":"rate-too-many-requests"}'))
    assert sum(fake.slept) == pytest.approx(1)


def test_nothing_left_of_the_limit(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    """The good reply is handed on at once; whoever asks next waits until the window starts anew."""
    now_ms = 1_700_000_000_000
    limits = {"ratelimit_remaining": "0", "ratelimit_reset": str(now_ms + 2_500)}
    venue.script.append(answer(**limits))
    client = make(now_us=lambda: now_ms * 1000)
    client.get(PAGE)
    assert fake.slept == []
    make().get(PAGE)
    assert sum(fake.slept) == pytest.approx(2.5)


def test_a_firewalls_403(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    assert_mended(venue, make(), answer(b"<html>Attention Required!</html>", 403, Content_Type="text/html"))
    assert sum(fake.slept) == pytest.approx(pacing.BAN_S)


def test_a_ban_that_does_not_end(venue: LocalVenue, make: MakeClient) -> None:
    venue.script.extend([answer(b"<html>", 403)] * 9)
    with pytest.raises(Unreachable, match=r"3 attempts in .* banned: HTTP 403"):
        make().get(PAGE)
    assert len(venue.heard) == 3


def test_a_ban_for_longer_than_we_have(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    """It ends this run now, and the next ones without a single request."""
    venue.script.append(answer(b"", 418, Retry_After="3000"))
    for attempts in (1, 1):
        with pytest.raises(Unreachable):
            make().get(PAGE)
        assert len(venue.heard) == attempts
    assert fake.slept == []


# -------------------------------------------------------------------------------------------- what is asked once more


def cut_off(sent: bytes) -> Callable[[socket.socket], object]:
    return lambda peer: peer.sendall(sent)


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


PACKED = gzip.compress(BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(b"oops", 500),
        answer(b"<html>bad gateway", 502),
        answer(b"half an ans"),
        cut_off(b""),
        reset,
        cut_off(b"HTTP/1.1 200 OK\r\nContent-Le"),
        cut_off(b"SSH-2.0-OpenSSH\r\n"),
        cut_off(answer(OK, length=len(OK) + 5)),
        cut_off(CHUNKED + b"40\r\n" + OK),
        answer(PACKED[:-20], Content_Encoding="gzip"),
        answer(PACKED[:40] + b"????" + PACKED[44:], Content_Encoding="gzip"),
        answer(OK, Content_Encoding="gzip"),
        answer(PACKED[:-8] + bytes(8), Content_Encoding="gzip"),
        answer(OK, Content_Encoding="br"),
    ],
    ids=[
        "500", "502", "garbled", "drop", "reset", "cut-head", "no-http", "cut-body", "cut-chunk",
        "cut-gzip", "spoilt-gzip", "no-gzip", "bad-sum", "br",
    ],
)  # fmt: skip
def test_what_mends_itself(venue: LocalVenue, make: MakeClient, fake: FakeTime, behaviour: Any) -> None:
    """Asked again after a delay; never half used."""
    assert_mended(venue, make(), behaviour)
    assert fake.slept == [0.5]


@pytest.fixture
def soon(make: MakeClient, fake: FakeTime) -> Callable[..., Client]:
    """A client that has these limits for its first attempt, and for the next one all the time it takes."""

    def soon(**limits: float) -> Client:
        def sleep(seconds: float) -> None:
            fake.sleep(seconds)
            client._lines._limits = Limits()

        client = make(limits=Limits(**limits), sleep=sleep)
        return client

    return soon


def test_silence_ends(venue: LocalVenue, soon: Callable[..., Client]) -> None:
    gone = threading.Event()
    try:
        assert_mended(venue, soon(silence_s=0.1), lambda peer: gone.wait(60))
    finally:
        gone.set()


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], ids=["in-head", "in-body"]
)
def test_a_trickle_ends(venue: LocalVenue, soon: Callable[..., Client], head: bytes) -> None:
    """Each byte is in time, the whole is not."""

    def trickle(peer: socket.socket) -> None:
        peer.sendall(head)
        for byte in answer(b"x" * 1000) * 5:
            peer.sendall(bytes([byte]))
            time.sleep(0.02)

    with Watch() as watch:
        assert_mended(venue, soon(silence_s=5, total_s=0.3), trickle)
    assert watch.seconds < 1.5


def test_an_idle_connection_that_was_closed_is_no_fault(
    venue: LocalVenue, make: MakeClient, fake: FakeTime
) -> None:
    client = make()
    client.get(PAGE)
    venue.hang_up()
    assert client.get(PAGE).body == OK
    assert (client.counts().retries, fake.slept, venue.connections) == (0, [], 2)


def test_one_that_is_closed_as_we_write_is_no_fault_once(
    venue: LocalVenue, make: MakeClient, fake: FakeTime
) -> None:
    client = make()
    client.get(PAGE)
    venue.script.extend([cut_off(b"")] * 2)
    assert client.get(PAGE).body == OK
    assert (client.counts().retries, fake.slept) == (1, [0.5])


def test_one_that_closes_during_the_wait_is_opened_again(
    venue: LocalVenue, make: MakeClient, fake: FakeTime
) -> None:
    client = make()
    client.get(PAGE)
    client._budget.pause(3)

    def sleep(seconds: float) -> None:
        venue.hang_up()
        fake.sleep(seconds)

    client._budget._sleep = sleep
    assert client.get(PAGE).body == OK
    assert client.counts().retries == 0


def test_nobody_there(make: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = make(f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable) as caught:
        client.get(PAGE)
    message = str(caught.value)
    assert message.startswith(f"127.0.0.1:{port}/market/history/kline: gave up after 6 attempts in 15.5 s")
    assert message.endswith("network: cannot connect: Connection refused")
    assert client.counts().requests == 0


# ---------------------------------------------------------------------------------------------- what is not asked again


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (answer(b'{"err-msg":"invalid symbol"}'), "symbol", "invalid symbol"),
        (answer(b"nothing here", 404), "absent", "HTTP 404"),
        (answer(b"", 302, Location="http://evil.example/"), "refused", "302 to 'http://evil.example/'"),
        (answer(length=100_000), "refused", "100000 bytes, more than the 20000"),
        (CHUNKED + b"7530\r\n" + bytes(30_000), "refused", "more than the 20000"),
        (answer(gzip.compress(bytes(10**6)), Content_Encoding="gzip"), "refused", "decompresses to more than"),
    ],
    ids=["symbol", "404", "redirect", "too-long", "too-long-chunked", "bomb"],
)  # fmt: skip
def test_what_is_refused(venue: LocalVenue, make: MakeClient, said: bytes, kind: str, words: str) -> None:
    venue.script.append(said)
    with pytest.raises(Refused, match=words) as caught:
        make(limits=Limits(body_bytes=20_000)).get(PAGE)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(f"127.0.0.1:{venue.port}/market/history/kline: ")
    assert len(venue.heard) == 1


def test_a_bomb_in_layers_of_members() -> None:
    member = gzip.compress(bytes(15_000))
    assert gunzip(member, 20_000) == bytes(15_000)
    assert gunzip(member + gzip.compress(b"x"), 20_000) == bytes(15_000) + b"x"
    with pytest.raises(Exception, match="decompresses to more than"):
        gunzip(member * 2, 20_000)
    lying = gzip.compress(bytes(10**6))[:-4] + struct.pack("<I", 5)
    with pytest.raises(Exception, match="decompresses to more than"):
        gunzip(lying, 20_000)


@pytest.mark.parametrize("url", ["api.example.com", "ftp://x", "http://", "https://x/?a=1", ""])
def test_a_host_that_is_none(make: MakeClient, url: str) -> None:
    with pytest.raises(ConfigError):
        make(url)


# --------------------------------------------------------------------------------------------------- stop, surroundings


@pytest.mark.parametrize(
    "said", [answer(b"", 500), answer(b"", 429, Retry_After="60")], ids=["delay", "pause"]
)
def test_stop_ends_every_wait(venue: LocalVenue, tmp_path: Path, said: bytes) -> None:
    venue.script.extend([said] * 9)
    stop = threading.Event()
    with Client(venue.url, Budget("v", 1e6, tmp_path), judge, stop=stop, jitter=lambda: 0.999) as client:

        def ends() -> None:
            until(lambda: venue.heard)
            time.sleep(0.2)
            stop.set()

        ending = threading.Thread(target=ends)
        with Watch() as watch:
            ending.start()
            with pytest.raises(Unreachable, match="stopped"):
                client.get(PAGE)
        ending.join()
    assert watch.seconds < 0.6


def test_a_proxy_is_asked_for_the_whole_url(
    venue: LocalVenue, make: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{venue.port}")
    monkeypatch.setenv("no_proxy", "")
    make("http://api.example.com/spot").get(Request("/x"))
    assert venue.heard[0].startswith(
        "GET http://api.example.com/spot/x HTTP/1.1\r\nHost: api.example.com\r\n"
    )
    assert "Proxy-Authorization: Basic bWU6cGFzcw==" in venue.heard[0]


def test_patience_can_be_less(venue: LocalVenue, make: MakeClient) -> None:
    venue.script.extend([answer(b"", 500)] * 9)
    with pytest.raises(Unreachable, match=r"after 1 attempt in 0\.0 s; the last fault was server: HTTP 500"):
        make(patience=Patience(attempts=1)).get(PAGE)
