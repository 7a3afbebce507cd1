"""What it takes to complete requests: what the lake has of each series and what the venues tell, put to ``plan.py``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from htxdata.errors import CorruptPartition, Unreachable
from htxdata.ingest.asked import Request, known_instruments, meant, said_where, window_from
from htxdata.ingest.heal import heal_lake, heal_tape
from htxdata.ingest.named import resolve
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import (
    RECHECK_DAYS,
    RECHECK_EVERY,
    SeriesPlan,
    day_at,
    day_window,
    final_window,
    held_by,
    plan_series,
    soonest,
    to_ask,
)
from htxdata.ingest.session import Session
from htxdata.ingest.unlisted import open_windows, series_by_word
from htxdata.market import Listing, Series
from htxdata.schema import dataset as dataset_named
from htxdata.store.footer import Footer, Span
from htxdata.store.layout import partitions
from htxdata.timeline import DAY, Window
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Venue

Rung = Literal["archive", "rest", "spare"]
"""Where a plan begins on the ladder: with the archive, with what the archive left to REST, or with what REST left."""


def make_plans(
    requests: Iterable[Request], session: Session, *, ask: bool = True, now: int | None = None, rung: Rung = "archive",
    done: Sequence[Outcome] = (),
) -> list[SeriesPlan]:  # fmt: skip
    """What completing ``requests`` takes, series by series. First finishes what a run that died left of them.

    ``ask=False`` sends nothing and touches nothing; the lake must then know the symbols that a glob means. ``rung`` is
    where to begin, ``done`` what came of the rungs before.
    """
    moment = time.time_ns() // 1000 if now is None else now
    checked = []
    heal = ask and rung == "archive"  # the first of a run
    if heal:
        heal_tape(session.tape)
    for request in requests:  # wrong options of any request before the first question
        with said_where(request):
            window = window_from(request, moment)
            resolve(request.dataset, request.venue, (), request.periods, None)
            if ask and dataset_named(request.dataset).own:
                session.keys(venue_named(request.venue), f"{request.dataset} of {request.venue}")
            checked.append((request, window))
    wanted: dict[tuple[Series, Window], _Wanted] = {}
    for request, window in checked:
        venue = venue_named(request.venue)
        try:
            known = known_instruments(session, request, moment, ask)
        except Unreachable as error:  # the other venues are asked all the same
            if session.stop.is_set():
                raise
            for series in series_by_word(request.dataset, venue, request.symbols, request.periods):
                for part in open_windows(session.store, series, venue, window, moment):
                    session.unlisted[series, part] = str(error)
            continue
        with said_where(request):
            found = meant(request, venue, known, window, moment, session.say if heal else lambda text: None)
        for series, part in found:
            try:
                if heal:
                    heal_lake(session.store, [series])
                spans = _stored_spans(session, series)
            except CorruptPartition as error:
                if not ask:
                    raise
                session.damaged[series] = (part, error)  # the others are filled all the same
                continue
            gone = known.gone(venue, series.symbol, moment)
            wanted[series, part] = _Wanted(series, venue, part, spans, known.every.get(series.symbol), gone)
    entries = list(wanted.values())
    births = _births(session, [entry for entry in entries if entry.begins_unknown(moment)]) if ask else {}
    withheld: dict[Series, list[Window]] = {}
    for outcome in done:
        withheld.setdefault(outcome.series, []).extend(missing.window for missing in outcome.withheld)
    plans = []
    for entry in entries:
        series, venue = entry.series, entry.venue
        born = births.get((venue.name, series.symbol)) if entry.begins_unknown(moment) else None
        archive = rung != "rest" and session.has_archive(venue)
        first = archive and rung == "archive"
        plans.append(
            plan_series(
                series, venue, entry.window, entry.spans, moment, entry.listing, born, archive=archive,
                spare=rung == "spare", stale=stale_days(session, series, venue, entry.window, moment) if first else (),
                withheld=withheld.get(series, ()), gone=entry.gone,
            )
        )  # fmt: skip
    return plans


def stale_days(session: Session, series: Series, venue: Venue, window: Window, now: int) -> list[str]:
    """The recent days of ``window`` whose files are to be looked at: those that may have been replaced since they were
    last compared with the listing, and those that REST filled before there was a file to compare with."""
    archives = [a for a in venue.archives_for(series.dataset, series.period) if not a.spare]
    if not archives or not dataset_named(series.dataset).rereads:
        return []
    recent = Window(max(window.start, now - RECHECK_DAYS * DAY), window.end)
    checked: dict[str, int] = {}
    by_rest: set[str] = set()
    for partition in partitions(series, recent) if recent else ():
        footer = session.store.footer(partition) or Footer()
        for file in footer.files:
            for archive in archives:
                day = archive.day_of(series, file.key)
                if day is not None and day_window(day, venue).intersect(recent):
                    checked[day] = max(file.checked_at, checked.get(day, 0))
        for span in footer.spans:
            if (span.source, span.verdict) == ("rest", "present"):
                part = Window(span.start, min(span.end, now - soonest(venue))).intersect(recent)
                by_rest |= {
                    day_at(at, venue) for at in (*range(part.start, part.end, DAY), part.end - 1) if part
                }
    published = {
        day
        for day in by_rest
        if held_by(archives, day) and day_window(day, venue).end + soonest(venue) <= now
    }
    return sorted(day for day in {*checked, *published} if checked.get(day, 0) <= now - RECHECK_EVERY)


@dataclass(frozen=True)
class _Wanted:
    series: Series
    venue: Venue
    window: Window
    spans: list[Span]
    listing: Listing | None
    gone: str = ""

    def begins_unknown(self, now: int) -> bool:
        """Whether rows earlier than any that is stored are asked for, by windows that may all be empty, or must be told
        from what is gone."""
        endpoints = self.venue.endpoints_for(self.series.dataset, self.series.period, self.series.symbol)
        paged = ("time", "edge") if self.series.dataset == "klines" else ("time",)
        if not (
            (endpoints and endpoints[0].walk in paged)
            or self.venue.archives_for(self.series.dataset, self.series.period)
            or self.venue.forgets(self.series.dataset, self.series.period, self.series.symbol)
        ):
            return False
        first = min((span.start for span in self.spans if span.verdict == "present"), default=None)
        gaps = to_ask(self.series, final_window(self.series, self.venue, self.window, now), self.spans)
        return bool(gaps) and (first is None or gaps[0].start < first)


def _births(session: Session, entries: Sequence[_Wanted]) -> dict[tuple[str, str], int | None]:
    """When these symbols begin; many are asked for side by side, or a slow line would leave the budget unused."""
    chosen = {(entry.venue.name, entry.series.symbol): entry for entry in entries}
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="htxdata") as pool:
        try:
            found = list(pool.map(lambda entry: session.born(entry.venue, entry.series), chosen.values()))
        except BaseException:
            session.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return dict(zip(chosen, found, strict=True))


def _stored_spans(session: Session, series: Series) -> list[Span]:
    """The spans of a series partition by partition: joined ones would not tell which are still unconfirmed."""
    store = session.store
    return [span for partition in store.partitions(series) for span in store.spans(partition)]
