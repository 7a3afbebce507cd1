"""Requests and faults as values."""

from __future__ import annotations

import pytest

from htxdata.protocol.wire import RETRYABLE, Fault, Request


def test_a_pool_is_no_part_of_what_is_sent() -> None:
    """The same address is spelled whichever limit it counts against; without a pool it counts against the host's."""
    plain = Request("/x", (("a", "1"), ("b", "2")))
    assert str(plain) == str(Request("/x", plain.params, "market")) == "/x?a=1&b=2"
    assert (plain.pool, Request("/x", pool="market").pool) == ("", "market")
    assert str(Request("/x", pool="market")) == "/x"


@pytest.mark.parametrize(
    ("kind", "again"), [("busy", True), ("banned", True), ("clock", True), ("symbol", False), ("absent", False)]
)
def test_a_fault_says_whether_to_ask_again(kind: str, again: bool) -> None:
    """What is between us and the venue passes, what it says about the request stays."""
    assert Fault(kind, "").retryable is again  # type: ignore[arg-type]
    assert (kind in RETRYABLE) is again
