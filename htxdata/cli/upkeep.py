"""The commands that look after a lake: settings in, work done elsewhere, answer out, exit code back."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from htxdata import config
from htxdata.cli import show
from htxdata.cli.commands import bounds, check_names, settings_of
from htxdata.timeline import iso

if TYPE_CHECKING:
    from htxdata.ingest.audit import Finding, Report

MOST_FINDINGS = 40
"""On the screen; the view has them all."""


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "dataset": options.dataset,
        "venue": options.venue,
        "symbol": options.symbol or None,
        "period": options.period or None,
    }


def audit(options: argparse.Namespace) -> int:
    from htxdata.ingest.audit import audit as run
    from htxdata.store.partition import Store

    check_names(options)
    settings = settings_of(options)
    store = Store(config.lake(settings))
    start, end = bounds(options)
    with show.counting("partitions") as step:
        report = run(
            store, **_chosen(options), start=start, end=end,
            on_step=lambda name, done, of: step(name, done + 1, of),
        )  # fmt: skip
    if not report.series:
        show.note(f"nothing of that kind is in the lake {settings.lake!r}")
    if options.json:
        print(json.dumps(_audit_json(report), indent=1, ensure_ascii=False))
    else:
        if report.findings:
            print(_findings_table(report.findings))
        print(_audit_sentence(report))
    for series, count in sorted(report.unfit.items()):
        values = f"{show.thousands(count)} value{'s' * (count != 1)}"
        show.note(f"{series}: {values} of more digits than a DOUBLE carries, stored as the nearest one")
    return 3 if report.findings else 0


def _findings_table(findings: list[Finding]) -> str:
    head = ("at", "series", "check", "column", "ours", "theirs", "what")
    lines = [
        (iso(f.at), f.series, f.check, f.column, _digits(f.ours), _digits(f.theirs), f.detail)
        for f in findings[:MOST_FINDINGS]
    ]
    text = show.table(head, lines, right=(4, 5))
    if len(findings) > len(lines):
        more = show.thousands(len(findings) - len(lines))
        text += f"\n… {more} more; all of them: htxdata query 'select * from audit_findings'"
    return text


def _digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.15g}"


def _audit_sentence(report: Report) -> str:
    def counted(number: int, what: str) -> str:
        return f"{show.thousands(number)} {what}"

    beside = " and ".join(
        counted(number, "candles laid beside " + name.rpartition("_")[2])
        for name, number in sorted(report.compared.items())
        if number
    )
    count = len(report.findings)
    found = f"{show.thousands(count) if count else 'no'} finding{'s' * (count != 1)}"
    return (
        f"{found} in {counted(report.series, 'series')}, "
        f"{counted(report.partitions, 'partitions')}, {counted(report.rows, 'rows')}"
        f"{'; ' + beside if beside else ''}; {show.duration(report.seconds)}"
    )


def _audit_json(report: Report) -> dict[str, Any]:
    return {
        "findings": [
            {
                "check": f.check, **_series(f.series), "at": iso(f.at), "column": f.column, "ours": f.ours,
                "theirs": f.theirs, "detail": f.detail,
            }
            for f in report.findings
        ],
        "total": {
            "findings": len(report.findings), "series": report.series, "partitions": report.partitions,
            "rows": report.rows, "compared": dict(sorted(report.compared.items())),
        },
        "unfit": [{**_series(series), "values": count} for series, count in sorted(report.unfit.items())],
    }  # fmt: skip


def _series(series: Any) -> dict[str, Any]:
    names = ("dataset", "venue", "symbol", "period")
    return {name: getattr(series, name) for name in names}


def compact(options: argparse.Namespace) -> int:
    from htxdata.ingest.revisions import keeper
    from htxdata.store.compact import compact_lake
    from htxdata.store.partition import Store

    check_names(options)
    settings = settings_of(options)
    store = Store(config.lake(settings))
    with show.counting("partitions") as step:
        report = compact_lake(
            store, **_chosen(options), keeper=keeper, on_step=lambda name, done, of: step(name, done + 1, of)
        )
    if not report.partitions:
        show.note(f"nothing of that kind is in the lake {settings.lake!r}")
    for series, label, why in report.left:
        show.note(f"left as it is: {series} {label}: {why}")
    if options.json:
        done = {
            "partitions": report.partitions, "rows": report.rows, "rewritten": report.rewritten,
            "absorbed": report.absorbed, "removed": report.removed, "bytes_before": report.before,
            "bytes_after": report.after,
            "left": [{**_series(series), "cell": label, "why": why} for series, label, why in report.left],
        }  # fmt: skip
        print(json.dumps(done, indent=1, ensure_ascii=False))
    else:
        shrunk = f" ({show.size(report.before)} to {show.size(report.after)})"
        parts = [
            (report.rewritten, "rewritten and proved equal", shrunk),
            (report.absorbed, "foreign files merged in", ""),
            (report.removed, "leftovers removed", ""),
            (len(report.left), "left as they are", ""),
        ]
        said = ", ".join(f"{show.thousands(count)} {what}{more}" for count, what, more in parts if count)
        print(
            f"{said or 'nothing to do'} in {show.thousands(report.partitions)} partitions, "
            f"{show.thousands(report.rows)} rows; {show.duration(report.seconds)}"
        )
    return 3 if report.left else 0
