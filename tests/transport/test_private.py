"""Private requests: signed for each attempt anew, and nothing that tells of them holds the signature."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from htxdata.errors import ConfigError, KeyRefused, Refused, Unreachable, Untimely
from htxdata.protocol.backoff import Patience
from htxdata.protocol.wire import Fault, Reply, Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client, Sign, named_host
from tests.transport.local_venue import LocalVenue, answer

ASK = Request("/v1/own", (("symbol", "btcusdt"),), private=True)


@pytest.fixture
def venue() -> Iterator[LocalVenue]:
    local = LocalVenue()
    yield local
    local.close()


def client(venue: LocalVenue, sign: Sign | None, judge: object = lambda reply: None) -> Client:
    clock = itertools.count(1_000_000, 1_000_000)
    return Client(
        venue.url + "/prefix", Budget("private", 1000), judge, sign=sign, now_us=lambda: next(clock),  # type: ignore[arg-type]
        sleep=lambda seconds: None, patience=Patience(attempts=3),
    )  # fmt: skip


def signed(request: Request, host: str, now: int) -> tuple[tuple[str, str], ...]:
    return (*request.params, ("Host", host), ("Timestamp", str(now)), ("Signature", "a+b/c="))


def test_each_attempt_has_a_signature_of_its_own(venue: LocalVenue) -> None:
    """Three attempts, three times; the host is named with its port and without the prefix; the reply's request is the
    one that was asked."""
    venue.script += [answer(status=502), answer(status=502)]
    with client(venue, signed) as one:
        reply = one.get(ASK)
    lines = [heard.split("\r\n")[0] for heard in venue.heard]
    assert len({line.split("Timestamp=")[1].split("&")[0] for line in lines}) == 3
    host = venue.url.removeprefix("http://").replace(":", "%3A")
    assert all(line.startswith(f"GET /prefix/v1/own?symbol=btcusdt&Host={host}&") for line in lines)
    assert all("Signature=a%2Bb%2Fc%3D " in line for line in lines)
    assert reply.request == ASK


def test_nothing_that_fails_tells_the_signature(venue: LocalVenue) -> None:
    """Not the sentence of who gives up, nor its causes."""
    venue.script += [answer(status=502)] * 3
    with client(venue, signed) as one, pytest.raises(Unreachable, match="/v1/own: gave up") as caught:
        one.get(ASK)
    error: BaseException | None = caught.value
    while error is not None:
        assert "Signature" not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("status", [302, 400])
def test_no_refusal_tells_the_signature(venue: LocalVenue, status: int) -> None:
    """Neither the venue's own no, nor a redirect that repeats the signed address."""
    venue.script += [answer(status=status, location="/elsewhere?Signature=a%2Bb%2Fc%3D")]

    def judge(reply: Reply) -> Fault | None:
        return Fault("refused", "no") if reply.status == 400 else None

    with client(venue, signed, judge) as one, pytest.raises(Refused) as caught:
        one.get(ASK)
    assert "Signature" in venue.heard[0]
    assert "Signature" not in str(caught.value)
    assert ("/elsewhere" in str(caught.value)) == (status == 302)


def test_a_refused_key_is_not_shown_again(venue: LocalVenue) -> None:
    """One attempt, and an error of its own that ends with 1."""

    def judge(reply: Reply) -> Fault | None:
        return Fault("key", "api-signature-not-valid: Verification failure")

    with (
        client(venue, signed, judge) as one,
        pytest.raises(KeyRefused, match="the key is not taken: api-sig") as caught,
    ):
        one.get(ASK)
    assert (caught.value.exit_code, len(venue.heard)) == (1, 1)


def outside(reply: Reply) -> Fault | None:
    return Fault("clock", "-1021: outside of the recvWindow") if reply.status == 400 else None


def test_what_came_too_late_is_signed_anew(venue: LocalVenue) -> None:
    """Another attempt, with the time of that one; said thrice, it is this machine's clock, and an end with 3."""
    venue.script += [answer(status=400), answer(), *[answer(status=400)] * 3]
    with client(venue, signed, outside) as one:
        one.get(ASK)
        with pytest.raises(Untimely) as caught:
            one.get(ASK)
    times = [heard.partition("Timestamp=")[2].partition("&")[0] for heard in venue.heard]
    assert (len(set(times)), caught.value.exit_code) == (5, 3)
    assert str(caught.value).endswith(
        "the last fault was clock: -1021: outside of the recvWindow; is this machine's clock right? "
        "`htxdata doctor` measures it"
    )
    assert "Signature" not in str(caught.value)


def test_what_was_told_too_late_was_surely_not_done(venue: LocalVenue) -> None:
    """And is not told again here: whoever told it knows, and may."""
    venue.script.append(answer(status=400))
    with client(venue, signed, outside) as one, pytest.raises(Untimely, match="-1021: outside of the recvWindow; is"):
        one.tell(Request("/v1/own", private=True, method="POST"), b"{}")
    assert len(venue.heard) == 1


def test_without_a_key_nothing_private_is_sent(venue: LocalVenue) -> None:
    """Wrong usage, and no line was opened; a public request needs none and is not signed."""
    with client(venue, None) as one:
        with pytest.raises(ConfigError, match="needs a key"):
            one.get(ASK)
        assert venue.heard == []
        one.get(Request("/v1/public"))
    with client(venue, signed) as one:
        one.get(Request("/v1/public"))
    assert not any("Signature" in heard for heard in venue.heard)


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("https://api.huobi.pro", "api.huobi.pro"),
        ("https://API.Huobi.Pro:443/", "api.huobi.pro"),
        ("http://127.0.0.1:8790/htx-spot", "127.0.0.1:8790"),
        ("wss://api.huobi.pro", "api.huobi.pro"),
        ("ws://api.huobi.pro:80", "api.huobi.pro"),
        ("https://me:pass@host:8443", "host:8443"),
        ("http://[::1]:8790", "[::1]:8790"),
    ],
)
def test_the_host_that_is_signed(base: str, name: str) -> None:
    """Lower case, its port where that is not the usual one, no prefix, no user."""
    assert named_host(base) == name


def test_a_key_may_be_shown_in_a_header(venue: LocalVenue) -> None:
    """Of private requests alone; of what is told once, too, with the method and the content type that were said."""
    shown = {"X-KEY": "abc", "Content-Type": "application/x-www-form-urlencoded"}
    one = Client(venue.url, Budget("headers", 1000), lambda reply: None, sign=signed, headers=lambda request: shown)
    with one:
        one.get(ASK)
        one.get(Request("/v1/public"))
        one.tell(Request("/v1/own", (("id", "7"),), private=True, method="DELETE"), b"")
    private, public, told = venue.heard
    assert "\r\nX-KEY: abc\r\n" in private
    assert "X-KEY" not in public
    assert told.startswith("DELETE /v1/own?id=7&Host=")
    assert "\r\nX-KEY: abc\r\n" in told
    assert told.count("Content-Type: ") == 1
    assert "Content-Type: application/x-www-form-urlencoded\r\nX-KEY: abc\r\nContent-Length: 0\r\n" in told


def test_no_header_ends_its_line(venue: LocalVenue) -> None:
    """A key with a line break would be a header of its own: nothing is sent."""
    shown = {"X-KEY": "a\r\nB: c"}
    one = Client(venue.url, Budget("broken", 1000), lambda reply: None, sign=signed, headers=lambda request: shown)
    with one, pytest.raises(ValueError, match="one line"):
        one.get(ASK)
    assert venue.heard == []
