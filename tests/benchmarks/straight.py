"""The same zips by other roads: the best straight pipeline of our own parts, and what people usually write."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import requests
from isal import isal_zlib

from htxdata import config
from htxdata.ingest.asked import Request
from htxdata.ingest.planning import make_plans
from htxdata.ingest.run import run_jobs
from htxdata.ingest.session import Session
from htxdata.schema import dataset
from htxdata.schema.arrow import arrow_schema
from htxdata.store.rows import style_of

NAMES = ["id", "ts", "price", "amount", "direction"]
_UTC = pa.timestamp("us", tz="UTC")


def text_of(file: Path | bytes) -> bytes:
    """The one CSV in a zip, inflated by isal."""
    raw = file.read_bytes() if isinstance(file, Path) else file
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        (member,) = archive.infolist()
    at = member.header_offset
    skip = 30 + int.from_bytes(raw[at + 26 : at + 28], "little") + int.from_bytes(raw[at + 28 : at + 30], "little")
    return isal_zlib.decompress(memoryview(raw)[at + skip : at + skip + member.compress_size], wbits=-15)


def by_polars(file: Path, folder: Path) -> int:
    """isal, polars' CSV reader, pyarrow's writer: the columns and the settings of our files, and nothing checked."""
    schema = {"id": pl.String, "ts": pl.Int64, "price": pl.Float64, "amount": pl.Float64, "direction": pl.String}
    frame = pl.read_csv(text_of(file), has_header=False, schema=schema)
    return _written(frame.to_arrow(), folder)


def by_pyarrow(file: Path, folder: Path) -> int:
    """The same with pyarrow's CSV reader."""
    types = {"id": pa.string(), "ts": pa.int64(), "price": pa.float64(), "amount": pa.float64(),
             "direction": pa.dictionary(pa.int32(), pa.string())}  # fmt: skip
    table = pc_csv.read_csv(
        pa.BufferReader(text_of(file)),
        read_options=pc_csv.ReadOptions(column_names=NAMES),
        convert_options=pc_csv.ConvertOptions(column_types=types),
    )
    return _written(table, folder)


def _written(found: pa.Table, folder: Path) -> int:
    rows = found.num_rows
    words = pa.dictionary(pa.int32(), pa.string())
    schema = arrow_schema(dataset("trades"))
    times = np.asarray(found["ts"].combine_chunks()) * 1000
    table = pa.table(
        {
            "trade_time": pa.array(times).view(_UTC),
            "trade_id": found["id"].cast(pa.string()),
            "price": found["price"],
            "quantity": found["amount"],
            "quote_quantity": pa.nulls(rows, pa.float64()),
            "contracts": pa.nulls(rows, pa.float64()),
            "side": found["direction"].cast(words),
            "source": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["archive"]),
            "received_at": pa.array(np.full(rows, times[0])).view(_UTC),
        }
    )
    style = style_of(schema)
    dictionary, encoding = style.encodings(schema)
    pq.write_table(
        table, folder / "trades.parquet", row_group_size=style.row_group, compression="zstd",
        compression_level=style.level, use_dictionary=dictionary, column_encoding=encoding, store_schema=False,
    )  # fmt: skip
    return rows


def usual_recipe(file: Path, folder: Path) -> int:
    """What people write."""
    frame = pd.read_csv(file, names=NAMES)
    frame["ts"] = pd.to_datetime(frame["ts"], unit="ms", utc=True)
    frame.to_parquet(folder / "trades.parquet")
    return len(frame)


# ------------------------------------------------------------------------------------------- many small files


def checksum_beside(file: Path) -> None:
    file.with_suffix(".CHECKSUM").write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")


_CANDLE = dict.fromkeys(("open", "close", "high", "low", "vol", "amount"), pl.Float64)


def small_files(base: str, names: list[str], folder: Path) -> int:
    """Fetch, unzip, parse, and one write at the end: a loop over a session, nothing checked, nothing remembered."""
    folder.mkdir()
    frames = []
    with requests.Session() as session:
        for name in names:
            text = text_of(session.get(f"{base}/{name}").content)
            frames.append(pl.read_csv(text, has_header=False, schema={"id": pl.Int64, **_CANDLE}))
    frame = pl.concat(frames)
    frame.write_parquet(folder / "candles.parquet", compression="zstd", compression_level=1)
    return len(frame)


def backfill(base: str, lake: Path, symbols: list[str], count: int) -> int:
    """Ours over the same files: listed, fetched, verified, parsed, committed by month with their coverage."""
    settings = config.load(
        environ={
            "HTXDATA_LAKE": str(lake),
            "HTXDATA_TAPE": str(lake / "tape"),
            "HTXDATA_HOSTS__HTX_ARCHIVE": base,
            "HTXDATA_HOSTS__HTX_SPOT_REST": base,  # nobody there: only the archive is asked
            "HTXDATA_BUDGETS__HTX_ARCHIVE": "100000",
        }
    )
    start = "2020-12-31T16:00"
    end = str(np.datetime64(start) + np.timedelta64(count // len(symbols), "D"))
    with Session(settings, say=lambda text: None) as session:
        requests_ = [Request("klines", "htx-spot", tuple(symbols), ("1min",), start, end)]
        plans = make_plans(requests_, session, ask=False)
        jobs = [job for plan in plans for job in plan.of("archive")]
        outcomes = run_jobs(jobs, session, workers=2)
        assert not any(outcome.missing for outcome in outcomes)
        added = sum(outcome.added for outcome in outcomes)
        assert added == 1440 * count, added
        return added
