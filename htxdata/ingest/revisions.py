"""Who keeps the versions that lose (law 6): ``kline_revisions`` for candles, nobody for the rest."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import arrow_schema
from htxdata.store.layout import Partition
from htxdata.store.partition import Store


def keeper(store: Store, partition: Partition) -> Callable[[pa.Table], None] | None:
    """What ``Store.commit`` calls with the versions that are about to be replaced, before it writes."""
    if partition.dataset != "klines":
        return None
    revisions = dataset_named("kline_revisions")
    schema = arrow_schema(revisions)
    target = Partition(revisions.name, partition.venue, partition.symbol, partition.period, partition.label)

    def keep(lost: pa.Table) -> None:
        stored = store.read(target)
        if stored is not None and len(stored):
            # A crash between this commit and the candles' own leads here twice: a version, told by when it was
            # received, is kept once.
            seen = set(_versions(stored))
            lost = lost.filter(pa.array([version not in seen for version in _versions(lost)], pa.bool_()))
        if len(lost):
            store.commit(target, lost.select(schema.names).cast(schema), [])

    return keep


def _versions(table: pa.Table) -> list[tuple[int, int]]:
    times, heard = (
        pc.cast(table.column(name), pa.int64()).to_pylist() for name in ("open_time", "received_at")
    )
    return list(zip(times, heard, strict=True))
