"""A process of the tests that fetches keys: ``python -m tests.transport.fetcher URL SPOOL BUDGETS KEY …``.

Prints ``ready``, waits for a line, and then prints one JSON object per key.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from htxdata.transport.budget import Budget
from htxdata.transport.download import Downloads
from tests.transport.archive import BUCKET


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    url, spool, budgets, *keys = sys.argv[1:]
    with Downloads(url, Budget("archive", 1e6, Path(budgets)), BUCKET, Path(spool)) as downloads:
        downloads.clean(1e9)
        print("ready", flush=True)
        sys.stdin.readline()
        for key in keys:
            before = peak()
            got = downloads.fetch(key)
            told = {
                "path": str(got.path), "sha256": got.sha256, "size": got.size, "checked": got.checked,
                "grown": peak() - before,
            }  # fmt: skip
            print(json.dumps(told), flush=True)
            sys.stdin.readline()
            downloads.release(got)


if __name__ == "__main__":
    main()
