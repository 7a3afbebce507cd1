"""Columns of text to columns of numbers, with no Python object per row.

What Arrow's own conversions would let pass is refused here: `nan` and `inf`, hexadecimal and padded integers, a plus
sign. And a text still has its digits: from its length alone it is mostly plain that a DOUBLE carries all of them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from htxdata.errors import BadReply
from htxdata.venues.htx.rows import MOST_EXACT_DIGITS, fits

_PARSE = pyarrow.csv.ParseOptions(quote_char=False, newlines_in_values=False, ignore_empty_lines=False)
_ROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)


@lru_cache(maxsize=32)
def _options(names: tuple[str, ...]) -> Any:
    return pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        check_utf8=False,
        strings_can_be_null=False,
        null_values=[],
    )


def cells(piece: memoryview, names: tuple[str, ...], row: int) -> dict[str, Any]:
    """The cells of a piece's lines by column, as Arrow texts. ``row`` is the number of its first one in the file.

    Everything is read as text: it costs what Arrow's typed columns cost once those are checked for what this module
    refuses, and nothing of what the venue wrote is lost on the way.
    """
    reading = pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(piece) + 1)
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(pa.py_buffer(piece)), reading, _PARSE, _options(names))
    except pa.ArrowInvalid as error:
        said = _ROW.search(str(error))
        if said is None:
            raise BadReply(f"the rows from {row} on are no table of {len(names)} columns: {error}") from error
        raise BadReply(f"row {row + int(said[1]) - 1}: {said[2]:.160}") from error
    return {name: _in_one(table.column(at)) for at, name in enumerate(names)}


def _in_one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


class _Layout(NamedTuple):
    """Where the texts of a column lie: ``starts`` has one entry more than there are texts, ``data`` all their bytes."""

    starts: Any
    lengths: Any
    data: Any


def _layout(texts: Any) -> _Layout:
    _, starts, data = texts.buffers()
    at = np.frombuffer(starts, np.int32, len(texts) + 1, texts.offset * 4)
    first, last = int(at[0]), int(at[-1])
    if first == last:
        return _Layout(at - first, at[1:] - at[:-1], np.empty(0, np.uint8))
    return _Layout(
        at - first if first else at, at[1:] - at[:-1], np.frombuffer(data, np.uint8, last - first, first)
    )


# ------------------------------------------------------------------------------------------------ whole numbers


def whole(texts: Any, name: str, row: int) -> Any:
    """Whole numbers of 0 to 9,223,372,036,854,775,807, digits only, as numpy int64."""
    layout = _digits_only(texts, name, row)
    width = _width(layout)
    if 8 <= width <= 16:
        return _equally_wide(layout.data, len(texts), width)
    try:
        return texts.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        at = int(np.argmax(layout.lengths))
        raise BadReply(f"row {row + at}: {name} is {_shown(texts, at)}, which is too large") from error


def growing_ids(texts: Any, name: str, row: int) -> bool:
    """Whether each number is plainly larger than the one before; False where that would take a closer look.

    The numbers are digits only and none begins with a zero, or it is a ``BadReply``: their texts are keys.
    """
    layout = _digits_only(texts, name, row)
    starts, _, data = layout
    width = _width(layout)
    zero = (data[::width] if width else data[starts[:-1]]) == _0
    if zero.any():
        at = int(np.argmax(zero))
        raise BadReply(f"row {row + at}: {name} is {_shown(texts, at)}, which begins with a zero")
    if width < 8:
        return False
    # Eight digits at once, as one number whose first digit weighs most. Where these are the same, the next ones decide.
    tied: Any = True
    for at in [*range(0, width - 8, 8), width - 8]:
        words = np.ndarray(len(texts), ">u8", data, at, strides=(width,))
        if at < width - 8 and (words == words[0]).all():  # mostly: what grows, grows slowly
            continue
        words = words.astype(np.uint64)
        if ((words[1:] < words[:-1]) & tied).any():
            return False
        tied &= words[1:] == words[:-1]
    return not np.any(tied)


def _digits_only(texts: Any, name: str, row: int) -> _Layout:
    layout = _layout(texts)
    _, lengths, data = layout
    if data.min(initial=_0) < _0 or data.max(initial=_9) > _9 or not lengths.all():
        at = next(at for at, text in enumerate(_bytes(texts)) if not _WHOLE.fullmatch(text))
        raise BadReply(f"row {row + at}: {name} is {_shown(texts, at)}, not a whole number")
    return layout


def lengths_of(texts: Any) -> Any:
    """How many bytes each text has."""
    return _layout(texts).lengths


def _width(layout: _Layout) -> int:
    """How long all the texts are; 0 where they differ, or there are none."""
    lengths = layout.lengths
    return int(lengths[0]) if len(lengths) and (lengths == lengths[0]).all() else 0


def _bytes(texts: Any) -> list[bytes]:
    return texts.cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]


def _first_bytes(count: int) -> Any:
    return np.uint64(256 ** min(count, 8) - 1)


_WHOLE = re.compile(rb"[0-9]+")
_0, _9 = 0x30, 0x39


def _equally_wide(data: Any, count: int, width: int) -> Any:
    """``count`` numbers of ``width`` digits (8 to 16) that stand end to end: eight digits at once."""
    low = _eight_digits(np.ndarray(count, "<u8", data, width - 8, strides=(width,)))
    if width == 8:
        return low.view(np.int64)
    heads = np.ndarray(count, "<u8", data, strides=(width,))
    leading = heads & _first_bytes(width - 8)
    if (leading == leading[0]).all():  # mostly: what grows, grows slowly
        return low.view(np.int64) + int(data[: width - 8].tobytes()) * 10**8
    high = _eight_digits(heads) // np.uint64(10 ** (16 - width))
    return (high * np.uint64(10**8) + low).view(np.int64)


def _eight_digits(words: Any) -> Any:
    """The numbers that eight ASCII digits each spell, from words that hold the first digit in their lowest byte.

    Neighbours are joined: digits to pairs, pairs to fours, fours to eights.
    """
    out = words & np.uint64(0x0F0F0F0F0F0F0F0F)
    for factor, shift, mask in (
        (10 << 8 | 1, 8, 0x00FF00FF00FF00FF),
        (100 << 16 | 1, 16, 0x0000FFFF0000FFFF),
        (10_000 << 32 | 1, 32, 0x00000000FFFFFFFF),
    ):
        out *= np.uint64(factor)
        out >>= np.uint64(shift)
        out &= np.uint64(mask)
    return out


# ------------------------------------------------------------------------------------------------ numbers


class Numbers(NamedTuple):
    """``values`` as Arrow doubles; ``unfit`` is one where a DOUBLE does not carry the text digit for digit, or None."""

    values: Any
    unfit: Any


def numbers(texts: Any, name: str, row: int) -> Numbers:
    """Prices and amounts: finite and not negative; anything else is a ``BadReply`` that names row and value."""
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        raise _no_number(texts, name, row) from None
    _, lengths, data = _layout(texts)
    plain = data.min(initial=_POINT) >= _POINT and data.max(initial=_9) <= _9  # digits and points
    long = lengths.max(initial=0) > MOST_EXACT_DIGITS
    if plain and not long:
        return Numbers(values, None)
    # Arrow reads nan, inf and a plus sign, too, and what is too large as infinite.
    good = np.isfinite(values.to_numpy()) & (values.to_numpy() >= 0)
    if not good.all() or (not plain and (data == _PLUS).any() and pc.any(pc.starts_with(texts, "+")).as_py()):
        raise _no_number(texts, name, row)
    far = not plain and _any_far(data)
    if not long and not far:
        return Numbers(values, None)
    doubtful = np.flatnonzero(lengths > (-1 if far else MOST_EXACT_DIGITS))
    at = doubtful[unfit_among(_bytes(texts.take(pa.array(doubtful))), values.to_numpy()[doubtful])]
    if not len(at):
        return Numbers(values, None)
    unfit = np.zeros(len(texts), np.uint8)
    unfit[at] = 1
    return Numbers(values, unfit)


def decimals(texts: Any) -> int:
    """To how many decimals the texts are written: the most of all, exponents left aside."""
    points = pc.find_substring(texts, ".").to_numpy()
    _, lengths, _ = _layout(texts)
    return int(np.where(points < 0, 0, lengths - points - 1).max(initial=0))


_POINT, _PLUS, _E = 0x2E, 0x2B, 0x65
_FAR = re.compile(
    rb"[eE][+-]?[0-9]{3}"
)  # an exponent near zero at which a DOUBLE loses digits, or all of them


def _any_far(data: Any) -> bool:
    """Whether any number has such an exponent. What follows a text's end may be taken for more of it: rather yes."""
    ends = np.flatnonzero((data | 0x20) == _E)
    if len(ends) > len(data) // 1000:
        return _FAR.search(data.tobytes()) is not None
    return any(_FAR.match(data[at : at + 5].tobytes()) for at in ends.tolist())


_DIGITS_OF = str.maketrans("", "", ".-")


def unfit_among(texts: list[bytes], values: Any) -> Any:
    """Positions of the texts that a DOUBLE does not carry digit for digit. ``values`` are what they were read as.

    Nearly all long spellings are the shortest ones of their doubles, which orjson writes at 30 ns each.
    """
    shortest = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    if b",".join(texts) == shortest:
        return np.empty(0, np.intp)
    pairs = zip(texts, shortest.split(b","), strict=True)
    odd = [
        at
        for at, (text, best) in enumerate(pairs)
        if text != best and not _same(text.decode(), best.decode())
    ]
    return np.array(odd, np.intp)


def _same(text: str, shortest: str) -> bool:
    """Whether a text is the decimal that is the shortest one of its double.

    Where both have the same significant digits they are equal: a power of ten apart they would not be of one double.
    """
    return _digits(text) == _digits(shortest) or fits(text)


def _digits(text: str) -> str:
    mantissa = text.replace("E", "e").partition("e")[0]
    return mantissa.translate(_DIGITS_OF).strip("0")


def _no_number(texts: Any, name: str, row: int) -> BadReply:
    for at, text in enumerate(_bytes(texts)):
        if not _NUMBER.fullmatch(text) or not 0 <= float(text) < np.inf:
            return BadReply(f"row {row + at}: {name} is {_shown(texts, at)}, not a number that can be stored")
    return BadReply(f"{name} from row {row} on holds something that is not a number")


_NUMBER = re.compile(rb"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


# ------------------------------------------------------------------------------------------------ words


def words(*texts: str) -> pa.StringArray:
    """An Arrow array of these, for module constants: at its first `pa.array` Arrow imports pandas."""
    ends = np.cumsum([0, *(len(text.encode()) for text in texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer("".join(texts).encode()))


def sides(texts: Any, row: int) -> Any:
    """``buy`` or ``sell``, as an Arrow dictionary of these two; all upper-case ones (the new tree's) are the same."""
    starts, lengths, data = _layout(texts)
    if len(texts) and data.max(initial=0) <= _Z:
        data = data | 0x20
    if _are_sides(starts, lengths, data):
        return pa.DictionaryArray.from_arrays(pa.array(lengths - _BUY), _SIDES)
    for at, text in enumerate(_bytes(texts)):
        if text not in (b"buy", b"sell", b"BUY", b"SELL"):
            raise BadReply(f"row {row + at}: the side is {_shown(texts, at)}, neither buy nor sell")
    return pa.DictionaryArray.from_arrays(pa.array(lengths - _BUY), _SIDES)


_SIDES = words("buy", "sell")
_BUY = 3  # letters; four sell
_Z = 0x5A


def _are_sides(starts: Any, lengths: Any, data: Any) -> bool:
    """Whether every text is `buy` or `sell`. Each is compared as one word of four bytes."""
    if not len(lengths):
        return True
    if lengths.min() < 3:
        return False
    # The last text is looked at by itself: after it there may be no fourth byte.
    words = np.take(np.ndarray(len(data) - 3, "<u4", data, strides=(1,)), starts[:-2], mode="clip")
    bought = ((words & 0xFFFFFF) == 0x797562) & (lengths[:-1] == 3)
    sold = (words == 0x6C6C6573) & (lengths[:-1] == 4)
    return bool((bought | sold).all()) and data[starts[-2] :].tobytes() in (b"buy", b"sell")


def check_name(texts: Any, own: tuple[str, ...], row: int) -> None:
    """Every row is of one of the series' ``own`` names (`instId`), and all of the same one."""
    if not len(texts):
        return
    first, (_, lengths, data) = texts[0].as_buffer().to_pybytes(), _layout(texts)
    if first.decode(errors="replace") not in own:
        raise BadReply(f"row {row} is of {_shown(texts, 0)}, asked for {own[0]!r}")
    width = len(first)
    if not ((lengths == width).all() and (data[width:] == data[:-width]).all()):
        at = next(at for at, text in enumerate(_bytes(texts)) if text != first)
        raise BadReply(f"row {row + at} is of {_shown(texts, at)}, asked for {own[0]!r}")


def _shown(texts: Any, at: int) -> str:
    text = texts[at].as_buffer().to_pybytes().decode(errors="replace")
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"
