"""What a whole lake covers, read from its footers; and the cache of them, which may be deleted at any time.

There is no second truth: ``<lake>/.htxdata/coverage.cache`` repeats footers, each with the path, mtime, size and inode
of the generation that it was read from. One walk with ``scandir`` and ``stat`` validates it; a footer that changed is
read again (36 us each). A lake that cannot be written has no cache and is read every time.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from htxdata.errors import CorruptPartition, UsageError
from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.store import coverage, disk, footer, layout
from htxdata.store.footer import Span
from htxdata.store.layout import Partition, Pattern, Selection
from htxdata.timeline import Window

CACHE = ".htxdata/coverage.cache"
_VERSION = 1


class _Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    mtime_ns: int
    size: int
    inode: int
    spans: list[Span]


class _Cache(msgspec.Struct, array_like=True, gc=False):
    version: int
    entries: dict[str, msgspec.Raw]


# ---------------------------------------------------------------------------------------------- the walk


def series(root: Path | str, declared: Dataset, selection: Selection) -> Iterator[tuple[Series, str]]:
    """The series of a dataset and their absolute folders, sorted. Lists only the levels that are not spelled out."""
    if selection.period is not None and not declared.has_period:
        return
    top = f"{root}/{declared.name}"
    found = [top]
    for level in layout.levels(declared):
        names = selection.names(level)
        if names is not None:
            found = [f"{path}/{name}" for path in found for name in names]
        else:
            found = [
                f"{path}/{name}"
                for path in found
                for name in disk.folders(path)
                if selection.takes(level, name)
            ]
    for path in found:
        if not os.path.isdir(path):
            continue
        values = [layout.decode(part.partition("=")[2]) for part in path[len(top) + 1 :].split("/")]
        try:
            line = Series(declared.name, values[0], values[1], values[2] if declared.has_period else None)
            layout.folder_of(line)
        except UsageError:  # a period that is none of ours: somebody else's folder
            continue
        yield line, path


def partitions(
    root: Path | str, declared: Dataset, selection: Selection, window: Window | None = None
) -> Iterator[Partition]:
    """The partitions in the lake that ``window`` touches, by series, oldest first. One may lack a file yet."""
    for line, path in series(root, declared, selection):
        grain = declared.grain(line.period)
        for name in disk.folders(path):
            cell = layout.label_window(grain, name)
            if cell is not None and (window is None or cell.intersect(window)):
                yield Partition(line.dataset, line.venue, line.symbol, line.period, name.partition("=")[2])


def files(
    root: Path | str, declared: Dataset, selection: Selection, window: Window | None = None
) -> Iterator[tuple[Series, str]]:
    """The newest generation of every partition that ``window`` touches."""
    for line, path in series(root, declared, selection):
        grain = declared.grain(line.period)
        for name in disk.folders(path):
            cell = layout.label_window(grain, name)
            if cell is not None and (window is None or cell.intersect(window)):
                generation = disk.newest(f"{path}/{name}")
                if generation is not None:
                    yield line, generation.path


# -------------------------------------------------------------------------------------------- the footers


def lake_coverage(
    root: Path | str,
    dataset: Pattern = None,
    venue: Pattern = None,
    symbol: Pattern = None,
    period: Pattern = None,
    *,
    on_broken: Callable[[CorruptPartition], None] | None = None,
) -> dict[Series, list[Span]]:
    """Every series that is meant, with its spans in order. Arguments are texts, globs, or several of either.

    A file that cannot be read raises ``CorruptPartition``; with ``on_broken`` it is handed over, and the rest read on.
    """
    root = str(Path(root).absolute())
    cached = _load(root)
    seen: set[str] = set()
    fresh: dict[str, _Entry] = {}
    out: dict[Series, list[Span]] = {}
    selection = Selection(venue, symbol, period)
    cut = len(str(root)) + 1
    for declared in layout.stored_datasets(dataset):
        for line, path in files(root, declared, selection):
            seen.add(path[cut:])
            entry = _entry(cached, fresh, path, cut, on_broken)
            if entry is not None:
                out.setdefault(line, []).extend(entry.spans)
    if fresh:
        if dataset is None and selection == Selection():  # everything was seen: forget what is gone
            cached = {path: raw for path, raw in cached.items() if path in seen}
        _save(root, cached, fresh)
    return {line: coverage.across(spans) for line, spans in out.items()}


def _entry(
    cached: dict[str, msgspec.Raw],
    fresh: dict[str, _Entry],
    path: str,
    cut: int,
    on_broken: Callable[[CorruptPartition], None] | None,
) -> _Entry | None:
    """The footer of a generation, from the cache where that is still true."""
    for _ in range(100):
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            stat = None
        if stat is not None:
            raw = cached.get(path[cut:])
            if raw is not None:
                with contextlib.suppress(msgspec.MsgspecError):
                    entry = _decode_entry(raw)
                    if (entry.mtime_ns, entry.size, entry.inode) == (
                        stat.st_mtime_ns,
                        stat.st_size,
                        stat.st_ino,
                    ):
                        return entry
            try:
                with open(path, "rb") as file:
                    spans = list(footer.read(file, path).spans)
                entry = _Entry(stat.st_mtime_ns, stat.st_size, stat.st_ino, spans)
                fresh[path[cut:]] = entry
                return entry
            except FileNotFoundError:
                pass
            except CorruptPartition as error:
                if on_broken is None:
                    raise
                on_broken(error)
                return None
        newer = disk.newest(os.path.dirname(path))  # superseded and forgotten while we looked
        if newer is None:
            return None
        path = newer.path
    return None


_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_cache = msgspec.msgpack.Decoder(_Cache).decode
_encode = msgspec.msgpack.Encoder().encode


def _load(root: Path | str) -> dict[str, msgspec.Raw]:
    try:
        cache = _decode_cache(Path(root, CACHE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return cache.entries if cache.version == _VERSION else {}


def _save(root: Path | str, cached: dict[str, msgspec.Raw], fresh: dict[str, _Entry]) -> None:
    """Write aside and rename: of two writers the later wins, and what the other knew is read again."""
    entries = dict(cached)
    replaced = {os.path.dirname(path) for path in fresh}
    for path in list(entries):
        if os.path.dirname(path) in replaced:
            del entries[path]
    entries.update({path: msgspec.Raw(_encode(entry)) for path, entry in fresh.items()})
    target = Path(root, CACHE)
    aside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        target.parent.mkdir(exist_ok=True)
        aside.write_bytes(_encode(_Cache(_VERSION, entries)))
        os.replace(aside, target)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
