"""What is said of a dataset, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from htxdata.market import PERIODS
from htxdata.schema.columns import COLUMNS, Column
from htxdata.timeline import DAY, HOUR, MINUTE

Density = Literal["grid", "interval", "events", "states"]
"""What a hole between two rows means.

``grid``: a row is due at every slot of the period (candles); a slot without one was empty.
``interval``: rows follow each other at an interval that the neighbours tell (funding); a longer silence was empty.
``events``: rows come when they come (trades); a silence means nothing.
``states``: a row holds until the next one (instruments).
"""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One dataset. ``columns`` are in the order of the view, without venue, symbol and period, which come first.

    ``key`` makes a row unique within venue, symbol and period. ``nullable`` columns may be NULL.
    ``grains`` maps a period (or ``None``) to the grain of its partitions; ``""`` is the default.

    ``key_tells_time``: rows of one key are of one time, though the key does not hold it; so a key that is unique among
    the rows of its instant is unique. ``rereads``: a file of an archive may be read into a partition that has it
    already, its rows meeting themselves. False where the key tells readings apart: a partition whose footer names a
    file then holds that file's rows, all and for good, and never takes it again, replaced by the venue or not.
    ``told_once``: sources have no number in common. Rows of two sources that agree in these columns, none of them NULL,
    tell of the same thing, and what was stored first stays. ``told_by_one``: not even that shows of every row whether
    another source told it, so what happened in a stretch of time is told by one source alone.
    ``heard_once``: the key tells when a row was heard. Rows that agree in these columns are one, heard by several
    connections, and the first stays.
    ``says``, of ``states``: the columns in which a row can say something new.

    ``own``: it is of one's own account, and told only to who shows a key. ``only``: the one kind of instrument that has
    it. ``rows_a_day`` is a guess for `plan`, of a middling symbol; what lies on a grid needs none.
    """

    name: str
    meaning: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    time_column: str
    nullable: frozenset[str] = frozenset()
    density: Density = "events"
    has_period: bool = False
    grains: Mapping[str, str] | None = None
    stored: bool = True
    key_tells_time: bool = False
    rereads: bool = True
    told_once: tuple[str, ...] = ()
    told_by_one: bool = False
    heard_once: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    own: bool = False
    only: str = ""
    settles_after: int = MINUTE
    rows_a_day: int = 100

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """The stored columns, in order; venue, symbol and period live in the path."""
        return tuple(COLUMNS[name] for name in self.columns)

    def grain(self, period: str | None = None) -> str:
        """``day``, ``month`` or ``year``."""
        grains = self.grains or {}
        return grains.get(period or "", grains.get("", "year"))

    def settle(self, period: str | None = None) -> int:
        """Microseconds after a row's time is over before the row may be stored as final (law 6).

        A minute: reference htx-api section 8 calls a candle final from 60 s after its close on, and what has no
        period is given as long to show up (``settles_after``). What holds until the next row (``states``) is final at
        once.
        """
        return 0 if self.density == "states" else self.settles_after

    def recheck(self, period: str | None = None) -> int:
        """Microseconds after a row's time is over during which what was fetched is read once more on the next run.

        Whether HTX revises closed candles is documented nowhere (htx-api section 11), so the last few are compared:
        three periods, at least ten minutes and at most two days. A funding may be published late: an hour.
        """
        if self.density == "grid":
            return min(max(3 * (PERIODS[period or "1min"] or 31 * DAY), 10 * MINUTE), 2 * DAY)
        return HOUR if self.density == "interval" else 0

    @property
    def path_columns(self) -> tuple[str, ...]:
        return ("venue", "symbol", "period") if self.has_period else ("venue", "symbol")
