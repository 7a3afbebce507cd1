"""What a whole lake covers, read from its footers; and the cache of them, which may be deleted at any time.

There is no second truth: ``<lake>/.htxdata/coverage.cache`` repeats footers, each with the path, mtime, size and inode
of the generation that it was read from. One walk with ``scandir`` and ``stat`` validates it; a footer that changed is
read again (36 us each). A lake that cannot be written has no cache and is read every time. Of a lake in a bucket the
cache is on this machine (``place.beside``), and one listing validates it: there, the path tells the content.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from htxdata.errors import CorruptPartition, UsageError
from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.store import coverage, footer, layout, whole
from htxdata.store.footer import Span
from htxdata.store.layout import Partition, Pattern, Selection
from htxdata.store.place import Look, Root, Verbs, beside, root_of, verbs
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


def look_at(root: Root, declared: Sequence[Dataset], selection: Selection) -> Look:
    """A look that serves for several datasets: one listing, where the whole lake is meant."""
    look = verbs(root).look()
    if len(declared) > 1 and selection == Selection():
        look.gather(str(root))
    return look


def series(
    root: Root, declared: Dataset, selection: Selection, look: Look | None = None
) -> Iterator[tuple[Series, str]]:
    """The series of a dataset and their absolute folders, sorted. Lists only the levels that are not spelled out."""
    look = look or verbs(root).look()
    if selection.period is not None and not declared.has_period:
        return
    top = f"{root}/{declared.name}"
    found = [top]
    wanted = [(level, selection.names(level)) for level in declared.path_columns]
    for at, (level, names) in enumerate(wanted):
        if names is not None:
            found = [f"{path}/{name}" for path in found for name in names]
        else:
            if all(deeper is None for _, deeper in wanted[at:]):
                for path in found:
                    look.gather(path)
            found = [
                f"{path}/{name}"
                for path in found
                for name in look.folders(path)
                if selection.takes(level, name)
            ]
    for path in found:
        look.gather(path)
        if not look.is_folder(path):
            continue
        values = [layout.decode(part.partition("=")[2]) for part in path[len(top) + 1 :].split("/")]
        try:
            line = Series(declared.name, values[0], values[1], values[2] if declared.has_period else None)
            layout.folder_of(line)
        except UsageError:  # a period that is none of ours: somebody else's folder
            continue
        yield line, path


def partitions(
    root: Root, declared: Dataset, selection: Selection, window: Window | None = None, look: Look | None = None
) -> Iterator[Partition]:
    """The partitions in the lake that ``window`` touches, by series, oldest first. One may lack a file yet."""
    look = look or verbs(root).look()
    for line, path in series(root, declared, selection, look):
        grain = declared.grain(line.period)
        for name in look.folders(path):
            cell = layout.label_window(grain, name)
            if cell is not None and (window is None or cell.intersect(window)):
                yield Partition(line.dataset, line.venue, line.symbol, line.period, name.partition("=")[2])


def files(
    root: Root, declared: Dataset, selection: Selection, window: Window | None = None, look: Look | None = None
) -> Iterator[tuple[Series, str]]:
    """The newest generation of every partition that ``window`` touches."""
    look = look or verbs(root).look()
    for line, path in series(root, declared, selection, look):
        grain = declared.grain(line.period)
        for name in look.folders(path):
            cell = layout.label_window(grain, name)
            if cell is not None and (window is None or cell.intersect(window)):
                generation = look.newest(f"{path}/{name}")
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
    root = root_of(root)
    cached = _load(root)
    seen: set[str] = set()
    cut = len(str(root)) + 1
    fresh: dict[str, _Entry] = {}
    out: dict[Series, list[Span]] = {}
    selection = Selection(venue, symbol, period)
    meant = list(layout.stored_datasets(dataset))
    look = look_at(root, meant, selection)
    for declared in meant:
        found = list(files(root, declared, selection, look=look))
        seen.update(path[cut:] for _, path in found)
        entries = _entries(root, cached, fresh, [path for _, path in found], on_broken)
        for (line, _), entry in zip(found, entries, strict=True):
            if entry is not None:
                out.setdefault(line, []).extend(entry.spans)
    if fresh:
        if dataset is None and selection == Selection():  # everything was seen: forget what is gone
            cached = {path: raw for path, raw in cached.items() if path in seen}
        _save(root, cached, fresh)
    return {line: coverage.across(spans) for line, spans in out.items()}


def _entries(
    root: Root,
    cached: dict[str, msgspec.Raw],
    fresh: dict[str, _Entry],
    paths: list[str],
    on_broken: Callable[[CorruptPartition], None] | None,
) -> list[_Entry | None]:
    """The footers of generations, from the cache where that is still true."""
    disk, cut = verbs(root), len(str(root)) + 1
    out = [_cached(disk, cached.get(path[cut:]), path) for path in paths]
    lacking = [at for at, entry in enumerate(out) if entry is None]
    read = disk.each(partial(_read, disk, fresh, cut, on_broken), (paths[at] for at in lacking))
    for at, entry in zip(lacking, read, strict=True):
        out[at] = entry
    return out


def _cached(disk: Verbs, raw: msgspec.Raw | None, path: str) -> _Entry | None:
    if raw is None:
        return None
    stamp = disk.stamp(path)
    with contextlib.suppress(msgspec.MsgspecError):
        entry = _decode_entry(raw)
        if (entry.inode, entry.size, entry.mtime_ns) == stamp:
            return entry
    return None


def _read(
    disk: Verbs,
    fresh: dict[str, _Entry],
    cut: int,
    on_broken: Callable[[CorruptPartition], None] | None,
    path: str,
) -> _Entry | None:
    """The footer of a generation, or of the one that took its place."""
    for _ in range(100):
        stamp = disk.stamp(path)
        if stamp is not None:
            try:
                with disk.open_path(path, tail=True) as file:
                    spans = list(footer.read(file, path).spans)
                inode, size, mtime_ns = stamp
                entry = _Entry(mtime_ns, size, inode, spans)
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


def _load(root: Root) -> dict[str, msgspec.Raw]:
    try:
        cache = _decode_cache((beside(root) / os.path.basename(CACHE)).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return cache.entries if cache.version == _VERSION else {}


def _save(root: Root, cached: dict[str, msgspec.Raw], fresh: dict[str, _Entry]) -> None:
    """Write aside and rename: of two writers the later wins, and what the other knew is read again."""
    entries = dict(cached)
    replaced = {os.path.dirname(path) for path in fresh}
    for path in list(entries):
        if os.path.dirname(path) in replaced:
            del entries[path]
    entries.update({path: msgspec.Raw(_encode(entry)) for path, entry in fresh.items()})
    target = beside(root) / os.path.basename(CACHE)
    with contextlib.suppress(OSError):
        target.parent.mkdir(exist_ok=True, parents=isinstance(root, str))
        whole.replace(target, _encode(_Cache(_VERSION, entries)), durable=False)
