"""Starting, stopping and measuring the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import requests

from htxdata.sandbox import Sandbox, serve
from tests.sandbox.conftest import NOON, Client

LINEAR = "/linear-swap-ex/market/history/kline"

_SCRIPT = """
from htxdata.sandbox import serve
told = serve(0, 3, "flaky", None, lambda sandbox: print(sandbox.url, sandbox.market.seed, flush=True))
print("over", told, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_on_a_signal_without_a_trace(number: int) -> None:
    """And says which it was."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as child:
        assert child.stdout is not None
        url, seed = child.stdout.readline().split()
        assert seed == "3"
        assert requests.get(url + "/htx-swap/api/v1/timestamp", timeout=30).status_code in range(200, 505)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (0, f"over {int(number)}\n", "")


def test_serve_says_when_the_port_is_taken() -> None:
    with Sandbox() as sandbox, pytest.raises(OSError):
        serve(sandbox.port, 0, None, None, None)


def test_nothing_is_left_behind() -> None:
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        port = sandbox.port
        assert requests.get(sandbox.url + "/htx-swap/api/v1/timestamp", timeout=30).ok
    assert set(threading.enumerate()) == before
    with Sandbox(port=port) as again:  # the port is free at once
        assert requests.get(again.url + "/htx-swap/api/v1/timestamp", timeout=30).ok


def test_hosts_are_those_of_the_configuration() -> None:
    with Sandbox() as sandbox:
        assert sandbox.hosts["htx_spot_rest"] == f"http://127.0.0.1:{sandbox.port}/htx-spot"
        assert set(sandbox.hosts) == {
            "htx_spot_rest",
            "htx_swap_rest",
            "htx_spot_ws",
            "htx_swap_ws",
            "htx_archive",
            "hashkey_rest",
            "hashkey_ws",
            "permanent_rest",
            "permanent_ws",
        }


def test_a_log_can_be_left_out() -> None:
    with Sandbox(log_requests=False) as sandbox:
        assert requests.get(sandbox.url + "/htx-swap/api/v1/timestamp", timeout=30).ok
        assert sandbox.requests == []


@pytest.mark.benchmark
def test_how_fast_pages_are() -> None:
    """2000 one-minute rows fresh and kept, and a first page of 2000 days."""
    with Sandbox(limits=False, clock=lambda: NOON) as sandbox:
        client = Client(sandbox)

        def seconds(host: str, path: str, **query: object) -> float:
            began = time.perf_counter()
            client.get(host, path, **query)
            return time.perf_counter() - began

        starts = [NOON // 60 * 60 - 120_000 * place for place in range(2, 42)]
        asks = [
            {"contract_code": "BTC-USDT", "period": "1min", "from_": at, "to": at + 119_940} for at in starts
        ]
        fresh = [seconds("htx_swap_rest", LINEAR, **ask) for ask in asks]
        kept = [seconds("htx_swap_rest", LINEAR, **ask) for ask in asks]
        days = [
            seconds("htx_spot_rest", "/market/history/kline", symbol="btcusdt", period="1day", size=2000)
            for _ in "ab"
        ]
        client.close()
    made, again = sorted(fresh)[len(fresh) // 2], sorted(kept)[len(kept) // 2]
    print(
        f"fresh page {made * 1e3:.1f} ms, kept {again * 1e3:.1f} ms, 2000 days {days[0]:.2f} s, then {days[1]:.4f} s"
    )
    assert made < 0.03
    assert days[0] < 6
