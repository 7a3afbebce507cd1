"""ONE PAGE THAT SHOWS WHAT IS THERE: a lake as a single HTML file that asks no network.

::

    calendar   spans of a series to cells of a calendar, and to what a browser can look up in them
    standing   how old each series is; gaps of captures, revisions and findings, counted and the first of them
    charts     candles and fundings of a bounded number, packed
    page       all of it as one text
    page.html, page.css, *.js   the page itself; the data is a block of JSON in it

The page is a pure function of the lake and of ``now``. Its size is bounded whatever the lake's (``page.py``). Nothing
of the lake ever becomes markup: it is JSON with its ``<`` escaped, and the script makes text nodes of it.
What may not live here: a file that is written, a socket.
"""

from htxdata.research.report.page import report

__all__ = ["report"]
