"""One small lake for all tests of this folder; they read it only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.research.feeds import small_lake


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_lake.make(tmp_path_factory.mktemp("feeds"))
