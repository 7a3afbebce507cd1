"""Everything at once, on a bad day (`everything.py`): the lake is the market, and every reader saw only what was so."""

from __future__ import annotations

from pathlib import Path

import pytest

from htxdata.sandbox.faults import ANSWER_KINDS, FRAME_KINDS
from tests.chaos.everything import survive


@pytest.mark.timeout(240)
def test_a_short_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The short form of `make chaos`: ten seconds."""
    survived = survive(tmp_path, 10.0)
    with capsys.disabled():
        print(f"\n{survived}")
    # Guards, not laws (those are in `survive`): a kill is tried every 0.2 to 1.6 s, but only lives that are old enough
    # die, and on a busy machine few have done anything by then.
    assert survived.kills.total() >= 4
    assert survived.reads > 3
    assert survived.commits > 5
    assert survived.faults


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_quarter_of_an_hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fifteen minutes: every role was killed many times, and every kind of fault that needs no luck happened."""
    survived = survive(tmp_path, 900.0, seed=2)
    with capsys.disabled():
        print(f"\n{survived}")
    assert min(survived.kills.values()) >= 20
    assert {*ANSWER_KINDS, *FRAME_KINDS} <= survived.faults.keys()
    assert survived.reads > 1000
