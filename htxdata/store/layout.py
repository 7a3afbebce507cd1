"""Where a partition lies: partition to folder and back. Pure; no other file joins the names of the lake.

``<dataset>/venue=<venue>/symbol=<symbol>/[period=<period>/]cell=<label>``, as in
``klines/venue=htx-linear/symbol=BTC-USDT/period=1min/cell=2024-03``; a cell is a day (``2024-03-01``), a month
(``2024-03``) or a year (``2024``), as the dataset's grain for that period says. Every cell has the same key, because a
dataset may have several grains: over ``month=`` beside ``year=`` DuckDB reports a "Hive partition mismatch", or
silently drops venue and symbol, and Polars refuses.

Venue and symbol are percent-encoded (UTF-8), all but ASCII letters, digits, ``-`` and ``_``: nothing can leave the
lake, and DuckDB, Polars and pyarrow decode all of them back (tried with ``a/b``, ``a%2Fb``, ``a=b``, ``..``, the empty
text, CJK, quotes and line breaks). One text would be read as NULL, ``__HIVE_DEFAULT_PARTITION__``: a leading
underscore is therefore encoded too. That saves it in DuckDB; Polars and pyarrow decode first, and still read NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import unquote

from htxdata.errors import UsageError
from htxdata.market import PERIODS, Series, is_glob
from htxdata.schema import DATASETS, Dataset, dataset
from htxdata.timeline import Window, cells, label_of, window_of

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
CELL = "cell"
_LONGEST = 240  # bytes of a folder's name; file systems end at 255


@lru_cache(maxsize=4096)  # a commit asks for it eight times
def encode(text: str) -> str:
    """A text as part of a folder's name."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        raise UsageError(f"{text[:40]!r} is no text") from None
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if name.startswith("_"):
        name = "%5F" + name[1:]
    if len(name) > _LONGEST:
        raise UsageError(
            f"{text[:40]!r}… is too long for the name of a folder ({len(name)} of {_LONGEST} bytes)"
        )
    return name


def decode(name: str) -> str:
    """The inverse of :func:`encode`; ``ValueError`` for a name that it never gives."""
    text = unquote(name, errors="strict")
    if encode(text) != name:
        raise ValueError(f"{name!r} is not a name of ours")
    return text


@dataclass(frozen=True, slots=True)
class Partition:
    """The unit of commit: one time cell (``label``, as in ``2024-03``) of one series."""

    dataset: str
    venue: str
    symbol: str
    period: str | None
    label: str

    @property
    def series(self) -> Series:
        return Series(self.dataset, self.venue, self.symbol, self.period)

    @property
    def grain(self) -> str:
        return dataset(self.dataset).grain(self.period)

    @property
    def window(self) -> Window:
        return window_of(self.grain, self.label)

    @property
    def folder(self) -> str:
        """Relative to the lake, with ``/``."""
        return f"{folder_of(self.series)}/{CELL}={self.label}"

    def __str__(self) -> str:
        return f"{self.series} {self.label}"


def folder_of(series: Series) -> str:
    """The folder that holds the partitions of a series, relative to the lake."""
    declared = dataset(series.dataset)
    if declared.has_period != (series.period is not None):
        needs = "needs a period" if declared.has_period else "has no periods"
        raise UsageError(f"{series.dataset} {needs}: got {series.period!r}")
    if series.period is not None and series.period not in PERIODS:
        raise UsageError(f"{series.period!r} is not a period: choose from {', '.join(PERIODS)}")
    path = f"{series.dataset}/venue={encode(series.venue)}/symbol={encode(series.symbol)}"
    return path if series.period is None else f"{path}/period={series.period}"


_FOLDER = re.compile(r"([a-z_]+)/venue=([^/=]*)/symbol=([^/=]*)/(?:period=([^/=]*)/)?cell=([0-9-]+)")


def parse(folder: str) -> Partition:
    """The partition that lies in ``folder`` (relative, with ``/``); ``ValueError`` where none can."""
    match = _FOLDER.fullmatch(folder)
    if match is None:
        raise ValueError(f"{folder!r} is no partition's folder")
    name, venue, symbol, period, label = match.groups()
    try:
        partition = Partition(name, decode(venue), decode(symbol), period, label)
        if not dataset(name).stored or label_window(partition.grain, f"{CELL}={label}") is None:
            raise ValueError(f"{folder!r}: {label} is not how {name} is partitioned")
        folder_of(partition.series)
    except UsageError as error:
        raise ValueError(f"{folder!r}: {error}") from error
    return partition


def partitions(series: Series, window: Window) -> list[Partition]:
    """The partitions that ``window`` touches, oldest first."""
    grain = dataset(series.dataset).grain(series.period)
    return [
        Partition(series.dataset, series.venue, series.symbol, series.period, label)
        for label, _ in cells(grain, window)
    ]


def partition_of(series: Series, instant: int) -> Partition:
    """The partition that holds ``instant``."""
    grain = dataset(series.dataset).grain(series.period)
    return Partition(series.dataset, series.venue, series.symbol, series.period, label_of(grain, instant))


# ------------------------------------------------------------------------------------------------ selections

Pattern = str | list[str] | tuple[str, ...] | None
"""One text, a glob (``*``, ``?``, ``[…]``), several of either, or ``None`` for all."""


def texts(pattern: Pattern) -> list[str]:
    """What is spelled out in a pattern, texts and globs; none for ``None``."""
    return [pattern] if isinstance(pattern, str) else list(pattern or ())


def matches(pattern: Pattern, text: str) -> bool:
    """Whether ``pattern`` means ``text``. Exact spelling counts first, so a symbol that holds a ``*`` can be named."""
    if pattern is None:
        return True
    if isinstance(pattern, str):
        return pattern == text or fnmatchcase(text, pattern)
    return any(matches(each, text) for each in pattern)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which series are meant. ``verbatim`` turns globs off (SQL's ``=`` knows none)."""

    venue: Pattern = None
    symbol: Pattern = None
    period: Pattern = None
    verbatim: bool = False

    def names(self, level: str) -> list[str] | None:
        """The folder names of one level (``venue``, ``symbol``, ``period``); ``None``: the folder must be listed."""
        pattern: Pattern = getattr(self, level)
        if pattern is None:
            return None
        named = texts(pattern)
        if not self.verbatim and any(map(is_glob, named)):
            return None
        return [f"{level}={encode(text)}" for text in dict.fromkeys(named)]

    def takes(self, level: str, name: str) -> bool:
        """Whether a folder that was found at ``level`` is meant."""
        if not name.startswith(level + "="):
            return False
        try:
            text = decode(name[len(level) + 1 :])
        except (ValueError, UsageError):
            return False
        return matches(getattr(self, level), text)


def stored_datasets(pattern: Pattern = None) -> Iterator[Dataset]:
    """The datasets that have files and that ``pattern`` means; ``UsageError`` for a name that is none of them."""
    for name in texts(pattern):
        if not is_glob(name) and not dataset(name).stored:
            raise UsageError(f"{name} has no files: name a dataset that is stored")
    return (entry for entry in DATASETS if entry.stored and matches(pattern, entry.name))


def label_window(grain: str, name: str) -> Window | None:
    """The span of a folder such as ``cell=2024-03``, ``None`` where its name is none of ``grain``."""
    key, _, label = name.partition("=")
    if key != CELL:
        return None
    try:
        window = window_of(grain, label)
    except ValueError:
        return None
    return window if label_of(grain, window.start) == label else None
