"""A process of the tests: asks a venue as fast as its budget lets it until its input ends, or sits on the lock.

``python -m tests.transport.hungry NAME URL RATE FOLDER`` or ``... --hold FOLDER``, or
``... --pools NAME URL RATE REFERENCE_RATE FOLDER MARKET``: two threads ask for reference data and MARKET threads for
market data.
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


def pools() -> None:
    name, url, rate, reference, folder, market = sys.argv[2:]
    budget = Budget("venue", float(rate), Path(folder))
    inner = Budget("inner", float(reference), Path(folder))
    stop = threading.Event()

    def ask(pool: str) -> None:
        while not stop.is_set():
            try:
                client.get(Request(f"/{pool}/{name}", pool=pool))
            except Unreachable:
                return

    with Client(url, budget, lambda reply: None, stop=stop, pools={"reference": inner}) as client:
        asking = [
            threading.Thread(target=ask, args=(pool,))
            for pool in ["reference"] * 2 + ["market"] * int(market)
        ]
        print("ready", flush=True)
        sys.stdin.readline()
        for thread in asking:
            thread.start()
        sys.stdin.read()
        stop.set()
        for thread in asking:
            thread.join()


def hold() -> None:
    budget = Budget("venue", 1e6, Path(sys.argv[2]))
    budget.acquire()
    budget._file.lock()
    print("ready", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    {"--hold": hold, "--pools": pools}.get(sys.argv[1], main)()
