"""The one process that keeps a lake up to date: it begins what is due, each run in a process of its own, and tells.

Prefect's own `serve` would pile up what it missed while it was down, leave the runs of a killed one "Running" for good,
and look for work every ten seconds. Here the times are arithmetic (``ingest/turns.py``); every run is a flow run with
its page all the same. This process imports no Prefect.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from flows.children import Child, Ended, OnLine
from flows.memory import Memory, close_leftovers
from htxdata.ingest.turns import Turn, due

MOST_AT_ONCE = 2
"""Runs that end by themselves, beside the captures: a machine has other work."""

AGAIN_AFTER = (5.0, 300.0)
"""Seconds until an endless turn that failed begins anew: twice as long each time, from the first to the second."""

LASTED = 600.0


class Serving:
    """The turns, the runs under way, and how those before ended. ``step`` often; ``end`` once."""

    def __init__(
        self, turns: Sequence[Turn], state: Path, tag: str, on_line: OnLine, on_ended: Callable[[Ended], None]
    ) -> None:
        self.turns, self.running = list(turns), list[Child]()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.added: Counter[str] = Counter()
        self._tag, self._on_line, self._on_ended = tag, on_line, on_ended
        self._memory = Memory(state / "turns.json")
        known = self._memory.read()
        self._begun = {turn.name: known[turn.name] for turn in turns if turn.name in known}
        self._fails: Counter[str] = Counter()
        self.started = time.time()
        self._not_before = {turn.name: self.started + turn.first for turn in turns}

    def next(self, turn: Turn, now: float) -> float:
        """When the turn begins next, by the clock; what waits for a place or another turn may begin later."""
        begun = self._begun.get(turn.name)
        return max(due(turn, begun, self.started if begun is None else now), self._not_before[turn.name])

    def step(self, environ: Mapping[str, str], now: float) -> None:
        """Take note of what ended, begin what is due, what has waited longest first."""
        for child in list(self.running):
            if (ended := child.ended()) is not None:
                self._note(child, ended, environ)
        names = {turn.name for turn in self.turns}
        for turn in sorted(self.turns, key=lambda turn: self.next(turn, now)):
            mine = [child for child in self.running if child.turn.name == turn.name]
            short = sum(not child.turn.endless for child in self.running)
            waits = turn.after in names and not any(name == turn.after for name, _ in self.ended)
            full = len(mine) >= turn.most or (not turn.endless and (short >= MOST_AT_ONCE or waits))
            if not full and self.next(turn, now) <= now:
                self._begun[turn.name] = now
                self.running.append(Child(turn, environ, self._tag, self._on_line))

    def _note(self, child: Child, ended: Ended, environ: Mapping[str, str]) -> None:
        self.running.remove(child)
        name = ended.turn.name
        self.ended[name, ended.how] += 1
        self.added[name] += int(ended.result.get("added", 0))
        if ended.turn.endless and ended.how != "complete" and not any(c.turn.name == name for c in self.running):
            self._fails[name] = 0 if ended.seconds > LASTED else self._fails[name] + 1
            pause = min(AGAIN_AFTER[0] * 2 ** (self._fails[name] - 1 if self._fails[name] else 0), AGAIN_AFTER[1])
            del self._begun[name]
            self._not_before[name] = time.time() + pause
        elif not ended.turn.endless and ended.how != "killed":
            self._memory.note(name, child.began)
        if ended.how == "killed":
            self.close_leftovers(environ)
        self._on_ended(ended)

    def close_leftovers(self, environ: Mapping[str, str]) -> None:
        """No run is "Running" for good because its process was killed: this one's, or an earlier serve's."""
        close_leftovers(self._tag, [child.run for child in self.running], environ)

    def end(self, environ: Mapping[str, str], grace: float, hurry: Event) -> None:
        """Every run ends well within ``grace`` seconds, or is killed; ``hurry`` kills at once."""
        for child in self.running:
            child.tell(signal.SIGTERM)
        until = time.monotonic() + grace
        while self.running:
            if time.monotonic() > until or hurry.is_set():
                for child in self.running:
                    child.tell(signal.SIGKILL)
            for child in list(self.running):
                if (ended := child.ended()) is not None:
                    self._note(child, ended, environ)
            time.sleep(0.05)
