"""The commands that hand something out for people to look at: settings in, work done elsewhere, answer out."""

from __future__ import annotations

import argparse
from pathlib import Path

from htxdata import config
from htxdata.cli import show
from htxdata.cli.commands import bounds, check_names, settings_of
from htxdata.errors import UsageError
from htxdata.store.refusals import unwritten
from htxdata.store.whole import replace_text


def report(options: argparse.Namespace) -> int:
    """3 where the page is made and yet some file of the lake could not be read; the page names them too."""
    from htxdata.research.report import page
    from htxdata.research.report.standing import Chosen

    check_names(options)
    start, end = bounds(options)
    settings = settings_of(options)
    chosen = Chosen(
        options.dataset, options.venue, options.symbol or None, options.period or None, start, end
    )
    what = page.content(config.lake(settings), chosen, page.clock())
    text = page.render(what)
    if options.output == "-":
        print(text)
    else:
        _replace(options.output, text)
        print(options.output)
    broken = what["broken"]
    for why in broken:
        show.note(f"htxdata: not in the report: {why}")
    return 3 if broken else 0


def _replace(output: str, text: str) -> None:
    """The file is there whole or as it was."""
    try:
        replace_text(Path(output), text)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise unwritten(f"--output {output!r}", error, UsageError) from None
