"""What a request means where the venue cannot be asked which symbols it has: as far as its words go."""

from __future__ import annotations

from collections.abc import Sequence

from htxdata.errors import CorruptPartition
from htxdata.ingest.named import match_periods
from htxdata.ingest.plan import final_window, leftover
from htxdata.market import Series, is_glob
from htxdata.schema import dataset as dataset_named
from htxdata.store.partition import Store
from htxdata.timeline import Window
from htxdata.venues.terms import Venue


def series_by_word(dataset: str, venue: Venue, symbols: Sequence[str], periods: Sequence[str]) -> list[Series]:
    """A series for every symbol and glob as it was written. ``UsageError`` where a period is wrong."""
    chosen = match_periods(venue, dataset, periods) if dataset_named(dataset).has_period else [None]
    return [Series(dataset, venue.name, venue.fold(symbol), period) for symbol in symbols for period in chosen]


def open_windows(store: Store, series: Series, venue: Venue, window: Window, now: int) -> list[Window]:
    """What of ``window`` the lake does not answer. What a glob means now nobody knows: of it, nothing is answered."""
    window = final_window(series, venue, window, now)
    if not window:
        return []
    if is_glob(series.symbol):
        return [window]
    try:
        return leftover(window, store.coverage(series))
    except CorruptPartition:
        return [window]
