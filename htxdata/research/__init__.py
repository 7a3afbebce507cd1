"""WHAT READERS ASK: answers that are made from the lake and never stored.

::

    periods    "7min", "utc_day", "1mon": names of periods to grids, and which divides which; pure
    runs       sorted columns cut into runs, each run added up; numpy in, numpy out
    resample   longer candles from complete shorter ones
    cutting    where bars of trades end: ticks, volume, turnover, imbalance, time
    bars       bars from trades
    incomplete which bars were left out, and why
    stored     the files that bars are made of, and what they cover
    asof       what was known, or true, when a bar closed
    relations  when the bars close that somebody hands over, and whose they are
    macros     time buckets as SQL macros
    views      views and macros as a .sql file for the DuckDB command line
    lake       the front door: the store's Lake and all of this
    feeds      input for backtesters, one file for each
    report     the page to look at

What may not live here: a socket, a schedule, a file that nobody asked for by name (`feeds` and `report` write those).
The store does not know this room.
"""
