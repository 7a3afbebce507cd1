"""Each fault of the archive as a client sees it, and that files are struck by their names and not by chance."""

from __future__ import annotations

import hashlib
import time
import zipfile
from typing import Any

import pytest
import requests

from htxdata.sandbox import Faults, Market, Rule
from htxdata.sandbox.faults import FILE_KINDS
from tests.clocks import Hands
from tests.sandbox.archive_client import ArchiveClient, archive, checksum_of, unzipped, window

FOLDER = "data/klines/spot/daily/BTCUSDT/1min/"
KEY = f"{FOLDER}BTCUSDT-1min-2024-01-05.zip"
JANUARY = f"{FOLDER}BTCUSDT-1min-2024-01"


def days(client: ArchiveClient) -> set[str]:
    return {one.key[-14:-4] for one in client.listed(JANUARY) if one.key.endswith(".zip")}


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.text.partition("<Code>")[2].partition("<")[0]


# -------------------------------------------------------------------------------------------------------- requests


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """throttle, error and ban speak S3's XML; a stall is late; a drop is a dead socket."""
    hands = Hands()
    for module in ("rest", "archive"):
        monkeypatch.setattr(f"htxdata.sandbox.{module}.time", hands)
    rules = [
        Rule("throttle", times=1),
        Rule("error", after=1, times=1, status=500),
        Rule("stall", after=2, times=1, seconds=0.3),
        Rule("drop", after=3, times=1),
        Rule("ban", after=4, times=1, seconds=0.4),
    ]
    with archive(faults=Faults(*rules)) as client:
        assert code(client.get(KEY)) == (503, "SlowDown")
        assert client.get(KEY).status_code == 500
        began = time.monotonic()
        assert client.get(KEY).status_code == 200
        assert time.monotonic() - began >= 0.3
        with pytest.raises(requests.ConnectionError):
            client.get(KEY)
        assert [code(client.get(KEY)) for _ in range(2)] == [(403, "AccessDenied")] * 2
        hands.go(0.5)
        assert client.get(KEY).status_code == 200
        assert [one.status for one in client.sandbox.requests] == [503, 500, 200, 0, 403, 403, 200]


def test_filters_by_path_symbol_and_host() -> None:
    """Globs over the key and the venue's symbol; a rule of another host is not ours."""
    rules = [
        Rule("error", path="/data/trades/*", host="htx_archive"),
        Rule("throttle", symbol="BTC-*"),
        Rule("ban", host="htx_spot_rest"),
        Rule("busy"), Rule("maintenance"), Rule("garbage"), Rule("empty"),
    ]  # fmt: skip
    with archive(faults=Faults(*rules)) as client:
        trades = "data/trades/spot/daily/BTCUSDT/BTCUSDT-trades-2024-01-05.zip"
        contract = (
            "historical_data/futures/daily/klines/BTC-USDT-PERP/1d/BTC-USDT-PERP-klines-1d-2026-09-01.zip"
        )
        assert client.get(trades).status_code in (500, 503)
        assert code(client.get(contract)) == (503, "SlowDown")
        assert client.get(KEY).status_code == 200
        assert client.page(prefix=FOLDER).status_code == 200
        assert {kind for kind, host, _ in client.sandbox.faults.fired} == {"error", "throttle"}


def test_a_cut_download_can_be_resumed() -> None:
    """Half of it with an honest length and a closed socket, or half of it as if it were all."""
    with archive() as whole:
        body = whole.get(KEY).content
    rules = Rule("cut", mode="length", times=1), Rule("cut", mode="gzip", after=1, times=1)
    with archive(faults=Faults(*rules)) as client:
        with requests.get(f"{client.base}/{KEY}", stream=True, timeout=30) as reply:
            assert reply.headers["Content-Length"] == str(len(body))
            blocks: list[bytes] = []
            with pytest.raises(requests.exceptions.RequestException):
                blocks.extend(reply.iter_content(1024))
            got = b"".join(blocks)
        assert 0 < len(got) <= len(body) // 2
        short = client.get(KEY)
        assert (short.status_code, short.content) == (200, body[: len(body) // 2])
        rest = client.get(KEY, Range=f"bytes={len(got)}-", If_Match=reply.headers["ETag"])
        assert (rest.status_code, got + rest.content) == (206, body)


def test_wrong_checksums() -> None:
    """So many times the checksum does not fit, in both spellings; then it does."""
    new = "historical_data/spot/daily/trades/ETH-USDT/ETH-USDT-trades-2026-05-05.zip"
    with archive(faults=Faults(Rule("wrong_checksum", times=3))) as client:
        digests = {key: hashlib.sha256(client.get(key).content).hexdigest() for key in (KEY, new)}
        for key, fits in ((KEY, False), (new, False), (KEY, False), (KEY, True), (new, True)):
            said = client.get(checksum_of(key)).text
            assert (said[:64] == digests[key], said[64:]) == (fits, f"  {key.rpartition('/')[2]}\n")
        assert [kind for kind, _, _ in client.sandbox.faults.fired] == ["wrong_checksum"] * 3


@pytest.mark.parametrize("mode", ["flip", "torn", ""])
@pytest.mark.parametrize(
    "key",
    [KEY, "historical_data/futures/daily/klines/BTC-USDT-PERP/1d/BTC-USDT-PERP-klines-1d-2026-09-01.zip"],
)
def test_corrupt_files(mode: str, key: str) -> None:
    """The length and the ETag are right, the content cannot be unzipped; the next time it is whole."""
    with archive(faults=Faults(Rule("corrupt_file", mode=mode, times=2, path="*.zip"))) as client:
        said = client.get(checksum_of(key)).text[:64]
        spoilt = [client.get(key) for _ in range(2)]
        good = client.get(key)
        assert hashlib.sha256(good.content).hexdigest() == said
        for reply in spoilt:
            assert (reply.status_code, len(reply.content)) == (200, len(good.content))
            assert reply.headers["ETag"] == good.headers["ETag"]
            assert reply.content != good.content
            with pytest.raises((zipfile.BadZipFile, zipfile.zlib.error)):  # type: ignore[attr-defined]
                unzipped(key.rpartition("/")[2], reply.content)


# ----------------------------------------------------------------------------------------------------------- files


def test_missing_days_are_neither_listed_nor_sent() -> None:
    """File and checksum together, the same ones however often and in whatever order they are asked for."""
    rule = Rule("missing_day", 0.3, path=f"/{JANUARY}*")
    with archive(faults=Faults(rule, seed=5)) as client, archive(faults=Faults(rule, seed=5)) as again:
        there = days(client)
        assert days(client) == there
        assert 12 < len(there) < 28
        for day in range(31, 0, -1):
            key = f"{JANUARY}-{day:02d}.zip"
            expected = 200 if key[-14:-4] in there else 404
            assert [again.get(name).status_code for name in (key, checksum_of(key))] == [expected] * 2, key
        assert days(again) == there
        assert client.get(f"{FOLDER}BTCUSDT-1min-2024-02-05.zip").status_code == 200
        assert client.sandbox.archive_keys(JANUARY) == again.sandbox.archive_keys(JANUARY)
        assert len([one for one in client.sandbox.faults.fired if one[0] == "missing_day"]) == 31 - len(there)
        assert client.sandbox.archive_rows(f"{JANUARY}-09.zip")["close"].tolist()  # the truth knows them all
    with archive(faults=Faults(rule, seed=6)) as other:
        assert days(other) != there


def test_every_takes_one_file_in_so_many_and_symbols_are_the_venues() -> None:
    with archive(faults=Faults(Rule("missing_day", every=2, symbol="BTCusdt"))) as client:
        assert 8 < len(days(client)) < 23
        other = FOLDER.replace("BTCUSDT", "ETHUSDT")
        assert len(client.sandbox.archive_keys(f"{other}ETHUSDT-1min-2024-01")) == 62


def test_a_late_file_appears_while_we_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.archive.time", hands := Hands())
    with archive(faults=Faults(Rule("late_file", path="/" + KEY, seconds=0.5))) as client:
        assert client.get(KEY).status_code == 404
        assert client.get(checksum_of(KEY)).status_code == 404
        assert "2024-01-05" not in days(client)
        assert len(days(client)) == 30
        hands.go(0.6)
        assert client.get(KEY).status_code == 200
        assert "2024-01-05" in days(client)
        assert client.sandbox.faults.fired == [("late_file", "htx_archive", "/" + KEY)]


def numbers(body: bytes) -> list[list[str]]:
    return unzipped(KEY.rpartition("/")[2], body)


def test_a_file_is_replaced_after_so_many_gets(market: Market) -> None:
    """First rows are missing, and checksum and ETag are those of that file; then it is the truth's."""
    with archive(faults=Faults(Rule("replaced_file", path="/" + KEY, after=2, fraction=0.1))) as client:
        before = {one.key: one for one in client.listed(JANUARY)}
        first, second = client.get(KEY), client.get(KEY, Range="bytes=0-")
        assert first.content == second.content
        after = {one.key: one for one in client.listed(JANUARY)}
        third, digest = client.get(KEY), client.get(checksum_of(KEY)).text[:64]
        changed = {key for key, one in before.items() if one != after[key]}
        assert changed == {KEY, checksum_of(KEY)}
        assert before[KEY].etag == first.headers["ETag"] != third.headers["ETag"] == after[KEY].etag
        assert after[KEY].modified.startswith("2026-09-10T12:00")
        assert client.get(KEY, Range="bytes=100-", If_Match=first.headers["ETag"]).status_code == 412
        assert hashlib.sha256(third.content).hexdigest() == digest
        truth = market.klines("htx-spot", "btcusdt", "1min", *window("2024-01-05"))
        assert [float(row[2]) for row in numbers(third.content)] == truth["close"].tolist()
        stale = numbers(first.content)
        assert 1440 * 0.8 < len(stale) < 1440
        assert {tuple(row) for row in stale} < {tuple(row) for row in numbers(third.content)}
        assert client.sandbox.archive_rows(KEY)["close"].tolist() == truth["close"].tolist()


def test_a_checksum_is_that_of_the_file_at_the_time() -> None:
    with archive(faults=Faults(Rule("replaced_file", path="/" + KEY, after=1))) as client:
        early = client.get(checksum_of(KEY)).text[:64]
        first, second = (hashlib.sha256(client.get(KEY).content).hexdigest() for _ in "ab")
        assert early == first != second == client.get(checksum_of(KEY)).text[:64]


def test_a_file_is_replaced_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.archive.time", hands := Hands())
    with archive(faults=Faults(Rule("replaced_file", 0.5, path=f"/{JANUARY}*", seconds=0.6))) as client:
        before = {one.key: one.etag for one in client.listed(JANUARY)}
        hands.go(0.7)
        after = {one.key: one.etag for one in client.listed(JANUARY)}
        changed = {key for key in before if before[key] != after[key]}
        assert 16 < len(changed) < 46
        assert changed == {
            name for key in changed if key.endswith(".zip") for name in (key, checksum_of(key))
        }


def test_kinds_about_files_touch_no_other_host() -> None:
    """Nor any request to the archive: `decide` knows nothing of them."""
    faults = Faults(*(Rule(kind) for kind in FILE_KINDS))
    for host, path in (("htx_spot_rest", "/market/history/kline"), ("htx_archive", "/" + KEY)):
        assert faults.decide(host, path, "btcusdt", 0.0) == []
    assert faults.hides


@pytest.mark.parametrize("rule", [{"kind": "corrupt_file", "mode": "bent"}, {"kind": "missing_days"}])
def test_wrong_rules_are_explained(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown mode 'bent'; known are flip, torn|unknown fault kind"):
        Faults(rule)
