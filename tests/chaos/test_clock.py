"""The machine's clock steps back between runs, or within one: nothing is doubled, nothing hangs, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.timeline import SECOND
from tests.truth import assert_candles, configuration, stored, strays

SERIES = Series("klines", "htx-spot", "bmtusdt", "60min")
FILL = (
    "backfill",
    "klines",
    "--venue",
    "htx-spot",
    "--symbol",
    "bmtusdt",
    "--period",
    "60min",
    "--start",
    "2025-06-01",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=33, limits=False) as running:
        yield running


class Clock:
    """Stands in for the wall clock; ``back`` seconds behind it, and further behind with every look if ``drifts``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.back, self.drifts = 0.0, 0.0
        real = time.time_ns

        def now_ns() -> int:
            self.back += self.drifts
            return real() - int(self.back * 1e9)

        monkeypatch.setattr(time, "time_ns", now_ns)
        monkeypatch.setattr(time, "time", lambda: now_ns() / 1e9)


@pytest.mark.parametrize(("back", "drifts"), [(3600.0, 0.0), (86_400.0 * 30, 0.0), (0.0, 1.0)])
def test_a_clock_that_steps_back_doubles_nothing_and_hangs_nothing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: float, drifts: float
) -> None:
    """By an hour, by a month, and by a second at every look: each run ends complete by the clock that it has, what was
    stored is as it was, and with the clock right again the lake is the market's."""
    config = ["--config", str(configuration(sandbox, tmp_path))]
    clock = Clock(monkeypatch)
    assert main([*config, *FILL]) == 0
    before = stored(tmp_path / "lake", SERIES)
    clock.back, clock.drifts = back, drifts
    began = time.monotonic()
    assert main([*config, *FILL]) == 0
    assert main([*config, *FILL, "--end", "2025-06-05"]) == 0
    assert main([*config, "compact"]) == 0
    assert main([*config, "audit"]) == 0
    assert time.monotonic() - began < 60
    after = stored(tmp_path / "lake", SERIES)
    assert after["open_time"][: len(before["open_time"])] == before["open_time"]
    assert after["open_time"] == sorted(set(after["open_time"]))
    clock.back = clock.drifts = 0.0
    assert main([*config, *FILL]) == 0
    last = stored(tmp_path / "lake", SERIES)["open_time"][-1] + 3600 * SECOND
    assert assert_candles(tmp_path / "lake", sandbox, SERIES, "2025-06-01", _iso(last)) > 1000
    assert strays(tmp_path) == []


def _iso(at: int) -> str:
    from htxdata.timeline import iso

    return iso(at)
