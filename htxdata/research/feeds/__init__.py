"""FEEDING BACKTESTERS: one file per engine, and what they share.

::

    engines    their names and spellings; an export from a lake into a folder
    source     what is read of the lake, and every hole that was met on the way
    events     trades and books, a day at a time
    spelling   periods and numbers as engines write them; pure
    files      whole files or none, the same bytes for the same rows
    …          backtesting_py, vectorbt, backtrader, nautilus_trader, freqtrade, hftbacktest, zipline_reloaded, qlib and
               lean: ``frame`` and its like convert and are pure, ``export`` reads and writes

Every engine gets what it means by a bar's label, a time zone, a unit and a funding; what that is stands in its file and
in docs/backtesters.md, and tests/research/feeds/engines.py loads each export with the engine itself. Bars are never
invented: a slot without one stays without, or holds the engine's own mark of no data where that wants a regular grid.
"""
