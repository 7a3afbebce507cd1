"""One budget per exchange host and machine, obeyed and used (law 8), with real commands side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import MINUTE, parse_instant
from tests.chaos.lives import Life, all_end
from tests.truth import configuration

RATE = 20
MONTHS = (("2025-04-01", "2025-05-17"), ("2025-06-01", "2025-07-17"), ("2025-08-01", "2025-09-16"))


@pytest.mark.timeout(120)
@pytest.mark.slow  # beside other tests there is not always the processor for 95 % of it
def test_three_commands_at_once_keep_the_limit_and_use_it(tmp_path: Path) -> None:
    """Three backfills share 20 requests a second: the exchange counts not one too many in any second, and over the
    busy middle at least 95 % of what it allows."""
    with Sandbox(seed=8, limits={"htx_spot_rest": RATE}) as sandbox:
        config = configuration(sandbox, tmp_path, rate=RATE)
        lives = [
            Life(config, "backfill", "klines", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "1min",
                 "--start", start, "--end", end, said=tmp_path / f"said{at}.txt")
            for at, (start, end) in enumerate(MONTHS)
        ]  # fmt: skip
        codes = all_end(lives)
        for life in lives:
            life.__exit__()
        assert codes == [0, 0, 0], [path.read_text() for path in tmp_path.glob("said*")]
        assert sandbox.violations == 0, sandbox.violation_times
        times = [r.time for r in sandbox.requests if "candles" in r.path]
        # The busy middle: without the start, when not all of them ask, and the end, when the first is through.
        first, last = times[0] + 1.0, times[-1] - 1.5
        busy = [time for time in times if first <= time < last]
        assert last - first >= 6
        used = len(busy) / (last - first)
        assert used >= 0.95 * RATE, f"{used:.2f} requests per second of {RATE}"
        windows = [sum(time <= other < time + 1.0 for other in times) for time in times]
        assert max(windows) <= RATE
        spans = Store(tmp_path / "lake").coverage(Series("klines", "htx-spot", "bmtusdt", "1min"))
        assert [(s.start, s.end, s.verdict, s.rows) for s in spans] == [
            (
                parse_instant(start),
                parse_instant(end),
                "present",
                (parse_instant(end) - parse_instant(start)) // MINUTE,
            )
            for start, end in MONTHS
        ]
