"""What a fault does to rows and to bodies. Whether it happens was decided in `faults`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .faults import BODY_KINDS, ROW_KINDS, Fired
from .noise import Ints, fractions

Columns = dict[str, Any]
Bend = Callable[[Columns, int], Columns]
"""Rows, and the instant they are asked at (us UTC), to the rows that are served instead."""


def _length(rows: Columns) -> int:
    return len(next(column for column in rows.values() if column is not None))


def take(rows: Columns, index: Ints) -> Columns:
    """The rows at these places, in this order."""
    picked: Columns = {}
    for name, column in rows.items():
        if column is None:
            picked[name] = None
        else:
            picked[name] = [column[place] for place in index] if isinstance(column, list) else column[index]
    return picked


def _revised(rows: Columns, now: int, fired: Fired) -> Columns:
    """Candles closed for less than `seconds` are served with other values; later they are the truth's (law 6)."""
    if "close" not in rows or not _length(rows):
        return rows
    times: Ints = rows["open_time"]
    steps = np.abs(np.diff(times))
    steps = steps[steps > 0]
    age = now - (times + (int(steps.min()) if len(steps) else 60_000_000))  # since it closed
    # The dice are the rule's, thrown per candle: asked twice before it settles, a candle is wrong in the same way.
    draw = fractions(fired.dice, times)
    touched = (age >= 0) & (age < int(fired.rule.seconds * 1e6)) & (draw < fired.rule.probability)
    if not touched.any():
        return rows
    changed = dict(rows)
    changed["close"] = np.where(touched, rows["open"], rows["close"])
    if "volume" not in rows:
        return changed  # a price that is computed has nothing to count
    changed["volume"] = np.where(touched, rows["volume"] / 2, rows["volume"])
    if rows["quote_volume"] is not None:
        changed["quote_volume"] = np.where(touched, rows["quote_volume"] / 2, rows["quote_volume"])
    for bought in ("taker_buy_volume", "taker_buy_quote_volume"):
        if bought in rows:  # takers bought no more than was traded
            changed[bought] = np.where(touched, 0.0, rows[bought])
    changed["trade_count"] = np.where(touched, rows["trade_count"] // 2, rows["trade_count"])
    if rows["contracts"] is not None:
        changed["contracts"] = np.where(touched, rows["contracts"] // 4 * 2, rows["contracts"])
    return changed


def bend_of(fired: Sequence[Fired]) -> Bend | None:
    """All row faults of one request as one function; None when there is none."""
    mine = [one for one in fired if one.rule.kind in ROW_KINDS]
    if not mine:
        return None

    def bend(rows: Columns, now: int) -> Columns:
        for one in mine:
            count, kind = _length(rows), one.rule.kind
            everything = np.arange(count, dtype=np.int64)
            draw = fractions(one.dice, everything)
            if kind == "revise":
                rows = _revised(rows, now, one)
            elif kind == "empty" and count > one.rule.rows:
                rows = take(rows, everything[:0])
            elif kind == "duplicate":
                rows = take(
                    rows, np.repeat(everything, 1 + (draw < one.rule.fraction) | (everything == count // 2))
                )
            elif kind == "missing":
                rows = take(rows, everything[(draw >= one.rule.fraction) & (everything != count // 2)])
            elif kind == "reorder":
                rows = take(rows, np.argsort(draw, kind="stable"))
        return rows

    return bend


def broken_body(fired: Sequence[Fired], body: bytes) -> bytes:
    """A body after its `garbage` faults; `cut` is a matter of sending and not done here."""
    for one in fired:
        if one.rule.kind in BODY_KINDS and one.rule.kind == "garbage":
            body = _garbled(body, one.mode, one.dice)
    return body


_NUMBERS = (
    "close", "funding_rate", "contract_size", "price-precision", "tpp", "price", "bankrupt_price", "value"
)  # fmt: skip
"""What is spoilt, the first of them that a row has."""
_WORDS = ("state", "direction", "side")
"""What is given a word that nobody knows."""


def _garbled_row(answer: list[Any], row: list[Any], mode: str) -> bytes:
    """A candle that is a list: its close is spoilt."""
    if mode == "column":
        del row[4]
    else:
        row[4] = {"types": {"value": row[4]}, "nan": math.nan}.get(mode, "-42")
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _garbled(body: bytes, mode: str, dice: int) -> bytes:
    if mode == "json":
        return body[: max(1, len(body) // 2)] + b"<!-- -->"
    answer = json.loads(body) if body else None  # not orjson: inner ids of spot trades have up to 27 digits
    if isinstance(answer, list) and answer and isinstance(answer[0], list):
        return _garbled_row(answer, answer[dice % len(answer)], mode)
    rows = answer if isinstance(answer, list) else answer.get("data") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and ("symbolId" in answer or answer.get("index")):  # HashKey's prices: no envelope
        rows = [answer.get("index", answer)]
    if isinstance(rows, dict):
        rows = rows.get("data") or rows.get("tick") or [rows]
    if not isinstance(rows, list) or not rows:
        return body.replace(b'"status":"ok"', b'"status":"perhaps"')
    row = rows[dice % len(rows)]
    if not isinstance(row, dict):
        return body
    if isinstance(row.get("data"), list) and row["data"]:
        row = row["data"][dice % len(row["data"])]  # a fill of an order
    names = [name for name in _NUMBERS if name in row]
    name = names[0] if names else sorted(row)[0]
    if mode == "types":
        row[name] = {"value": row[name]}
    elif mode == "column":
        del row[name]
    elif mode == "nan":
        row[name] = math.nan
    else:
        known = [status for status in (*_WORDS, "contract_status", "funding_time", "id") if status in row]
        row[known[0] if known else name] = "transmogrified" if known and known[0] in _WORDS else -42
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
