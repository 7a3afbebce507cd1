"""How much one connection is told: a hundred contracts with their trades and their fastest books."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import pytest

from tests.sandbox.socket_client import Talk

SYMBOLS, SECONDS = 100, 6.0


def serve(pipe: Connection) -> None:
    """In a process of its own, so that the client does not slow it down: its CPU seconds are told at the end."""
    from htxdata.sandbox import Sandbox

    with Sandbox(crowd=SYMBOLS, limits=False) as sandbox:
        pipe.send(sandbox.hosts["htx_swap_ws"])
        pipe.recv()
        before = time.process_time()
        pipe.recv()
        pipe.send(time.process_time() - before)


@pytest.mark.benchmark
def test_a_hundred_contracts_on_one_connection() -> None:
    """Twenty books a second of each are sent as they are due, on less than a core."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        lags: list[float] = []
        with Talk(ours.recv() + "/linear-swap-ws") as talk:
            for number in range(SYMBOLS):
                for what in ("trade.detail", "depth.size_150.high_freq"):
                    topic = f"market.C{number:03}-USDT.{what}"
                    talk.say({"sub": topic, "id": topic, "data_type": "incremental"})
            talk.until(lambda said: said.get("id") == topic, 20.0)
            ours.send("now")
            count, end = 0, time.monotonic() + SECONDS
            while time.monotonic() < end:
                frame = talk.frame()
                count += 1
                if count % 50 == 0:
                    said = json.loads(gzip.decompress(frame))
                    if "ping" in said:
                        talk.say({"pong": said["ping"]})
                    elif "high_freq" in said.get("ch", ""):
                        lags.append(time.time() - said["ts"] / 1000)
            ours.send("over")
            busy = ours.recv() / SECONDS
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()
    lags.sort()
    p50, p99 = statistics.median(lags) * 1000, lags[int(len(lags) * 0.99)] * 1000
    print(f"\n{count / SECONDS:,.0f} frames/s, {busy:.0%} of a core, lag p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    assert count / SECONDS > 18 * SYMBOLS
    assert busy < 0.7
    assert p50 < 100
