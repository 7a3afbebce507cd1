"""Replies that break their own rules, set aside whole with the reason (law 9).

``<tape>/quarantine/venue=<venue>/dataset=<dataset>/<sha256>.body`` holds the bytes, ``.json`` beside it what was asked,
when, and why it was refused. Named by content: the same bad reply twice is one entry.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from htxdata.store import refusals, whole


def set_aside(
    tape: Path, venue: str, dataset: str, *, asked: str, body: bytes, received_at: int, reason: str
) -> Path:
    """Keep ``body`` and say why. ``received_at`` is microseconds UTC. Returns the path of the bytes."""
    folder = tape / "quarantine" / f"venue={venue}" / f"dataset={dataset}"
    name = hashlib.sha256(asked.encode() + b"\n" + body).hexdigest()[:32]
    said = {"asked": asked, "received_at": received_at, "reason": reason, "bytes": len(body)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name}.body"
        if not target.exists():
            for path, content in ((folder / f"{name}.json", json.dumps(said, indent=1).encode()), (target, body)):
                whole.replace(path, content)
    except OSError as error:
        raise refusals.unwritten(f"the tape folder {str(tape)!r}", error) from error
    return target
