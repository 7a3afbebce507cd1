"""What a fault does to frames on their way out. Whether it happens was decided in `faults`; heartbeats go unharmed."""

from __future__ import annotations

import time
from math import ceil

from .faults import FRAME_KINDS, HANDSHAKE_KINDS, Faults, Fired, Rule, concerns
from .websocket_lines import Line, Subscription
from .websocket_messages import Message, squeezed


class Harm:
    """Sends data frames, or does to them what the faults say. `began` is when run time began (monotonic seconds)."""

    def __init__(self, faults: Faults, began: float) -> None:
        self._faults, self._began = faults, began
        self._any = any(rule.kind in FRAME_KINDS for rule in faults.rules)
        self._shut = any(rule.kind in HANDSHAKE_KINDS for rule in faults.rules)
        self._away: list[tuple[float, Rule]] = []

    def refuses(self, host: str, path: str) -> bool:
        """Whether a disconnect keeps this door shut for now."""
        elapsed = time.monotonic() - self._began
        return any(elapsed < until and concerns(rule, host, path) for until, rule in self._away)

    def turned_away(self, host: str, path: str) -> tuple[int, dict[str, str]] | None:
        """The status and headers with which a handshake is refused; None: come in."""
        if not self._shut:
            return None
        fired = self._faults.decide(host, path, "", time.monotonic() - self._began, handshake=True)
        if not fired:
            return None
        one = fired[0]
        waited = {"Retry-After": str(ceil(one.rule.seconds))} if one.mode == "headers" else {}
        return one.rule.status or 429, waited

    def send(
        self, line: Line, topic: str, symbol: str, message: Message, subscription: Subscription | None
    ) -> None:
        """Queue a message's frame on a line."""
        line.log.data += 1
        if not self._any:
            line.frame(message.frame(subscription.version if subscription else 0))
            return
        elapsed = time.monotonic() - self._began
        host, path = line.log.host, line.log.path
        fired = self._faults.decide(host, path, symbol, elapsed, topic=topic, counted=message.counted)
        for one in fired:
            rule = one.rule
            if rule.kind == "silence":
                line.silent.append((float("inf") if rule.forever else elapsed + rule.seconds, rule))
            elif rule.kind == "disconnect":
                if rule.seconds:
                    self._away.append((elapsed + rule.seconds, rule))
                line.flush()
                line.drop("disconnect")
                return
            elif rule.kind == "sequence_break":
                if subscription is not None:
                    subscription.version += 1 + one.dice % 3
                message = message.astray(1 + one.dice % 3)
        kinds = {one.rule.kind for one in fired}
        line.silent = [quiet for quiet in line.silent if quiet[0] > elapsed]
        if "missed_frame" in kinds or any(
            concerns(rule, host, path, symbol, topic) for _, rule in line.silent
        ):
            return
        frame = message.frame(subscription.version if subscription else 0)
        broken = next((one for one in fired if one.rule.kind in ("cut_frame", "garbage_frame")), None)
        if broken is not None:
            frame = _broken(broken, frame, message.body(subscription.version if subscription else 0))
        if "reordered_frame" in kinds and line.held is None:
            line.held = frame
            return
        line.frame(frame)
        if "duplicated_frame" in kinds:
            line.frame(frame)
        if line.held is not None:
            held, line.held = line.held, None
            line.frame(held)


def _broken(one: Fired, frame: bytes, body: bytes) -> bytes:
    if one.rule.kind == "cut_frame":
        return frame[: max(12, len(frame) // 2)]
    if one.mode == "json":
        return squeezed(body[: max(1, len(body) // 2)])
    return one.dice.to_bytes(8, "big") * 4
