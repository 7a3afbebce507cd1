"""Periods and numbers as engines spell them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htxdata.errors import UsageError
from htxdata.research import periods

_UTC = {"utc_day": (1, "day"), "utc_week": (1, "week"), "utc_month": (1, "month"), "1mon": (1, "month")}
_MADE = re.compile(r"(\d+)(min|hour|day|week)")
_DIGITS = 12  # decimals that are looked for; HTX quotes its smallest coins with 10


class Length(NamedTuple):
    """How long a bar is: ``number`` of ``unit``: ``min``, ``hour``, ``day``, ``week``, ``month``; 60 minutes are an
    hour."""

    number: int
    unit: str


def length(period: str) -> Length:
    """``60min`` and ``1hour`` are one hour, ``utc_day`` and ``1day`` one day. ``UsageError`` for what is no period."""
    periods.check(period)
    if period in _UTC:
        return Length(*_UTC[period])
    found = _MADE.fullmatch(period)
    assert found is not None
    count, unit = int(found[1]), found[2]
    if unit == "min" and count % 60 == 0:
        count, unit = count // 60, "hour"
    return Length(count, unit)


def utc_days(engine: str, period: str, day_opens: int) -> None:
    """Refuse days that open elsewhere than at midnight UTC to an engine that would move their labels there."""
    if day_opens and periods.needs_venue(period):
        unit = length(period).unit
        instead = f"utc_{unit}"
        raise UsageError(
            f"period {period!r}: {engine} means days of UTC, and those of this venue open "
            f"{'before' if day_opens < 0 else 'after'} midnight; ask for {instead}, which is made of shorter bars"
        )


def decimals(values: NDArray[np.float64]) -> int:
    """How many decimals it takes to write every one of ``values`` to 15 digits (at most 12); NaN counts for none."""
    known = np.unique(values[np.isfinite(values)])
    for digits in range(_DIGITS):
        if np.allclose(np.round(known, digits), known, rtol=1e-15, atol=0):
            return digits
    return _DIGITS


def texts(values: NDArray[np.float64]) -> pa.Array:
    """Numbers as the shortest text that reads back as the same number, never with an exponent; NaN is NULL."""
    column = pa.array(values, from_pandas=True)
    written = pc.cast(column, pa.string())
    strange = pc.fill_null(pc.match_substring(written, "e"), False)
    if pc.any(strange).as_py():
        plain = [np.format_float_positional(value, trim="-") for value in values[strange.to_numpy(False)]]
        written = pc.replace_with_mask(written, strange, pa.array(plain, pa.string()))
    return pc.replace_substring_regex(written, r"\.0$", "")


def plain(value: float) -> str:
    """One number, as :func:`texts` writes it."""
    return str(texts(np.array([value]))[0].as_py())


def stamps(instants: NDArray[np.int64], form: str) -> pa.Array:
    """Microseconds UTC as text; ``form`` as of ``strftime``."""
    seconds = pa.array(instants // 1_000_000, pa.int64()).cast(
        pa.timestamp("s")
    )  # %S would print the fraction as well
    return pc.strftime(seconds, format=form)
