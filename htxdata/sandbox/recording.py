"""A recorded session of the real spot socket: the frames as they came.

The recording is cryptofeed's (2021-04-17, ten pairs, depth.step0 and trade.detail). A line is one JSON object;
`gzip_b64` is the frame byte for byte, `recv_ts` when it came (seconds). The pairs as the venue listed them
just before (/v1/common/symbols) lie beside it.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .instruments import SPOT, Instrument
from .periods import DAY, SECOND

FILE = "frames_cryptofeed/HUOBI.ws.44.0.jsonl.gz"
"""Where the recording is in a folder of recordings."""

_PAIRS = "HUOBI.0.txt.gz"
_ANSWER = "https://api.huobi.pro/v1/common/symbols -> "


class Frame(NamedTuple):
    """A recorded data frame. `after` is seconds since the first of them."""

    after: float
    topic: str
    frame: bytes


@dataclass(frozen=True)
class Recording:
    """The data frames of a session, in their order, and the pairs they are about, as far as these are known."""

    frames: tuple[Frame, ...]
    pairs: tuple[Instrument, ...] = ()

    @classmethod
    def load(cls, file: Path) -> Recording:
        """Read a recording; what is not a data frame that was received is left out."""
        found: list[tuple[float, str, bytes]] = []
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                said = json.loads(line)
                text = json.loads(said["text"]) if said["dir"] == "in" else {}
                if "ch" in text:
                    found.append((float(said["recv_ts"]), text["ch"], b64decode(said["gzip_b64"])))
        symbols = {topic.split(".")[1] for _, topic, _ in found}
        return cls(
            tuple(Frame(time - found[0][0], topic, frame) for time, topic, frame in found),
            tuple(_pairs(file.with_name(_PAIRS), symbols, int(found[0][0])) if found else ()),
        )

    @property
    def topics(self) -> set[str]:
        """What can be subscribed to."""
        return {one.topic for one in self.frames}


def _pairs(file: Path, symbols: set[str], recorded_at: int) -> list[Instrument]:
    """The pairs of these symbols in a recorded answer. When they were listed is not recorded: the day of the recording
    (seconds) is taken for it."""
    if not file.is_file():
        return []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        answer = next((line for line in lines if line.startswith(_ANSWER)), None)
    if answer is None:
        return []
    rows = json.loads(answer[len(_ANSWER) :].partition(": ")[2])["data"]
    listed_at = recorded_at * SECOND // DAY * DAY
    return [
        Instrument(
            SPOT, row["symbol"], row["base-currency"].upper(), row["quote-currency"].upper(), "spot",
            row["price-precision"], 1, row["amount-precision"], 1, 8, 1.0, 0.0, 1, listed_at,
        )
        for row in rows
        if row["symbol"] in symbols
    ]  # fmt: skip
