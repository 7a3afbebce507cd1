"""Figures in Prometheus' text format: how old each series is, its holes, the budgets, and what `serve` did.

``render`` is pure; ``gather`` reads the lake and the budgets of this machine, and asks nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htxdata.config import POOLS, Settings
from htxdata.config import lake as lake_of
from htxdata.errors import ConfigError, LakeUnusable
from htxdata.ingest.distil_gaps import open_gaps
from htxdata.ingest.fresh import Standing, standings
from htxdata.store.partition import Store
from htxdata.store.refusals import unwritten
from htxdata.store.whole import replace_text
from htxdata.timeline import SECOND
from htxdata.transport.budget import Budget

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class Family:
    """One metric: its name, what it means, ``gauge`` or ``counter``, and its samples, each with its labels."""

    name: str
    meaning: str
    kind: str
    samples: Sequence[Sample]


def render(families: Iterable[Family]) -> str:
    """The text format, version 0.0.4: what every scraper reads."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {_help(family.meaning)}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.samples:
            inside = ",".join(f'{name}="{_label(text)}"' for name, text in labels.items())
            lines.append(f"{family.name}{f'{{{inside}}}' if inside else ''} {_number(value)}")
    return "\n".join([*lines, ""])


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


# ------------------------------------------------------------------------------------------------- what there is


def of_series(found: Sequence[Standing]) -> list[Family]:
    """Freshness, holes and rows of every kept series. What has nothing at all has no ``known_until``."""

    def each(value: object) -> list[Sample]:
        return [(_labels(standing), number) for standing in found if (number := value(standing)) is not None]  # type: ignore[operator]

    return [
        Family("htxdata_known_until_seconds", "Until when nothing has to be asked for, Unix time.", "gauge",
               each(lambda s: None if s.known is None else s.known / SECOND)),
        Family("htxdata_late_seconds", "For how long more of the series could have been had.", "gauge",
               each(lambda s: s.late_by / SECOND)),
        Family("htxdata_allowed_seconds", "How late the series may be.", "gauge", each(lambda s: s.allowed / SECOND)),
        Family("htxdata_late", "1 where the series is later than it may be.", "gauge", each(lambda s: int(s.late))),
        Family("htxdata_holes", "Spans that are missing or outages.", "gauge", each(lambda s: s.holes)),
        Family("htxdata_holes_seconds", "Their length.", "gauge", each(lambda s: s.lost / SECOND)),
        Family("htxdata_rows", "Rows in the lake.", "gauge", each(lambda s: s.rows)),
    ]  # fmt: skip


def _labels(standing: Standing) -> dict[str, str]:
    series = standing.series
    return {
        "dataset": series.dataset, "venue": series.venue, "symbol": series.symbol, "period": series.period or "",
    }  # fmt: skip


class Budgets:
    """How much of each host's budget this machine used between two looks: all of its processes together."""

    def __init__(self, settings: Settings) -> None:
        self._rates = {}
        for host, base in settings.hosts.items():
            if base and host in settings.budgets:
                self._rates[host] = (base, settings.budgets[host], "")
                for pool, key in POOLS.get(host, {}).items():
                    self._rates[key] = (base, settings.budgets[key], pool)
        self._last: dict[str, tuple[float, int]] = {}

    def look(self) -> list[Family]:
        given, used, paused = [], [], []
        now = time.monotonic()
        for key, (base, rate, pool) in self._rates.items():
            budget = Budget.at(base, rate, pool)
            try:
                state = budget.state()
            except LakeUnusable:  # no folder for its file can be made
                continue
            finally:
                budget.close()
            at, count = self._last.get(key, (now, state.given))
            self._last[key] = (now, state.given)
            share = (state.given - count) / (now - at) / rate if now > at else 0.0
            labels = {"host": key}
            given.append((labels, float(state.given)))
            used.append((labels, max(0.0, round(share, 4))))
            paused.append((labels, state.paused_for))
        return [
            Family("htxdata_requests_given_total", "Requests that the budget of the host allowed on this machine.",
                   "counter", given),
            Family("htxdata_budget_used_ratio", "Share of the budget used since the last look.", "gauge", used),
            Family("htxdata_paused_seconds", "For how long nobody may ask the host.", "gauge", paused),
        ]  # fmt: skip


def gather(settings: Settings, budgets: Budgets, more: Iterable[Family] = ()) -> str:
    """All of it as text. ``more`` is what only its caller knows."""
    gaps: dict[tuple[str, str], int] = {}
    for gap in open_gaps(Store(lake_of(settings))):
        key = (gap.series.venue, gap.feed)
        gaps[key] = gaps.get(key, 0) + 1
    counted = [({"venue": venue, "feed": feed}, float(count)) for (venue, feed), count in sorted(gaps.items())]
    return render([
        *of_series(standings(settings)),
        Family("htxdata_capture_gaps", "Gaps of captures that are not healed.", "gauge", counted),
        *budgets.look(),
        *more,
    ])  # fmt: skip


def of_runs(
    ended: Mapping[tuple[str, str], int], added: Mapping[str, int], statuses: Mapping[str, Mapping[str, Any]]
) -> list[Family]:
    """What `serve` did: runs by turn and how they ended, rows that they added; and how each capture is going."""
    runs: list[Sample] = [({"turn": name, "ended": how}, float(n)) for (name, how), n in sorted(ended.items())]
    rows: list[Sample] = [({"turn": name}, float(count)) for name, count in sorted(added.items())]
    families = [
        Family("htxdata_runs_total", "Runs that have ended, by how.", "counter", runs),
        Family("htxdata_rows_added_total", "Rows that runs added, once they ended.", "counter", rows),
    ]
    for key, name, meaning, kind in (
        ("frames", "htxdata_capture_frames_total", "Frames of the run under way.", "counter"),
        ("rows", "htxdata_capture_rows_total", "Rows of the run under way.", "counter"),
        ("reconnects", "htxdata_capture_reconnects_total", "Lost connections of the run under way.", "counter"),
        ("standing", "htxdata_capture_connections", "Connections that stand.", "gauge"),
        ("gaps", "htxdata_capture_open_gaps", "Gaps of the run under way.", "gauge"),
    ):
        found: list[Sample] = [({"turn": turn}, float(s[key])) for turn, s in sorted(statuses.items()) if key in s]
        families.append(Family(name, meaning, kind, found))
    lags: list[Sample] = [
        ({"turn": turn, "quantile": quantile}, float(lag))
        for turn, status in sorted(statuses.items())
        for quantile, lag in zip(("0.5", "0.99"), status.get("lag", ()), strict=False)
    ]
    families.append(Family("htxdata_capture_lag_seconds", "From receipt to disk.", "gauge", lags))
    return families


# ------------------------------------------------------------------------------------------------- where it goes


def address(settings: Settings) -> int | Path | None:
    """A port of 127.0.0.1, a file, or nowhere. ``ConfigError`` for an address that is not this machine's own."""
    text = settings.metrics
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        if host not in ("127.0.0.1", "localhost") or int(port) > 65_535:
            raise ConfigError(
                f"{settings.origin}: metrics is {text!r}: write a file or 127.0.0.1:PORT; for other machines put a "
                "proxy that knows who may read before it"
            )
        return int(port)
    return Path(text)


def write(file: Path, text: str) -> None:
    """Whole or as it was. A name that ends with ``.prom`` suits the node exporter's textfile collector."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(file, text)
    except OSError as error:
        raise unwritten(f"metrics = {str(file)!r}", error) from None
