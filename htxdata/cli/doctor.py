"""``htxdata doctor``: what it looked at, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import textwrap

from htxdata.cli import show
from htxdata.cli.commands import settings_of


def doctor(options: argparse.Namespace) -> int:
    """3 where a problem was found; warnings are no problem."""
    from htxdata.ingest.doctor import examine
    from htxdata.ingest.doctor_terms import worst

    checks = examine(settings_of(options), say=show.note)
    counts = {
        status: sum(check.status == status for check in checks) for status in ("ok", "warning", "problem")
    }
    if options.json:
        said = [
            {"name": check.name, "status": check.status, "says": check.says, "details": check.details}
            for check in checks
        ]
        print(
            json.dumps(
                {"worst": worst(checks), "counts": counts, "checks": said}, indent=1, ensure_ascii=False
            )
        )
    else:
        rows = []
        for check in checks:
            first, *rest = textwrap.wrap(check.says, 100, break_long_words=False, break_on_hyphens=False) or [
                ""
            ]
            rows += [(check.name, check.status, first), *(("", "", line) for line in rest)]
        print(show.table(("check", "status", "what"), rows))
        fine = f"{counts['ok']} ok, {counts['warning']} warning{'s' * (counts['warning'] != 1)}"
        print(f"{fine}, {counts['problem']} problem{'s' * (counts['problem'] != 1)}")
        if not counts["problem"] and not counts["warning"]:
            print("all is well")
    return 3 if counts["problem"] else 0
