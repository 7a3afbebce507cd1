"""Who is told that a series is late, or no longer: a command, a webhook, once for every change.

``alerts.json`` in the folder of `serve`'s state says which series were late when somebody was last told. It is replaced
after the telling: who is not reached is told again at the next check, and who dies in between tells twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htxdata.config import Settings
from htxdata.errors import ConfigError, Unreachable, UsageError
from htxdata.ingest.fresh import Standing
from htxdata.store.refusals import unwritten
from htxdata.store.whole import replace_text
from htxdata.timeline import SECOND, iso, parse_duration
from htxdata.transport.webhook import post

STATE = "alerts.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Change:
    """What is different since somebody was told: series that are late now, and series that no longer are."""

    late: tuple[Standing, ...]
    fresh: tuple[Standing, ...]

    def __bool__(self) -> bool:
        return bool(self.late or self.fresh)


def change_since(known: Sequence[str], found: Sequence[Standing]) -> Change:
    """``known`` are the names of the series that were late. One that nobody keeps any more changes nothing."""
    was = set(known)
    return Change(
        tuple(s for s in found if s.late and str(s.series) not in was),
        tuple(s for s in found if not s.late and str(s.series) in was),
    )


def message(change: Change, now: int) -> dict[str, Any]:
    """What the hooks get, as JSON."""
    return {
        "at": iso(now),
        "late": [_told(standing) for standing in change.late],
        "fresh": [_told(standing) for standing in change.fresh],
    }


def _told(standing: Standing) -> dict[str, Any]:
    series = standing.series
    return {
        "dataset": series.dataset, "venue": series.venue, "symbol": series.symbol, "period": series.period,
        "known_until": None if standing.known is None else iso(standing.known),
        "late_by_seconds": standing.late_by // SECOND, "allowed_seconds": standing.allowed // SECOND,
    }  # fmt: skip


def tell(found: Sequence[Standing], settings: Settings, now: int | None = None) -> list[str]:
    """Call the hooks where something changed. Gives a sentence for each that could not be told; raises ``ConfigError``
    for a time-out that is none."""
    alerts, timeout = settings.alerts, patience(settings)
    if not alerts.command and not alerts.webhook:
        return []
    moment = time.time_ns() // 1000 if now is None else now
    file = Path(settings.serve.state) / STATE
    with _alone(file):
        change = change_since(_read(file), found)
        if not change:
            return []
        text = json.dumps(message(change, moment), ensure_ascii=False)
        told = _command(alerts.command, text, timeout), _webhook(alerts.webhook, text, timeout)
        failed = [why for why in told if why]
        if not failed:
            _write(file, sorted(str(standing.series) for standing in found if standing.late))
        return failed


def patience(settings: Settings) -> float:
    """Seconds that a hook may take."""
    try:
        return parse_duration(settings.alerts.timeout)
    except UsageError as error:
        raise ConfigError(f"{settings.origin}: alerts.timeout: {error}") from None


def _command(command: Sequence[str], text: str, timeout: float) -> str:
    """Runs it without a shell, its input the message. Gives why it failed, or nothing."""
    if not command:
        return ""
    try:
        done = subprocess.run(
            list(command), input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=timeout,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"alerts.command {command[0]!r} took longer than {timeout:g} s and was killed"
    except (OSError, ValueError) as error:
        return f"alerts.command {command[0]!r} cannot be run: {getattr(error, 'strerror', None) or error}"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return f"alerts.command {command[0]!r} ended with {done.returncode}{f': {said[-1][:200]}' if said else ''}" * (
        done.returncode != 0
    )


def _webhook(url: str, text: str, timeout: float) -> str:
    if not url:
        return ""
    try:
        post(url, text.encode(), timeout)
    except Unreachable as error:
        return f"alerts.webhook: {error}"
    return ""


# ------------------------------------------------------------------------------------------------- the file


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One check at a time tells, or two would tell the same."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigError(f"serve.state: {file.parent} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(file: Path) -> list[str]:
    """The series that were late; none where the file is not there or not ours."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _write(file: Path, names: Sequence[str]) -> None:
    try:
        replace_text(file, json.dumps(names, ensure_ascii=False, indent=0) + "\n")
    except OSError as error:
        raise unwritten(str(file), error) from None
