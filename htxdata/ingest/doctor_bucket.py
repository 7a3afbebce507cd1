"""A lake in a bucket, looked at: can it be reached and written, does the server heed conditions, what is not ours.

Writes nothing: that writing is allowed and that conditions are heeded is told by a write that must be refused, because
it is for an object of a content that there never was.
"""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import CorruptPartition, HtxdataError
from htxdata.ingest.doctor_lake import OURS, ROWS_S, WALK_S, Found
from htxdata.ingest.doctor_terms import Check
from htxdata.store import bucket, bucket_names, findings, footer, layout
from htxdata.store.bucket import Bucket
from htxdata.store.generations import PART
from htxdata.store.objects import Objects
from htxdata.store.place import SCHEME, beside, root_of

_ATTEMPTS = 2  # a doctor has no patience


def examine(name: str, *, walk_s: float = WALK_S, rows_s: float = ROWS_S) -> tuple[Check, Found | None]:
    """The check of the bucket, and what is in it where it can be read. ``name`` is the lake as it is set."""
    called = "bucket of the lake"
    try:
        root = root_of(name)
        assert isinstance(root, str)
        place = root.removeprefix(SCHEME).partition("/")[0]
        home = Bucket(place, Objects(place, attempts=_ATTEMPTS))
        began = time.monotonic()
        found = look(home, root, walk_s=walk_s, rows_s=rows_s) if home.is_folder(root) else Found(there=False)
        answered = time.monotonic() - began
        heeded = home.heeds(root)
    except HtxdataError as error:
        return Check(called, "problem", str(error)), None
    details = {
        "bucket": place, "endpoint": home.objects.endpoint, "conditional_writes": heeded,
        "beside": str(beside(root)), "seconds": round(answered, 3),
    }  # fmt: skip
    if not heeded:
        return Check(called, "problem", bucket.unheeded(home.objects.endpoint), details), found
    says = f"{home.objects.endpoint} answers for {place!r}, may be written, and heeds conditional writes"
    return Check(called, "ok", says, details), found


def look(home: Bucket, root: str, *, walk_s: float, rows_s: float) -> Found:
    """The state of the lake: one listing, and of its footers as many as the time allows."""
    found = Found()
    until = time.monotonic() + walk_s
    prefix = f"{root}/".removeprefix(f"{SCHEME}{home.name}/")
    parts: list[tuple[str, str, int]] = []
    for entry in home.objects.entries(prefix):
        if time.monotonic() > until:
            found.cut = True
            break
        inside = PurePosixPath(entry.key[len(prefix) :])
        if inside.parts[0] == OURS:
            continue
        try:
            partition = layout.parse(str(inside.parent))
        except ValueError:
            found.stray.add(f"{root}/{inside}")
            continue
        if inside.name == PART:
            newest = bucket_names.generation(f"{root}/{inside.parent}", entry)
            parts.append((partition.dataset, newest.path, entry.size))
        elif bucket_names.is_away(inside.name):
            found.left.add(f"{root}/{inside}")
        elif bucket_names.is_generation(inside.name):
            continue  # superseded, it has its time
        elif inside.name.endswith(".parquet") and not inside.name.startswith((".", "_")):
            found.foreign.add(f"{root}/{inside}")
        else:
            found.stray.add(f"{root}/{inside}")
    found.partitions = found.files = len(parts)
    sound: list[str] = []
    rows = home.each(partial(_rows, home, until), (path for _, path, _ in parts))
    for (name, path, size), count in zip(parts, rows, strict=True):
        if isinstance(count, str):
            found.broken.add(count)
        elif count is None:
            found.cut = True
        else:
            sound.append(path)
            found.rows, found.size = found.rows + count, found.size + size
            octets, known = found.grown.get(name, (0, 0))
            found.grown[name] = octets + size, known + count
    _read(home, sound, found, rows_s)
    try:
        findings.read(root)
    except HtxdataError as error:
        found.broken.add(str(error))
    return found


def _rows(home: Bucket, until: float, path: str) -> int | str | None:
    """Rows of a partition, or what is wrong with it; None where there is no time left."""
    if time.monotonic() > until:
        return None
    try:
        with home.open_path(path, tail=True) as file:
            return sum(span.rows for span in footer.read(file, path).spans)
    except FileNotFoundError:  # superseded for longer than the grace
        return 0
    except CorruptPartition as error:
        return str(error)


def _read(home: Bucket, sound: list[str], found: Found, seconds: float) -> None:
    until = time.monotonic() + seconds
    for path in random.sample(sound, len(sound)):
        if time.monotonic() > until:
            return
        try:
            with home.open_path(path) as file, pq.ParquetFile(file) as rows:
                for _ in rows.iter_batches(batch_size=1 << 17):
                    pass
            found.read += 1
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError) as error:
            found.broken.add(f"{path} cannot be read: {str(error).splitlines()[0]}")

