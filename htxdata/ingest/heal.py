"""What a process that died left behind: put in order before a run, without a flag or a human (law 3).

A partition heals when somebody commits to it; one whose rows were committed a moment before the end is complete, so
nobody would, and whoever globs the lake would wait for its ``part.parquet`` for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from htxdata.ingest.revisions import DIFFERENCES
from htxdata.market import Series
from htxdata.store import whole
from htxdata.store.partition import Store


def heal_lake(store: Store, series: Iterable[Series]) -> int:
    """Finish the unfinished commits of these series, and of what was kept beside them; how many there were."""
    healed = 0
    for line in series:
        lines = [line]
        if line.dataset == "klines":
            lines.append(Series("kline_revisions", line.venue, line.symbol, line.period))
        if line.dataset not in ("klines", "kline_revisions", DIFFERENCES):
            lines.append(Series(DIFFERENCES, line.venue, line.symbol))
        for partition in (p for each in lines for p in store.partitions(each)):
            if store.verbs.unfinished(store.folder(partition)):
                store.commit(partition, None)
                healed += 1
    return healed


def heal_tape(tape: Path) -> None:
    """Remove half-written quarantine entries of processes that are gone; their replies were never set aside."""
    whole.sweep(tape / "quarantine", below=True)
