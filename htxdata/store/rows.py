"""Rows as the bytes of a partition file, and back. The encoding of every column is chosen here.

Candles. CPU per row and size of 44,640 one-minute candles of a contract (13 columns, 2 of them all NULL), zstd level 1:
pyarrow's defaults 0.35 us, 1.47 MB; dictionaries for floats 0.30 us, 1.15 MB; BYTE_STREAM_SPLIT for every float
0.15 us, 1.23 MB; the same with plain amounts, as below, 0.17 us, 1.06 MB. Level 3: a quarter more CPU, 5 % less disk.

Trades. 3 million of a spot market (prices of a random walk, amounts of six decimals, at random milliseconds), for which
pandas' ``to_parquet`` of id, ts, price, amount and side takes 57.6 MB: at zstd level 2, groups of a million rows
24.5 MB, of half a million 25.8, of a quarter 27.3; level 1 takes 2 MB more, level 3 is no smaller (level 2 of this zstd
is better on dictionaries). A day of them in one file then takes 560, 460 and 360 MB of memory, 160 of them before it
begins, and the CPU is the same. 0.19 us a row; with BYTE_STREAM_SPLIT for the amounts 0.15 us and a quarter more bytes.
The number of the trade: DELTA_BYTE_ARRAY 2.5 MB, plain 6.3,
DELTA_LENGTH_BYTE_ARRAY 6.2, a dictionary 12. Turnovers are plain: a dictionary is no smaller, and takes twice as long.

Equal rows with an equal footer give equal bytes, in whatever pieces they came: no clock, no random name and no border
of a table gets into a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import CorruptPartition, StoreError
from htxdata.schema import Dataset
from htxdata.schema.arrow import WORDS, arrow_schema
from htxdata.store import footer as footers
from htxdata.store.footer import Footer

BATCH = 131_072
"""Rows that are held at once where a partition is read or merged piece by piece."""


_UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
)  # a name of a column that is no UTF-8 is a UnicodeDecodeError


@dataclass(frozen=True)
class Style:
    """How the columns of a file are encoded. Texts, and floats in neither set, have dictionaries where not said
    otherwise; ``words`` are texts of few values: their least and greatest in a group are not written. To find them
    takes a tenth of writing a book, and nearly every group has all of them, in some bytes."""

    row_group: int  # rows
    level: int  # of zstd
    split: bool  # floats are BYTE_STREAM_SPLIT where they are not plain; otherwise they have dictionaries
    plain: frozenset[str]
    words: frozenset[str] = frozenset()
    rising: frozenset[str] = frozenset()  # texts of which each begins like the one before

    def encodings(self, schema: pa.Schema) -> tuple[list[str], dict[str, str]]:
        """The columns with a dictionary, and the encodings of the others."""
        dictionary, encoding = [], {}
        for field in schema:
            if pa.types.is_floating(field.type):
                if field.name not in self.plain:
                    if self.split:
                        encoding[field.name] = "BYTE_STREAM_SPLIT"
                    else:
                        dictionary.append(field.name)
            elif pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type):
                encoding[field.name] = "DELTA_BINARY_PACKED"
            elif field.name in self.rising:
                encoding[field.name] = "DELTA_BYTE_ARRAY"
            else:
                dictionary.append(field.name)
        return dictionary, encoding


# Amounts have few digits on contracts (they are contracts × size), and repeat: zstd finds that in plain values (130 kB
# a month), not in split bytes (300 kB). A dictionary would be smaller still there, but costs twice the time on spot.
_CANDLES = Style(131_072, 1, True, frozenset({"volume", "taker_buy_volume", "quantity"}))
_TRADES = Style(
    262_144, 2, False, frozenset({"quote_quantity"}), frozenset({"side", "source"}), frozenset({"trade_id"})
)
_BOOKS = replace(_CANDLES, words=frozenset({"kind", "side", "source"}))
_LARGEST_DICTIONARY = 16 << 20  # bytes: a group of trades that differ in every amount has one of 2 MB
_PIECE = (
    65_536  # rows of a chunk of a group of trades: fixed, because the borders of chunks show in the pages
)


def style_of(schema: pa.Schema) -> Style:
    """How rows of this schema are encoded."""
    if "trade_id" in schema.names:
        return _TRADES
    return _BOOKS if "previous_sequence" in schema.names else _CANDLES


def is_canonical(metadata: pq.FileMetaData, schema: pa.Schema) -> bool:
    """Whether a file is laid out as :class:`Writer` lays out rows of ``schema``: columns, row groups, encodings.

    zstd's level is written nowhere; another one is not told from ours.
    """
    style = style_of(schema)
    sizes = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    whole, rest = divmod(metadata.num_rows, style.row_group)
    if metadata.schema.to_arrow_schema().names != schema.names or sizes != [style.row_group] * whole + [
        rest
    ] * (rest > 0):
        return False
    dictionary, encoding = style.encodings(schema)
    for group in range(metadata.num_row_groups):
        for at, name in enumerate(schema.names):
            chunk = metadata.row_group(group).column(at)
            if chunk.compression != "ZSTD" or not (chunk.is_stats_set or name in style.words):
                return False
            if chunk.has_dictionary_page != (name in dictionary):
                return False
            if name not in dictionary and encoding.get(name, "PLAIN") not in chunk.encodings:
                return False
    return True


class Writer:
    """A partition file while it is written. Rows come in their order, in tables of any size; memory holds one group.

    ``schema`` is that of the tables; columns of ``Style.words`` may come as texts or as dictionaries.
    """

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        self.style = style_of(schema)
        self.schema = packed(schema)
        self.rows = 0
        self._pieces: list[pa.Table] = []  # what is complete but for the group
        self._held: list[pa.Table] = []  # what is less than a piece
        self._waiting = self._loose = 0  # rows of both, and of the latter
        self._size = _PIECE if self.style.words else self.style.row_group
        dictionary, encoding = self.style.encodings(schema)
        # store_schema writes the schema a second time (1.5 kB); types and UTC survive without it.
        self._writer = pq.ParquetWriter(
            sink,
            self.schema,
            compression="zstd",
            compression_level=self.style.level,
            use_dictionary=dictionary or False,
            column_encoding=encoding or None,
            write_statistics=[name for name in schema.names if name not in self.style.words],
            # Of single bits flipped among the rows, 9 in 10 come out as other numbers and no error (zstd sums nothing
            # here). With a sum of each page all are told, by who verifies: we do, DuckDB does not. 240 bytes a file.
            write_page_checksum=True,
            store_schema=False,
            dictionary_pagesize_limit=_LARGEST_DICTIONARY if not self.style.split else None,
        )

    def write(self, table: pa.Table) -> None:
        """The next rows."""
        if not table.num_rows:
            return
        table = as_packed(table, self.schema)
        self.rows += table.num_rows
        at = 0
        while at < table.num_rows:
            part = table.slice(at, self._size - self._loose)
            at += part.num_rows
            self._held.append(part)
            self._loose += part.num_rows
            self._waiting += part.num_rows
            if self._loose == self._size:
                self._piece()
                if self._waiting == self.style.row_group:
                    self._group()

    def flush(self) -> None:
        """Encode all that is left; no more rows may follow."""
        if self._loose:
            self._piece()
        if self._pieces:
            self._group()

    def close(self, footer: Footer) -> None:
        self.flush()
        self._writer.add_key_value_metadata({footers.KEY.decode(): footers.pack(footer)})
        self._writer.close()

    def abandon(self) -> None:
        """Let go of a file that nobody wants."""
        self._pieces, self._held = [], []
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _piece(self) -> None:
        table = self._held[0] if len(self._held) == 1 else pa.concat_tables(self._held)
        self._held, self._loose = [], 0
        table = table.combine_chunks()
        for name in self.style.words:
            if name in table.column_names:
                at = table.column_names.index(name)
                table = table.set_column(at, table.schema.field(at), _sorted_words(table[name]))
        self._pieces.append(table)

    def _group(self) -> None:
        table = self._pieces[0] if len(self._pieces) == 1 else pa.concat_tables(self._pieces)
        self._pieces, self._waiting = [], 0
        if self.style.words:
            table = table.unify_dictionaries()
        self._writer.write_table(table, row_group_size=self.style.row_group)


def pack(table: pa.Table, footer: Footer) -> pa.Buffer:
    """The whole file."""
    sink = pa.BufferOutputStream()
    writer = Writer(sink, table.schema)
    writer.write(table)
    writer.close(footer)
    return sink.getvalue()


# ------------------------------------------------------------------------------------------------ few words


def packed(schema: pa.Schema) -> pa.Schema:
    """The schema with the texts of few values as dictionaries: rows are handed on like that."""
    words = style_of(schema).words
    return pa.schema([f.with_type(WORDS) if f.name in words else f for f in schema])


def as_packed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with its texts of few values as dictionaries."""
    for at, field in enumerate(schema):
        if field.type == WORDS and table.schema.field(at).type != WORDS:
            column = table.column(at)
            whole = column.dictionary_encode() if pa.types.is_string(column.type) else column.cast(WORDS)
            table = table.set_column(at, field, whole)
    return table


def as_texts(table: pa.Table) -> pa.Table:
    """``table`` with texts where it has dictionaries of them."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = field.with_type(field.type.value_type)
            table = table.set_column(at, plain, table.column(at).cast(plain.type))
    return table


def _sorted_words(column: pa.ChunkedArray) -> pa.Array:
    """One chunk whose dictionary holds the words that occur, in their order: equal rows have equal bytes."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no rows
        return array
    words = array.dictionary.to_pylist()
    if array.null_count or array.dictionary.null_count:
        return array.cast(pa.string()).dictionary_encode()
    indices = array.indices.to_numpy()
    if len(words) <= 2 and len(indices):  # as of sides: a tenth of the time of counting them
        used = sorted({int(indices.min()), int(indices.max())})
    else:
        used = np.flatnonzero(np.bincount(indices, minlength=len(words))).tolist()
    order = sorted(used, key=lambda at: str(words[at]))
    if order == list(range(len(words))):
        return array
    places = np.zeros(len(words), dtype=np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(places[indices], pa.array([words[at] for at in order], pa.string()))


# ------------------------------------------------------------------------------------------------- reading


def unpack(dataset: Dataset, file: IO[bytes], name: str) -> tuple[pa.Table, Footer]:
    """Rows and footer of an open file; ``CorruptPartition`` naming it.

    A column of the dataset that the file is too old to have comes out NULL; columns that this version does not know
    follow the dataset's own, so that a commit by an older htxdata loses nothing.
    """
    footer = footers.read(file, name)
    file.seek(0)
    try:
        table = pq.ParquetFile(file, page_checksum_verification=True).read(use_threads=False)
    except _UNREADABLE as error:
        raise CorruptPartition(f"{name} cannot be read: {error}") from error
    return _owned(dataset, table, name), footer


class Reader:
    """An open file of ours, to be read piece by piece in the order of its rows."""

    def __init__(self, dataset: Dataset, file: IO[bytes], name: str) -> None:
        self.name = name
        self.footer = footers.read(file, name)
        self._dataset = dataset
        file.seek(0)
        words = style_of(arrow_schema(dataset)).words
        try:
            self._file = pq.ParquetFile(file, read_dictionary=sorted(words), page_checksum_verification=True)
        except _UNREADABLE as error:
            raise CorruptPartition(f"{name} cannot be read: {error}") from error
        self.metadata: pq.FileMetaData = self._file.metadata
        self.rows: int = self.metadata.num_rows
        self.schema = as_texts(_owned(dataset, self._file.schema_arrow.empty_table(), name)).schema

    def tables(self, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
        """The rows, ``BATCH`` at most at once; the columns that the dataset, and those that only the file knows."""
        wanted = None if columns is None else list(columns)
        try:
            for batch in batches(self._file, wanted):
                table = pa.Table.from_batches([batch])
                yield table if wanted is not None else _owned(self._dataset, table, self.name)
        except _UNREADABLE as error:
            raise CorruptPartition(f"{self.name} cannot be read: {error}") from error


def batches(file: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows, ``BATCH`` at most at once, in flat memory."""
    for group in range(file.num_row_groups):
        # One by one: an iteration over several groups lets go of none of their bytes before its end.
        yield from file.iter_batches(BATCH, row_groups=[group], columns=columns, use_threads=False)


def _owned(dataset: Dataset, table: pa.Table, name: str) -> pa.Table:
    schema = arrow_schema(dataset)
    arrays: list[Any] = []
    fields: list[Any] = []
    for field in schema:
        if field.name not in table.column_names:
            if not field.nullable and table.num_rows:
                raise CorruptPartition(f"{name} has no column {field.name!r}: it holds something else")
            arrays.append(pa.nulls(table.num_rows, field.type))
            fields.append(field)
            continue
        column = table[field.name]
        if column.type not in (field.type, WORDS) or (column.type == WORDS and field.type != pa.string()):
            raise CorruptPartition(f"{name}: column {field.name!r} is {column.type}, not {field.type}")
        arrays.append(column)
        fields.append(field.with_type(column.type))
    own = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    for field in table.schema:
        if field.name not in schema.names:
            own = own.append_column(field.remove_metadata(), table[field.name])
    return own


def checked(dataset: Dataset, table: pa.Table) -> pa.Table:
    """``table`` with the dataset's schema, or ``StoreError`` naming what differs: use ``schema.arrow.conform``.

    Texts of few values may stay the dictionaries that they are; ``as_texts`` is for who needs them otherwise.
    """
    schema = arrow_schema(dataset)
    words = style_of(schema).words
    if table.schema.names != schema.names:
        raise StoreError(f"{dataset.name}: columns {table.schema.names} are not {schema.names}")
    columns = []
    for field, column in zip(schema, table.columns, strict=True):
        kind = field.type
        if pa.types.is_dictionary(column.type) and pa.types.is_string(kind):
            if field.name in words and not any(chunk.dictionary.null_count for chunk in column.chunks):
                kind = WORDS
            if column.type != kind:
                column = column.cast(kind)
        if column.type != kind:
            raise StoreError(f"{dataset.name}: column {field.name!r} is {column.type}, not {kind}")
        if column.null_count and not field.nullable:
            raise StoreError(f"{dataset.name}: column {field.name!r} has {column.null_count} NULLs")
        columns.append(column)
    fields = [field.with_type(column.type) for field, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
