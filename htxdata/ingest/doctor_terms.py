"""What a check of the doctor is, and how it is written down: bounded, printable, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warning", "problem"]

SHOWN = 20
"""Names of one kind that are listed; the counts are of all."""

_USER = re.compile(r"(?<=://)[^/@\s]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``says`` is a sentence that names the culprit and the way out."""

    name: str
    status: Status
    says: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Some:
    """The first `SHOWN` of many, and how many there are."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append(text)

    def __bool__(self) -> bool:
        return self.count > 0

    def told(self) -> dict[str, Any]:
        return {"count": self.count, "shown": self.shown}


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def worst(checks: Iterable[Check]) -> Status:
    found = {check.status for check in checks}
    return "problem" if "problem" in found else "warning" if "warning" in found else "ok"


def masked(check: Check, secrets: Iterable[str]) -> Check:
    """The same without the values of ``secrets``, without what stands before an ``@`` in an address, and printable:
    names of files may be any bytes."""
    values = sorted({value for value in secrets if value.strip()}, key=len, reverse=True)

    def text(said: str) -> str:
        for value in values:
            said = said.replace(value, "…")
        said = _USER.sub("…@", said).encode("utf-8", errors="backslashreplace").decode()
        return _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", said)

    def value(said: Any) -> Any:
        if isinstance(said, str):
            return text(said)
        if isinstance(said, Mapping):
            return {text(str(name)): value(part) for name, part in said.items()}
        if isinstance(said, (list, tuple)):
            return [value(part) for part in said]
        return said

    return Check(check.name, check.status, text(check.says), value(check.details))
