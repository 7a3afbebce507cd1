"""The checks of an audit that look at ids: none comes twice, and the numbers of trades rise. In flat memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.ingest.audit_rows import Finding, Held
from htxdata.ingest.candles import integers
from htxdata.timeline import SECOND, iso

JITTER = SECOND
"""How long before a trade another must have been to need a lower number: times are milliseconds of several machines."""

_IDS_AT_ONCE = 2_000_000  # 32 MB, and four times as much while they are sorted
_NUMBER = "^[0-9]{1,18}$|^[1-8][0-9]{18}$"  # what surely fits 64 bits


def identity(held: Held) -> Iterator[Finding]:
    """A key that does not hold the time: each once in its partition, wherever it stands."""
    declared = held.declared
    if declared.time_column in declared.key or len(declared.key) > 1:
        return
    (name,) = declared.key
    if _rising(held, name):
        return  # and so none repeats
    passes = -(-held.reader.rows // _IDS_AT_ONCE)
    for number_of in range(passes):
        codes, times = [], []
        for batch in held.batches([declared.time_column, name]):
            code = _codes(batch[name])
            chosen = code % passes == number_of
            codes.append(code[chosen])
            times.append(integers(batch[declared.time_column])[chosen])
        every, when = np.concatenate(codes), np.concatenate(times)
        rank = np.lexsort((when, every))
        every, when = every[rank], when[rank]
        twice = (every[1:] == every[:-1]) & (when[1:] != when[:-1])
        for time in when[1:][twice].tolist():
            yield Finding("identity", held.partition.series, int(time), name, None, None,
                          f"the same {name} is there at an earlier time")  # fmt: skip


def _rising(held: Held, name: str) -> bool:
    """Whether the ids are numbers of which each is higher than the one before."""
    highest = -1
    for batch in held.batches([name]):
        numbers = ids_as_numbers(batch[name])
        if numbers[0] <= highest or not (numbers[1:] > numbers[:-1]).all():
            return False
        highest = int(numbers[-1])
    return True


def ids_as_numbers(column: pa.ChunkedArray) -> Any:
    """The ids as int64; -1 for those that are names (``venues/names.py``, ``venues/htx/archive_ids.py``)."""
    try:
        numbers = pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        whole = pc.match_substring_regex(column, _NUMBER)
        numbers = pc.fill_null(pc.cast(pc.if_else(whole, column, None), pa.int64()), -1)
    return integers(numbers)


def _codes(column: pa.ChunkedArray) -> Any:
    """A number for every id, the same wherever the id comes again: itself, or of a name 63 bits and the sign."""
    codes = ids_as_numbers(column)
    names = codes < 0
    if names.any():
        texts = column.filter(pa.array(names)).to_pylist()
        sums = b"".join([hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts])
        codes = codes.copy()
        codes[names] = (np.frombuffer(sums, np.uint64) | np.uint64(1 << 63)).view(np.int64)
    return codes


def sequence(held: Held) -> Iterator[Finding]:
    """The numbers of trades rise with time; names of our own are passed over."""
    if held.declared.name != "trades":
        return
    when, known = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for batch in held.batches(["trade_time", "trade_id"]):
        times, ids = integers(batch["trade_time"]), ids_as_numbers(batch["trade_id"])
        times, ids = times[ids >= 0], ids[ids >= 0]
        old = len(when)
        when, known = np.concatenate([when, times]), np.concatenate([known, ids])
        if (when[1:] < when[:-1]).any():
            return  # `order` says so
        earlier = when.searchsorted(when[old:] - JITTER, side="right") - 1
        wrong = (earlier >= 0) & (known[earlier] > known[old:])
        for at in np.flatnonzero(wrong).tolist():
            than, now = known[earlier[at]], known[old + at]
            said = f"the trade's number {now} is lower than {than} of {iso(int(when[earlier[at]]))}"
            time = int(when[old + at])
            yield Finding("sequence", held.partition.series, time, "trade_id", float(than), float(now), said)
        if len(when):  # what later trades may be compared with
            keep = max(int(when.searchsorted(when[-1] - JITTER, side="right")) - 1, 0)
            when, known = when[keep:], known[keep:]
