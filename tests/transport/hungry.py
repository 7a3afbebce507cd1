"""A process of the tests: asks a venue as fast as its budget lets it until its input ends, or sits on the lock.

``python -m tests.transport.hungry NAME URL RATE FOLDER`` or ``... --hold FOLDER``.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from htxdata.errors import Unreachable
from htxdata.protocol.wire import Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client


def main() -> None:
    name, url, rate, folder = sys.argv[1:]
    budget = Budget("venue", float(rate), Path(folder))
    stop = threading.Event()
    with Client(url, budget, lambda reply: None, stop=stop) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
        try:
            while not stop.is_set():
                client.get(Request(f"/{name}"))
        except Unreachable:
            return


def hold() -> None:
    budget = Budget("venue", 1e6, Path(sys.argv[2]))
    budget.acquire()
    budget._file.lock()
    print("ready", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    hold() if sys.argv[1] == "--hold" else main()
