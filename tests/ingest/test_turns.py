"""What `serve` does when: arithmetic of turns, and which turns a configuration means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.config import Keep, Settings
from htxdata.errors import ConfigError
from htxdata.ingest.turns import AFTER_CLOSE, DAY_S, Turn, due, turns_of
from htxdata.service import Serve

HOURLY = Turn("sync", "sync", every=3600.0, offset=AFTER_CLOSE)
NIGHTLY = Turn("upkeep", "upkeep", at=2.5 * 3600)
NOON = 1_704_110_400.0  # 2024-01-01T12:00:00Z
CANDLES = Keep("htx-spot", "klines", ("btcusdt",), ("1min",), "2024-01-01")
TRADES = Keep("htx-linear", "trades", ("BTC-*",), since="2024-01-01")
QUOTES = Keep("htx-linear", "quotes", ("BTC-*",))
BASKETS = Keep("htx-linear", "index_constituents", ("BTC-USDT",), every="5m")


def by_name(*keep: Keep, serve: Serve | None = None) -> dict[str, Turn]:
    return {turn.name: turn for turn in turns_of(Settings(keep=keep, serve=serve or Serve()), "x.toml")}


def test_an_hourly_turn_begins_at_once_and_then_two_minutes_past() -> None:
    """The first time now; then at the round times, however late in its hour the last one began."""
    assert due(HOURLY, None, NOON) == NOON
    for begun in (NOON + 120, NOON + 121, NOON + 3719):
        assert due(HOURLY, begun, begun) == NOON + 3600 + 120
    assert due(HOURLY, NOON + 119.9, NOON) == NOON + 120


def test_a_nightly_turn_waits_for_its_night_and_makes_up_for_one_that_it_missed() -> None:
    """Never begun: tonight. Begun the day before yesterday: it is due, once."""
    assert due(NIGHTLY, None, NOON) == NOON + 14.5 * 3600
    assert due(NIGHTLY, NOON - 2 * DAY_S, NOON) < NOON
    assert due(NIGHTLY, NOON, NOON) == NOON + 14.5 * 3600


@given(
    begun=st.floats(0, 4e9), every=st.sampled_from([1.0, 60.0, 600.0, 3600.0, 21_600.0]), part=st.floats(0, 1),
    down=st.floats(0, 1e7),
)  # fmt: skip
def test_every_turn_comes_again_soon_and_never_twice_at_once(
    begun: float, every: float, part: float, down: float
) -> None:
    """The next time is after the last and within one period of it; after any pause one run is due, not many."""
    turn = Turn("x", "x", every=every, offset=part * every)
    at = due(turn, begun, begun)
    assert begun < at + 1e-3
    assert at <= begun + every + 1e-3
    woken = at + down
    assert due(turn, woken, woken) > woken - 1e-3


def test_what_is_kept_becomes_turns() -> None:
    """Candles are filled; trades are heard as well; quotes only heard; baskets looked at, as often as is said."""
    turns = by_name(CANDLES, TRADES, QUOTES, BASKETS)
    assert set(turns) == {
        "sync", "upkeep", "freshness", "instruments", "capture htx-linear trades quotes",
        "snapshot index_constituents htx-linear",
    }  # fmt: skip
    heard = turns["capture htx-linear trades quotes"]
    assert heard.parameters["symbols"] == ["BTC-*"]
    assert (heard.endless, heard.most) == (True, 2)
    assert heard.parameters["seconds"] > heard.every
    assert turns["snapshot index_constituents htx-linear"].every == 300
    assert turns["instruments"].parameters["venues"] == ["htx-spot", "htx-linear"]
    assert turns["upkeep"].at == 9000
    assert turns["freshness"].after == "sync"
    assert {turn.parameters["config"] for turn in turns.values()} == {"x.toml"}


def test_prices_of_which_there_is_no_past_are_looked_at() -> None:
    """As often as is said, else every ten minutes; they are neither filled nor heard."""
    turns = by_name(
        Keep("hashkey", "mark_prices", ("*",), every="1m"), Keep("hashkey", "index_prices", ("BTC*",)),
        serve=Serve(upkeep="off", freshness="off", instruments="off"),
    )  # fmt: skip
    assert {name: (turn.flow, turn.every, turn.parameters["symbols"]) for name, turn in turns.items()} == {
        "snapshot mark_prices hashkey": ("snapshot", 60.0, ["*"]),
        "snapshot index_prices hashkey": ("snapshot", 600.0, ["BTC*"]),
    }


def test_each_can_be_switched_off() -> None:
    """By `off`, by `capture = false` for all or for one; and a capture of candles by `capture = true`."""
    silent = Serve(capture=False, sync="off", upkeep="off", freshness="off", instruments="off")
    assert by_name(CANDLES, TRADES, serve=silent) == {}
    assert "capture htx-linear trades" not in by_name(Keep("htx-linear", "trades", ("BTC-*",), capture=False))
    assert "capture htx-spot klines" in by_name(
        Keep("htx-spot", "klines", ("btcusdt",), ("1min",), capture=True)
    )
    assert by_name(QUOTES)["freshness"].after == ""  # there is no sync to wait for


@pytest.mark.parametrize(
    ("keep", "serve", "words"),
    [
        ((), Serve(), "nothing to serve"),
        ((CANDLES,), Serve(sync="often"), "serve.sync: 'often'"),
        ((CANDLES,), Serve(upkeep="25:00"), "serve.upkeep is '25:00'"),
        ((Keep("htx-spot", "quotez", ("btcusdt",)),), Serve(), "quotez"),
        ((Keep("moon", "klines", ("btcusdt",)),), Serve(), "moon"),
        ((Keep("htx-linear", "funding_rates", ("BTC-*",), capture=True),), Serve(), "has no feed"),
        ((Keep("htx-spot", "klines", ("btcusdt",), ("1min",), every="5m"),), Serve(), "every: klines"),
        ((Keep("htx-linear", "index_constituents", ("*",), every="0s"),), Serve(), "'0s'"),
    ],
)
def test_what_cannot_be_is_said(keep: tuple[Keep, ...], serve: Serve, words: str) -> None:
    """A mistake in the configuration names the entry or the key before anything is begun."""
    with pytest.raises(ConfigError, match=words):
        turns_of(Settings(keep=keep, serve=serve), None)
