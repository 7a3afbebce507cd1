"""A flow from a shell: what it is told before it runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.wide]  # Prefect's import takes seconds


def test_a_run_by_hand_waits_for_its_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Longer than Prefect's 20 s, which a busy machine needs for it; what somebody set himself stays."""
    from prefect import Flow
    from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

    from flows import by_hand

    waits = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS

    def nothing() -> dict[str, int]:
        return {}

    class Asked(Flow[..., dict[str, int]]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return {"seconds": waits.value()}

    asked: Flow[..., dict[str, int]] = Asked(nothing, name="asked")
    monkeypatch.setattr("sys.argv", ["asked"])
    before = waits.value()
    by_hand.run(asked)
    with temporary_settings({waits: 7}):
        by_hand.run(asked)
    assert capsys.readouterr().out.splitlines() == ['{"seconds": 180}', '{"seconds": 7}']
    assert waits.value() == before
