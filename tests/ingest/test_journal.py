"""What a run says to machines: one object a line, and nothing secret in any."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.journal import JsonLines, line, of_outcome, redact
from htxdata.ingest.outcome import Missing, Outcome
from htxdata.market import Series
from htxdata.timeline import HOUR, Window

SERIES = Series("klines", "htx-spot", "btcusdt", "1min")
KEY = "e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx"

SPOKEN = [
    f"GET https://api.huobi.pro/v1/account/accounts?AccessKeyId={KEY}&Signature=4F65x5A2bLyM%3D&Timestamp=2017",
    f"wss://x.example/ws/v2?listenKey={KEY}",
    f"GET https://x.example/a?Timestamp=2017&x={KEY} failed",
    f"Authorization: Bearer {KEY}",
    f"{{'X-HK-APIKEY': '{KEY}'}}",
    f'{{"accessKey":"{KEY}","signature":"{KEY}"}}',
    f"HTX_SECRET_KEY={KEY}",
    f"https://user:{KEY}@proxy.example:8080/path",
    f"api_key = {KEY}, signature = {KEY}",
    f"token: {KEY}",
]


@pytest.mark.parametrize("text", SPOKEN)
def test_no_secret_is_written_down(text: str) -> None:
    """Neither a key nor a signature nor the query of an address, however they are spelled; in any field of a line."""
    for said in (redact(text), line(text), line("x", why=text, parts={"deep": text})):
        assert KEY not in said
        assert "4F65x5A2bLyM" not in said


def test_the_value_of_a_secret_is_hidden_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing beside it says what it is."""
    monkeypatch.setenv("HTX_SECRET_KEY", "k33p-m3")
    assert "k33p-m3" not in line("the venue says: no such thing as k33p-m3")


def test_ordinary_words_stay() -> None:
    """Addresses without a query, symbols, sentences about keys."""
    for text in (
        "htx-spot: https://api.huobi.pro/market/history/kline answered HTTP 404", "design: klines of sign-usdt",
        "the key has no permission", "assigned 3 workers", "10.0.0.1:8080 is busy",
    ):  # fmt: skip
        assert redact(text) == text


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line_of_json(message: str, run: str) -> None:
    """Line breaks, quotes and lone surrogates included."""
    said = line(message, run=run or "r", span=Window(0, HOUR), series=SERIES)
    assert len(said.splitlines()) >= 1
    assert "\n" not in said
    read = json.loads(said)
    assert read["run"] == (run or "r")
    assert read["series"] == {"dataset": "klines", "venue": "htx-spot", "symbol": "btcusdt", "period": "1min"}
    assert read["span"] == {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T01:00:00Z"}


def test_a_partition_says_what_it_added_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for the work, one for every hole, with the run that `serve` named."""
    monkeypatch.setenv("HTXDATA_RUN", "20240105T000000-abc123")
    lost = (Missing(Window(0, HOUR), "HTTP 500"),)
    work, hole = map(json.loads, of_outcome(Outcome(SERIES, "2024-01", (Window(0, 2 * HOUR),), added=60, missing=lost)))
    assert (work["run"], work["added"], work["partition"]) == ("20240105T000000-abc123", 60, "2024-01")
    assert (hole["level"], hole["message"]) == ("warning", "missing: HTTP 500")
    assert hole["span"]["end"] == "1970-01-01T01:00:00Z"


def test_records_of_libraries_are_the_same_lines() -> None:
    """A log record of any module."""
    record = logging.LogRecord("htxdata.transport.budget", logging.WARNING, "f", 1, "paused for %d s", (7,), None)
    read = json.loads(JsonLines().format(record))
    assert (read["level"], read["message"], read["logger"]) == ("warning", "paused for 7 s", "htxdata.transport.budget")
