"""One function per command: settings in, work done elsewhere, answer out, exit code back."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from typing import Any

from htxdata import config
from htxdata.cli import show
from htxdata.errors import CorruptPartition, UsageError
from htxdata.timeline import iso, parse_instant


def settings_of(options: argparse.Namespace) -> config.Settings:
    settings = config.load(getattr(options, "config", None))
    show.speak(settings.log)
    return settings


def _requests(options: argparse.Namespace) -> list[Any]:
    from htxdata.ingest.asked import Request

    return [
        Request(
            options.dataset,
            options.venue,
            tuple(options.symbol),
            tuple(options.period),
            options.start,
            options.end,
        )
    ]


def backfill(options: argparse.Namespace) -> int:
    return _fill(settings_of(options), _requests(options))


def sync(options: argparse.Namespace) -> int:
    from htxdata.ingest.asked import keep_requests

    settings = settings_of(options)
    return _fill(settings, keep_requests(settings))


def _fill(settings: config.Settings, requests: list[Any]) -> int:
    import contextlib

    from htxdata.ingest.run import backfill as run
    from htxdata.ingest.session import Session
    from htxdata.venues import venue as venue_named

    with contextlib.ExitStack() as stack:
        session = stack.enter_context(Session(settings, say=show.note))
        bars = stack.enter_context(contextlib.ExitStack())
        steps: list[Any] = []

        def planned(plans: list[Any]) -> None:
            """Once for the archive, and once more for what it left over to REST."""
            jobs = [job for plan in plans for job in plan.jobs]
            deep = [job for job in jobs if job.source == "archive"]
            files = sum(len(job.days) for job in deep)
            more = f", {show.thousands(files)} files of the archive" if files else ""
            asks = show.thousands(sum(job.requests for job in jobs))
            show.note(f"{len(plans)} series, {len(jobs)} jobs{more}, about {asks} requests")
            bars.close()
            counted = show.progress(files, "files") if deep else show.progress(len(jobs))
            steps[:] = [bars.enter_context(counted)]

        report = run(requests, session, planned, lambda step: steps[0](step))
        stack.close()
    show.tell(report)
    for outcome in report.outcomes:
        # Only where the venue gave no list: what it lists and yet refuses is missing, and no mistake of the caller's.
        if outcome.unknown_symbol and session.listings(venue_named(outcome.series.venue)) is None:
            series = outcome.series
            raise UsageError(f"--symbol {series.symbol!r}: {series.venue} answers {outcome.unknown_symbol}")
    if report.damaged:
        raise CorruptPartition(min(report.damaged))
    if not report.complete:
        spans = f"{len(report.missing)} span{'s are' if len(report.missing) > 1 else ' is'} missing"
        show.note(f"htxdata: incomplete: {spans}, the reasons stand above; the same command asks again")
        return 3
    return 0


def plan(options: argparse.Namespace) -> int:
    from htxdata.ingest.asked import keep_requests
    from htxdata.ingest.planning import make_plans
    from htxdata.ingest.run import budget_of
    from htxdata.ingest.session import Session

    settings = settings_of(options)
    if options.dataset is None:
        given = [f"--{n}" for n in ("venue", "symbol", "period", "start", "end") if getattr(options, n)]
        if given:
            raise UsageError(f"{given[0]} needs a DATASET: `htxdata plan klines {given[0]} …`")
        requests = keep_requests(settings)
    else:
        for name in ("venue", "symbol", "start"):
            if not getattr(options, name):
                raise UsageError(f"--{name} is missing (see `htxdata plan --help`)")
        requests = _requests(options)
    with Session(settings, say=show.note) as session:
        plans = make_plans(requests, session, ask=False)
    rows = []
    seconds: dict[str, float] = {}
    for entry in plans:
        for job in entry.jobs:
            budget = budget_of(job)
            seconds[budget] = seconds.get(budget, 0) + job.requests / settings.budgets[budget]
            for window in job.windows:
                rows.append({**_series(entry.series), **_span(window, job.source, job.label)})
            for known in job.known:
                for window in known.windows:
                    rows.append(
                        {**_series(entry.series), **_span(window, f"none: {known.verdict}", job.label)}
                    )
    total = {
        "series": len(plans),
        "partitions": sum(len(p.jobs) for p in plans),
        "requests": sum(p.requests for p in plans),
        "files": sum(p.files for p in plans),
        "bytes": sum(p.size for p in plans),
        "rows": sum(p.rows for p in plans),
        "minutes": round(max(seconds.values(), default=0) / 60, 2),
    }
    if options.json:
        print(json.dumps({"spans": rows, "total": total}, indent=1, ensure_ascii=False))
        return 0
    merged = _merge_plan(plans)
    if merged:
        head = ("series", "start", "end", "source", "requests", "files", "rows")
        print(show.table(head, merged, right=(4, 5, 6)))
    archived = (
        f"{show.thousands(total['files'])} files of about {show.size(int(total['bytes']))} in all, "
        if total["files"]
        else ""
    )
    print(
        f"{total['series']} series, {show.thousands(total['partitions'])} jobs, {archived}"
        f"{show.thousands(total['requests'])} requests, {show.thousands(total['rows'])} rows at most, "
        f"{total['minutes']:g} minutes at the budget"
    )
    return 0


def _span(window: Any, source: str, partition: str) -> dict[str, str]:
    return {"start": iso(window.start), "end": iso(window.end), "source": source, "partition": partition}


def _merge_plan(plans: list[Any]) -> list[list[str]]:
    from htxdata.timeline import merge

    out = []
    for entry in plans:
        for verdict in ("empty", "unobtainable"):
            for window in merge(
                w for j in entry.jobs for k in j.known if k.verdict == verdict for w in k.windows
            ):
                span = (iso(window.start), iso(window.end))
                out.append([str(entry.series), *span, f"none: {verdict}", "0", "0", "0"])
        for source in ("archive", "rest"):
            jobs = entry.of(source)
            totals = (
                sum(j.requests for j in jobs),
                sum(len(j.days) for j in jobs),
                sum(j.rows for j in jobs),
            )
            for at, window in enumerate(merge(w for job in jobs for w in job.windows)):
                counts = [show.thousands(total) for total in totals] if at == 0 else ["", "", ""]
                out.append([str(entry.series), iso(window.start), iso(window.end), source, *counts])
    return out


def _series(series: Any) -> dict[str, Any]:
    return {
        "dataset": series.dataset,
        "venue": series.venue,
        "symbol": series.symbol,
        "period": series.period,
    }


def snapshot(options: argparse.Namespace) -> int:
    from htxdata.errors import Incomplete, VenueError
    from htxdata.ingest.session import Session
    from htxdata.ingest.snapshot import having, venues_of
    from htxdata.ingest.snapshot import snapshot as look_at

    settings = settings_of(options)
    venues = venues_of(options.dataset, options.venue, settings.hosts)
    failed = 0
    with Session(settings, say=show.note) as session:
        asked = options.symbol or ("*",)
        # Where no venue is named, each symbol is looked for wherever it is.
        chosen = [(venue, asked) for venue in venues]
        if not options.venue:
            chosen = having(session, options.dataset, venues, asked)
        for venue, symbols in chosen:
            try:
                found = look_at(session, options.dataset, venue, symbols)
                show.note(str(found))
                for why in found.missing:
                    show.note(f"missing: {why}")
                failed += bool(found.missing)
            except (Incomplete, VenueError) as error:  # the other venues are looked at all the same
                failed += 1
                show.note(f"htxdata: {options.dataset} of {venue.name}: {error}")
    return 3 if failed else 0


def coverage(options: argparse.Namespace) -> int:
    from htxdata.store.coverage import with_missing
    from htxdata.store.ledger import lake_coverage

    settings = settings_of(options)
    check_names(options)
    if options.fresh or options.metrics:
        from htxdata.cli.standing import standing

        return standing(options, settings)
    broken: list[CorruptPartition] = []
    found = lake_coverage(
        config.lake(settings), dataset=options.dataset, venue=options.venue, symbol=options.symbol or None,
        period=options.period or None, on_broken=broken.append,
    )  # fmt: skip
    entries = []
    for series, spans in sorted(found.items(), key=lambda item: str(item[0])):
        spans = with_missing(spans)
        if not spans:
            continue
        entries.append(
            {
                **_series(series),
                "from": iso(spans[0].start),
                "to": iso(spans[-1].end),
                "rows": sum(span.rows for span in spans),
                "spans": [
                    {
                        "start": iso(s.start),
                        "end": iso(s.end),
                        "verdict": s.verdict,
                        "source": s.source,
                        "rows": s.rows,
                    }
                    for s in spans
                ],
            }
        )
    if options.json:
        print(json.dumps(entries, indent=1, ensure_ascii=False))
    elif entries:
        print(coverage_table(entries))
    elif not broken:
        show.note(f"nothing of that kind is in the lake {settings.lake!r}")
    if broken:  # what it covers is in the file itself: only that one is left out
        for error in broken[1:]:
            show.note(f"htxdata: {error}")
        raise broken[0]
    return 0


def check_names(options: argparse.Namespace) -> None:
    """Words that can only be ours are checked; a symbol can be anything, and may simply not be in the lake."""
    from htxdata.market import check_period, is_glob
    from htxdata.schema import dataset as dataset_named

    if (
        options.dataset is not None
        and not is_glob(options.dataset)
        and not dataset_named(options.dataset).stored
    ):
        raise UsageError(f"{options.dataset!r} is what this command prints: name a dataset that is stored")
    if options.venue and not is_glob(options.venue):
        from htxdata.venues import venue as venue_named  # parsers and all: only where it is needed

        venue_named(options.venue)
    for period in options.period:
        if not is_glob(period):
            check_period(period)


def bounds(options: argparse.Namespace) -> tuple[int | None, int | None]:
    """``--start`` and ``--end`` of what is stored, open where one is left out; ``UsageError`` where nothing can lie
    between them."""
    found: list[int | None] = []
    for name in ("start", "end"):
        text = getattr(options, name)
        try:
            found.append(None if text is None else parse_instant(text))
        except UsageError as error:
            raise UsageError(f"--{name}: {error}") from None
    start, end = found
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--end {options.end!r} is not after --start {options.start!r}: the range is empty")
    if start is not None and start >= (now := time.time_ns() // 1000):
        raise UsageError(f"--start {options.start!r} lies in the future; it is {iso(now // 1_000_000 * 1_000_000)}")
    return start, end


_MOST_HOLES = 8


def coverage_table(entries: list[dict[str, Any]]) -> str:
    """Series, their extent, and every span that is not simply present."""
    rows: list[list[str]] = []
    for entry in entries:
        holes = [span for span in entry["spans"] if span["verdict"] != "present"]
        name = " ".join(str(entry[k]) for k in ("dataset", "venue", "symbol", "period") if entry[k])
        verdict = "present" if not holes else f"present, {len(holes)} hole{'s' * (len(holes) > 1)}"
        if not any(span["verdict"] == "present" for span in entry["spans"]):
            verdict = "nothing present"
        rows.append([name, entry["from"], entry["to"], show.thousands(entry["rows"]), verdict])
        for span in holes[:_MOST_HOLES]:
            rows.append([f"  {span['verdict']}", span["start"], span["end"], "", span["source"]])
        if len(holes) > _MOST_HOLES:
            rows.append([f"  … {len(holes) - _MOST_HOLES} more, see --json", "", "", "", ""])
    return show.table(("series", "from", "to", "rows", "verdict"), rows, right=(3,))


def query(options: argparse.Namespace) -> int:
    from htxdata.cli.answers import opened, write
    from htxdata.research.lake import Lake

    if (options.sql is None) != options.print_views:
        raise UsageError("query takes one SQL statement, or --print-views" if options.sql is None else
                         "--print-views prints the views: leave the SQL out")  # fmt: skip
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise UsageError("--format parquet needs --output F (or a pipe)")
    with Lake(config.lake(settings_of(options))) as lake:
        if options.print_views:
            with opened(options.output) as target:
                target.write(lake.views_sql().encode())
            return 0
        table = lake.answer(options.sql)
        write(table, options.format, options.output)
    return 0


def sandbox(options: argparse.Namespace) -> int:
    """130 after Ctrl-C, 0 after SIGTERM, as whatever serves until it is told."""
    from htxdata.sandbox import SANDBOX_KEY, Faults, Replay, serve

    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: choose from 0 (a free one) to 65535")

    def ready(running: Any) -> None:
        print("[hosts]")
        for key, base in running.hosts.items():
            print(f'{key} = "{base}"')
        sys.stdout.flush()
        show.note("the sandbox is up; put this into htxdata.toml, or stop it with Ctrl-C")
        show.note(f"own_… data take the key {SANDBOX_KEY.access} and the secret {SANDBOX_KEY.secret}: docs/keys.md")

    try:
        faults = None if options.faults is None else Faults.parse(options.faults)
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(f"--faults {options.faults!r}: {error}") from None
    try:
        replay = None if options.replay is None else Replay.load(options.replay)
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"--replay {options.replay!r}: {error}") from None
    try:
        told = serve(port=options.port, seed=options.seed, faults=faults, replay=replay, on_ready=ready)
    except OSError as error:
        raise UsageError(f"--port {options.port} cannot be used: {error.strerror or error}") from None
    return 130 if told == signal.SIGINT else 0
