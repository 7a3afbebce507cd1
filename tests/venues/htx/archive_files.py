"""Files of the archive for the tests: written by hand, or taken out of the sandbox's bucket without a server."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from htxdata.market import Series
from htxdata.sandbox import Faults, Market
from htxdata.sandbox.archive_bucket import Bucket, Moment
from htxdata.sandbox.archive_zips import Options
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.venues.htx.archive import (
    FUTURES_ARCHIVES,
    INVERSE_ARCHIVES,
    LINEAR_ARCHIVES,
    SPOT_ARCHIVES,
)
from htxdata.venues.terms import Archive, Facts, Parsed

ARCHIVES = {
    "htx-spot": SPOT_ARCHIVES,
    "htx-linear": LINEAR_ARCHIVES,
    "htx-inverse": INVERSE_ARCHIVES,
    "htx-futures": FUTURES_ARCHIVES,
}
OLD, NEW = "data", "historical_data"
LATER = Moment(1_800_000_000_000_000, 0.0)  # January 2027: every day of the tests is published


def archive_of(series: Series, tree: str) -> Archive:
    (one,) = [a for a in ARCHIVES[series.venue] if (a.dataset, a.tree) == (series.dataset, tree)]
    return one


def lists(parsed: Parsed) -> dict[str, list[Any]]:
    return {name: pa.array(column).to_pylist() for name, column in parsed.columns.items()}


def joined(pieces: Iterable[Parsed]) -> dict[str, list[Any]]:
    """All pieces as one; each one's page must tell its rows and their ends. `unfit` is a column if there is any."""
    out: dict[str, list[Any]] = {}
    unfit: list[int] = []
    for parsed in pieces:
        columns = lists(parsed)
        times = next(columns[name] for name in ("open_time", "trade_time", "funding_time") if name in columns)
        assert (parsed.page.count, parsed.page.first, parsed.page.last) == (
            len(times),
            min(times),
            max(times),
        )
        assert {len(column) for column in columns.values()} == {len(times)}
        assert not out or out.keys() == columns.keys()
        for name, column in columns.items():
            out.setdefault(name, []).extend(column)
        unfit += [0] * len(times) if parsed.unfit is None else parsed.unfit.tolist()
    return out | ({"unfit": unfit} if any(unfit) else {})


def rows_of(
    series: Series, tree: str, text: bytes | str | Iterable[bytes], contract_size: float | None = None
) -> dict[str, list[Any]]:
    """What a file says, as columns. Each piece is one that the schema takes."""
    content = text.encode() if isinstance(text, str) else text
    blocks = [content] if isinstance(content, bytes) else content
    pieces = list(archive_of(series, tree).read(blocks, series, Facts(contract_size)))
    for parsed in pieces:
        columns = {**parsed.columns, "source": "archive", "received_at": 0}
        assert len(conform(dataset(series.dataset), columns, parsed.unfit)) == parsed.page.count
    return joined(pieces)


def bucket(**options: Any) -> Bucket:
    return Bucket(Market(0), None, Faults(), Options(**options))


def csv_in(bucket: Bucket, key: str) -> bytes:
    """The content of the one file in a zip of the bucket."""
    entry = bucket.find(key, LATER)
    assert entry is not None, key
    with zipfile.ZipFile(io.BytesIO(entry.body())) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


def cut(text: bytes, at: Iterable[int]) -> Iterator[bytes]:
    """The same text in blocks, cut at these places."""
    last = 0
    for place in sorted(at):
        yield text[last:place]
        last = place
    yield text[last:]
