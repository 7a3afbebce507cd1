"""Misbehaviour on request: rules that say what goes wrong, how often, for whom and when.

A rule fires as a pure function of the seed and of how many requests have matched it, so a run with the same requests
in the same order fails in the same way. What a fault does to an answer is in `breakage`; here is only the decision.
Three kinds are about files of the archive and not about requests: which files they strike is a pure function of the
seed and the file's name (`about`).

A faults file is TOML or JSON: `seed = 1` and a list `[[rule]]` of the keys of `Rule`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .limits import ARCHIVE
from .noise import key_of

ANSWER_KINDS = ("throttle", "ban", "error", "busy", "maintenance", "stall", "drop")
"""The request is not answered as it should be (a stall may still answer, late)."""
BODY_KINDS = ("cut", "garbage")
"""The answer is made, then broken."""
ROW_KINDS = ("empty", "duplicate", "reorder", "missing", "revise")
"""Rows of the answer are not the truth's."""
FILE_KINDS = ("missing_day", "late_file", "replaced_file")
"""A file of the archive is not there, not there yet, or has other content at first. Decided once for each file."""
TRANSIT_KINDS = ("wrong_checksum", "corrupt_file")
"""One answer of the archive has a wrong checksum, or a zip or tar.gz of the right length with wrong bytes."""
FRAME_KINDS = (
    "missed_frame", "duplicated_frame", "reordered_frame", "sequence_break", "disconnect", "silence", "cut_frame",
    "garbage_frame",
)  # fmt: skip
"""A data frame of a WebSocket is not sent as it should be, or none is any more."""
HANDSHAKE_KINDS = ("refused_handshake",)
"""A WebSocket does not begin: an HTTP status is the answer, to everybody for `seconds`."""
KINDS: dict[str, str] = {
    **dict.fromkeys((*ANSWER_KINDS, *BODY_KINDS, *ROW_KINDS), "rest"),
    **dict.fromkeys((*FRAME_KINDS, *HANDSHAKE_KINDS), "websocket"),
    **dict.fromkeys((*FILE_KINDS, *TRANSIT_KINDS), "archive"),
}
"""kind -> what it applies to."""

_ON_ARCHIVE: dict[str, str | tuple[str, ...]] = {
    **dict.fromkeys(("throttle", "ban", "error", "stall", "drop", "cut"), ""),
    "wrong_checksum": ".CHECKSUM",
    "corrupt_file": (".zip", ".tar.gz"),
}
"""What is decided for a request to the archive -> how the path must end."""

_MODES = {
    "throttle": ("headers", "bare", "body"),
    "maintenance": ("maintain", "system"),
    "cut": ("length", "gzip"),
    "garbage": ("json", "types", "value", "column", "nan"),
    "corrupt_file": ("flip", "torn"),
    "garbage_frame": ("bytes", "json"),
    "refused_handshake": ("headers", "bare"),
}


@dataclass(frozen=True)
class Rule:
    """One thing that goes wrong. Filters combine with and; a filter that is not given lets everything through.

    For the kinds about files (`FILE_KINDS`) `probability` is the share of files, `every` takes one file in so many, and
    `after` counts the GETs of the file itself; `times` means nothing.
    """

    kind: str
    probability: float = 1.0
    every: int = 0  # only each N-th matching request
    after: int = 0  # not before N matching requests have passed
    times: int = 0  # at most N times (0: no bound)
    between: tuple[float, float] | None = None  # seconds of run time, [t0, t1)
    host: str = "*"  # glob over htx_{spot,swap}_{rest,ws}, htx_archive, hashkey_{rest,ws}, permanent_{rest,ws}
    path: str = "*"  # glob over the path without the host's prefix
    symbol: str = "*"  # glob over symbol / contract_code, in the archive over the venue's symbol of the file
    topic: str = "*"  # glob over the topic of a WebSocket frame
    # Of a ban, a stall, a silence, of refused connections (after a disconnect: 0 is none); until a revised candle
    # settles, a late or replaced file appears.
    seconds: float = 1.0
    forever: bool = False  # a stall that never answers, a silence that never ends
    status: int = 0  # HTTP status of throttle, ban, error, refused_handshake (0: the usual one)
    mode: str = ""  # which way of the kind, see _MODES; empty: one is chosen by the dice
    rows: int = 0  # empty: only answers of more rows than this
    fraction: float = 0.2  # of rows that duplicate, missing and revise touch, that a replaced file lacked

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known are {', '.join(KINDS)}")
        if not 0.0 <= self.probability <= 1.0 or not 0.0 <= self.fraction <= 1.0:
            raise ValueError(f"fault {self.kind}: probability and fraction are between 0 and 1")
        modes = _MODES.get(self.kind, ())
        if self.mode and self.mode not in modes:
            raise ValueError(
                f"fault {self.kind}: unknown mode {self.mode!r}; known are {', '.join(modes) or 'none'}"
            )


@dataclass(frozen=True)
class Fired:
    """A rule that fired, with a number that decides the details and a mode chosen where the rule left it open."""

    rule: Rule
    dice: int

    @property
    def mode(self) -> str:
        modes = _MODES.get(self.rule.kind, ("",))
        return self.rule.mode or modes[self.dice % len(modes)]


class Faults:
    """A set of rules with their memory of what has passed. Not to be shared by two running sandboxes."""

    def __init__(self, *rules: Rule | Mapping[str, Any], seed: int = 0) -> None:
        self.rules = tuple(rule if isinstance(rule, Rule) else _rule(rule) for rule in rules)
        self.seed = seed
        self.fired: list[tuple[str, str, str]] = []  # (kind, host key, path)
        self._seen = [0] * len(self.rules)
        self._done = [0] * len(self.rules)
        self._bans: dict[str, tuple[float, Rule]] = {}
        self._noted: set[tuple[str, str, str]] = set()

    @property
    def hides(self) -> bool:
        """Whether there are files that are missing or late."""
        return any(rule.kind in ("missing_day", "late_file") for rule in self.rules)

    def about(self, kind: str, host: str, path: str, symbol: str, elapsed: float) -> Fired | None:
        """The first rule of a kind that strikes a file, wherever and however often it is asked for."""
        for number, rule in enumerate(self.rules):
            if rule.kind != kind or not concerns(rule, host, path, symbol):
                continue
            dice = key_of("file", self.seed, number, path)
            chosen = (dice >> 11) / 2.0**53 < rule.probability and not (rule.every and dice % rule.every)
            if chosen and (rule.between is None or rule.between[0] <= elapsed < rule.between[1]):
                return Fired(rule, key_of("details", dice))
        return None

    def note(self, kind: str, host: str, path: str) -> None:
        """Count a fault that `about` told of as fired, once for each file."""
        fact = (kind, host, path)
        if fact not in self._noted:
            self._noted.add(fact)
            self.fired.append(fact)

    def decide(
        self, host: str, path: str, symbol: str, elapsed: float, *, topic: str | None = None, counted: bool = False,
        handshake: bool = False,
    ) -> list[Fired]:  # fmt: skip
        """The rules that fire on this request, or on this frame of a topic, in order. `elapsed` is seconds of run time.

        `counted`: the frame has numbers that follow those of the frame before, so that they can be broken.
        `handshake`: the request is for a WebSocket.
        """
        ban = self._bans.get(host)
        if ban and elapsed < ban[0] and handshake == (ban[1].kind in HANDSHAKE_KINDS):
            return [Fired(ban[1], 0)]
        fired: list[Fired] = []
        spoken_for = False
        for number, rule in enumerate(self.rules):
            if handshake != (rule.kind in HANDSHAKE_KINDS):
                continue
            if topic is None and not handshake and not _applies(rule.kind, host, path):
                continue
            if topic is not None and not _harms(rule.kind, counted):
                continue
            if not concerns(rule, host, path, symbol, topic or ""):
                continue
            self._seen[number] += 1
            count = self._seen[number]
            if spoken_for:
                continue  # there is no answer left for this rule to harm, but the request counts
            dice = key_of("fault", self.seed, number, count)
            if rule.between is not None and not rule.between[0] <= elapsed < rule.between[1]:
                continue
            if count <= rule.after or (rule.every and (count - rule.after) % rule.every):
                continue
            if rule.times and self._done[number] >= rule.times:
                continue
            # Which candles are revised is decided per candle, or a candle would change with every request.
            if rule.kind != "revise" and (dice >> 11) / 2.0**53 >= rule.probability:
                continue
            self._done[number] += 1
            self.fired.append((rule.kind, host, path))
            details = (
                key_of("revise", self.seed, number) if rule.kind == "revise" else key_of("details", dice)
            )
            fired.append(Fired(rule, details))
            if rule.kind == "ban" or handshake:
                self._bans[host] = (elapsed + rule.seconds, rule)
            spoken_for = rule.kind in ANSWER_KINDS and rule.kind != "stall"
        return fired

    @classmethod
    def named(cls, name: str) -> Faults:
        """A preset: flaky, storm, banhammer, garbage, revisions or drops. An unknown name raises ValueError."""
        if name not in PRESETS:
            raise ValueError(f"unknown faults {name!r}; known names are {', '.join(PRESETS)}")
        return cls(*PRESETS[name])

    @classmethod
    def load(cls, path: str | Path) -> Faults:
        """Read a TOML or JSON file. What is wrong in it raises ValueError; a missing file FileNotFoundError."""
        file = Path(path)
        text = file.read_text(encoding="utf-8")
        try:
            found = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
        except ValueError as error:
            raise ValueError(f"{file} cannot be read: {error}") from error
        if isinstance(found, list):
            found = {"rule": found}
        unknown = sorted(set(found) - {"seed", "rule"})
        if unknown or not isinstance(found.get("rule", []), list):
            raise ValueError(
                f"{file}: unknown key {', '.join(unknown) or 'rule'}; known keys are seed and [[rule]]"
            )
        try:
            return cls(*found.get("rule", []), seed=int(found.get("seed", 0)))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    @classmethod
    def parse(cls, text: str) -> Faults:
        """What `--faults` was given: a preset's name or a file. ValueError for anything else, saying what is known."""
        if text in PRESETS:
            return cls.named(text)
        if Path(text).is_file():
            return cls.load(text)
        raise ValueError(
            f"faults {text!r} is neither a file nor a name; known names are {', '.join(PRESETS)}, "
            f"keys of a rule in a file are {', '.join(_KEYS)}"
        )


def _applies(kind: str, host: str, path: str) -> bool:
    """Whether a kind is one that is decided for each request to this host and path."""
    if host == ARCHIVE:
        return kind in _ON_ARCHIVE and path.endswith(_ON_ARCHIVE[kind])
    return KINDS[kind] == "rest"


def _harms(kind: str, counted: bool) -> bool:
    """Whether a kind is decided for a frame."""
    return kind in FRAME_KINDS and (counted or kind != "sequence_break")


def concerns(rule: Rule, host: str, path: str, symbol: str = "", topic: str = "") -> bool:
    """Whether a rule is about this host, path, symbol and topic; nothing in particular is about all of them."""
    facts = (
        (rule.host, host),
        (rule.path, path),
        (rule.symbol.lower(), symbol.lower()),
        (rule.topic.lower(), topic.lower()),
    )
    return all(glob == "*" or fnmatchcase(fact, glob) for glob, fact in facts)


_KEYS = tuple(field.name for field in fields(Rule))


def _rule(given: Mapping[str, Any]) -> Rule:
    unknown = sorted(set(given) - set(_KEYS))
    if unknown or "kind" not in given:
        raise ValueError(
            f"a fault rule has {'unknown key ' + unknown[0] if unknown else 'no kind'}; "
            f"known keys are {', '.join(_KEYS)}"
        )
    taken = dict(given)
    for name, kind in (
        ("probability", float),
        ("fraction", float),
        ("seconds", float),
        ("every", int),
        ("after", int),
        ("times", int),
        ("status", int),
        ("rows", int),
    ):
        if name in taken and (isinstance(taken[name], bool) or not isinstance(taken[name], (int, kind))):
            raise ValueError(f"fault {taken['kind']}: {name} must be a number, not {taken[name]!r}")
    if "between" in taken:
        span = taken["between"]
        if not isinstance(span, (list, tuple)) or len(span) != 2:
            raise ValueError(f"fault {taken['kind']}: between is two numbers of seconds, not {span!r}")
        taken["between"] = (float(span[0]), float(span[1]))
    return Rule(**taken)


def _frames(share: float) -> tuple[Rule, ...]:
    """Every kind of harm to frames, to that share of them; connections are lost more rarely."""
    return (
        *(Rule(kind, share) for kind in FRAME_KINDS if kind not in ("disconnect", "silence")),
        Rule("disconnect", share / 10),
        Rule("silence", share / 50, seconds=20.0),
    )


def _drops(path: str) -> tuple[Rule, ...]:
    """Three connections lost and one that falls silent, in the first minute."""
    return (
        *(Rule("disconnect", between=(start, 1e9), times=1, path=path) for start in (8.0, 20.0, 50.0)),
        Rule("silence", between=(32.0, 1e9), times=1, path=path, forever=True),
    )


_MARKET_SOCKETS = (
    "/ws", "/feed", "/linear-swap-ws", "/swap-ws", "/quote/ws/v1", "/quote/ws/v2", "/api/swap/ws",
)  # fmt: skip

PRESETS: dict[str, tuple[Rule, ...]] = {
    "flaky": (
        Rule("throttle", 0.02),
        Rule("error", 0.02),
        Rule("busy", 0.02),
        Rule("maintenance", 0.005),
        Rule("cut", 0.01),
        Rule("drop", 0.01),
        Rule("stall", 0.01, seconds=1.5),
        Rule("garbage", 0.01, mode="json"),
        Rule("duplicate", 0.02),
        Rule("reorder", 0.02),
        Rule("wrong_checksum", 0.01),
        Rule("corrupt_file", 0.01),
        *_frames(0.0005),
    ),
    "storm": (
        Rule("throttle", 0.1),
        Rule("error", 0.1),
        Rule("busy", 0.08),
        Rule("maintenance", 0.02),
        Rule("cut", 0.05),
        Rule("drop", 0.05),
        Rule("stall", 0.03, seconds=3.0),
        Rule("garbage", 0.03, mode="json"),
        Rule("duplicate", 0.1),
        Rule("reorder", 0.1),
        Rule("empty", 0.02, rows=1),
        Rule("ban", 0.002, seconds=5.0),
        Rule("wrong_checksum", 0.03),
        Rule("corrupt_file", 0.03),
        *_frames(0.003),
    ),
    "banhammer": (Rule("throttle", every=25, mode="headers"), Rule("ban", every=100, seconds=10.0)),
    "garbage": (Rule("garbage", 0.1), Rule("cut", 0.05), Rule("error", 0.05)),
    "revisions": (Rule("revise", 0.5, seconds=300.0), Rule("reorder", 0.05)),
    "drops": tuple(rule for path in _MARKET_SOCKETS for rule in _drops(path)),
}
