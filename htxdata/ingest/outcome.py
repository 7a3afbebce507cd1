"""What came of one job, whichever rung of the ladder did it, and how far one of the archive has come."""

from __future__ import annotations

from dataclasses import dataclass

from htxdata.market import Series
from htxdata.timeline import Window


@dataclass(frozen=True)
class Missing:
    """A span that could not be had, and why."""

    window: Window
    why: str


@dataclass(frozen=True)
class FileDone:
    """A job is done with one more of its archive's files, whatever came of it: ``label`` is the venue's day, ``added``
    the rows of all partitions that it completed."""

    series: Series
    label: str
    added: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one job did. Counts are of rows; ``missing`` is empty where the job's span is complete.

    ``unsettled`` is what was not over yet by the venue's clock, though it was by ours.
    """

    series: Series
    label: str
    asked: tuple[Window, ...]
    rows: int = 0
    added: int = 0
    replaced: int = 0
    requests: int = 0
    seconds: float = 0.0
    changed: bool = False
    quarantined: int = 0
    missing: tuple[Missing, ...] = ()
    unobtainable: tuple[Missing, ...] = ()
    unsettled: tuple[Window, ...] = ()
    unreachable: bool = False
    unknown_symbol: str = ""
    withheld: tuple[Missing, ...] = ()
    """What the archive has, or may yet have, and did not deliver: nobody may call it unobtainable."""

    partitions: int = 1
    differences: int = 0
    """Values (or rows) of a day that the archive's two trees, or the archive and REST, say differently;
    ``source_differences`` has them."""

    damaged: str = ""
    """The partition that cannot be read, in a sentence, where that was why."""
