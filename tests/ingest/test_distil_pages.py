"""A reel is parsed a page at a time and handed over many pages at a time: where the borders lie changes nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.ingest import distil_reel as reel_module
from htxdata.ingest.distil import Distilled, distil
from htxdata.market import Series
from htxdata.store.partition import Store
from htxdata.timeline import DAY, SECOND, parse_instant
from tests.ingest.test_distil import BTC, ETH, Hand, ms, rows, spans, trade, trades_push

START = parse_instant("2024-03-06") - 20 * SECOND  # a day ends within
COUNT = 60


def told(hand: Hand, at: int, *messages: dict[str, Any]) -> None:
    """Without blanks, as the venue writes: with them each would be looked at by itself."""
    hand.raw(at, *(gzip.compress(json.dumps(message, separators=(",", ":")).encode()) for message in messages))


def trades(hand: Hand) -> None:
    for n in range(COUNT):
        at = START + n * SECOND
        odd = {"price": "1.25"} if n == 17 else {"amount": 0.12345678901234567} if n == 18 else {}
        one = {**trade(n, at, price=1 + n / 8), **odd}
        told(hand, at, trades_push(at, one, symbol=(BTC, ETH)[n % 3 == 0]))
        if n in (5, 40):
            told(hand, at, {"ping": ms(at)})
        if n == 30:
            hand.raw(at, b"no JSON")


def books(hand: Hand) -> None:
    for symbol in (BTC, ETH):
        data = {"seqNum": 0, "bids": [[100 - n, 1 + n] for n in range(5)], "asks": [[101 + n, 2 + n] for n in range(5)]}
        answer = {"rep": f"market.{symbol}.mbp.150", "status": "ok", "ts": ms(START), "data": data}
        told(hand, START, {"id": symbol, **answer})
    number = {BTC: 0, ETH: 0}
    for n in range(COUNT):
        at, symbol = START + n * SECOND, (BTC, ETH)[n % 3 == 0]
        before, number[symbol] = number[symbol], number[symbol] + 2
        price: Any = "97.5" if n == 17 else 100 - n % 7
        bids = [[price, 0 if n % 4 == 0 else 1 + n / 8], [90 - n % 3, n + 0.5]]
        # a message missing, one of two that say the same, one number that a DOUBLE does not carry
        prev = before + 1 if n == 45 else before
        asks = [[101 + n % 5, 0.12345678901234567 if n == 18 else 0.5]] if n % 2 else None
        tick = {"seqNum": number[symbol], "prevSeqNum": prev, "bids": bids, "asks": asks}
        said = {"ch": f"market.{symbol}.mbp.150", "ts": ms(at), "tick": tick}
        told(hand, at, *([said] * (1 + (n == 20))))
        if n == 30:
            hand.raw(at, b"no JSON")
        if n == 50:  # after the break
            data = {"seqNum": number[symbol], "bids": [[99, 1]], "asks": [[101, 2]]}
            answer = {"rep": f"market.{symbol}.mbp.150", "status": "ok", "ts": ms(at), "data": data}
            told(hand, at, {"id": "again", **answer})


def lake(root: Path, tape: Path, name: str) -> tuple[Any, ...]:
    store = Store(root / name)
    done: Distilled = distil(store, tape, say=lambda text: None)
    series = sorted(store.series(venue="htx-spot"), key=str)
    return done.frames, done.quarantined, [(str(s), rows(store, s), spans(store, s)) for s in series]


@pytest.mark.parametrize("feed", ["trades", "book"])
def test_the_borders_of_pages_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: str) -> None:
    hand = Hand(tmp_path / "tape", "htx-spot", feed, START, [BTC, ETH])
    hand.acks(START)
    {"trades": trades, "book": books}[feed](hand)
    hand.close(START + COUNT * SECOND)
    whole = lake(tmp_path, tmp_path / "tape", "whole")
    assert whole[1] == 1
    stored = [row for name, found, _ in whole[2] if "gaps" not in name for row in found]
    assert len(stored) == COUNT if feed == "trades" else len(stored) > COUNT
    for page, batch in ((1, 1), (1, 7), (2, 32_768), (7, 20), (10**6, 10**6)):
        monkeypatch.setattr(reel_module, "PAGE", page)
        monkeypatch.setattr(reel_module, "_BATCH", batch)
        assert lake(tmp_path, tmp_path / "tape", f"{page}-{batch}") == whole


def test_pages_of_long_messages_are_handed_over_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded by its bytes too: a whole book has sixty times the levels of a change."""
    hand = Hand(tmp_path / "tape", "htx-spot", "book", START, [BTC, ETH])
    hand.acks(START)
    books(hand)
    hand.close(START + COUNT * SECOND)
    joined: list[int] = []
    put = reel_module.ReelReader._take_books

    def counted(self: reel_module.ReelReader, pushed: Any) -> None:
        joined.append(sum(len(found) for found in pushed.messages.values()))
        put(self, pushed)

    monkeypatch.setattr(reel_module.ReelReader, "_take_books", counted)
    monkeypatch.setattr(reel_module, "PAGE", 2)
    monkeypatch.setattr(reel_module, "_BATCH_BYTES", 1000)
    lake(tmp_path, tmp_path / "tape", "lake")
    assert sum(joined) > COUNT
    assert max(joined) <= 10  # of a hundred bytes and more each


def test_a_day_of_a_book_begins_whole_wherever_a_page_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand(tmp_path / "tape", "htx-spot", "book", START, [BTC, ETH])
    hand.acks(START)
    books(hand)
    hand.close(START + COUNT * SECOND)
    monkeypatch.setattr(reel_module, "PAGE", 3)
    store = Store(tmp_path / "lake")
    distil(store, tmp_path / "tape", say=lambda text: None)
    midnight = START + 20 * SECOND
    assert midnight % DAY == 0
    for symbol in (BTC, ETH):
        found = rows(store, Series("book_changes", "htx-spot", symbol), "book_time", "kind")
        assert {kind for at, kind in found if at == midnight} >= {"snapshot"}
