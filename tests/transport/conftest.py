from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transport.local_venue import LocalVenue


class FakeTime:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.ns = 10**15
        self.slept: list[float] = []

    def clock(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ns += round(seconds * 1e9)


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture
def venue() -> Iterator[LocalVenue]:
    venue = LocalVenue()
    yield venue
    venue.close()
