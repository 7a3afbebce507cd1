"""A child process that commits one row after another, and says so on its standard output after each.

``python -m tests.store.writer LAKE STEP COUNT GRACE``, then the first minute on standard input: minutes FIRST,
FIRST + STEP, … of one partition.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    from htxdata.store import Store
    from tests.store.build import JANUARY, asked, candles

    lake, step, count, grace = sys.argv[1], *map(int, sys.argv[2:5])
    store = Store(lake, grace=grace)
    first = int(sys.stdin.readline() or sys.exit())
    for minute in range(first, first + step * count, step):
        store.commit(JANUARY, candles([minute], float(minute)), [asked(minute, minute + 1)])
        os.write(1, f"{minute}\n".encode())
