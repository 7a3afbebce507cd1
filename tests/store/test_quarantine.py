"""A reply that is set aside is there whole, with its reason, or not at all (laws 3 and 9)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.store.quarantine import set_aside

BODY = b'{"status":"ok","data":[{"id":1' * 40


class Killed(BaseException):
    pass


@pytest.mark.parametrize("writes", [0, 1])
def test_a_reply_whose_setting_aside_was_killed_is_set_aside_whole_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    left, real = [writes], Path.write_bytes

    def write_bytes(path: Path, content: bytes) -> int:
        if not left[0]:
            real(path, content[: len(content) // 2])
            raise Killed
        left[0] -= 1
        return real(path, content)

    def keep() -> Path:
        return set_aside(
            tmp_path, "htx-spot", "klines", asked="GET /x", body=BODY, received_at=7, reason="no JSON"
        )

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(Killed):
        keep()
    for body in tmp_path.rglob("*.body"):
        assert body.read_bytes() == BODY
    monkeypatch.undo()
    target = keep()
    assert target.read_bytes() == BODY
    said = json.loads(target.with_suffix(".json").read_bytes())
    assert said == {"asked": "GET /x", "received_at": 7, "reason": "no JSON", "bytes": len(BODY)}
