"""Which of the files that a statement read is damaged: DuckDB's messages seldom say."""

from __future__ import annotations

import contextlib

from htxdata.errors import CorruptPartition
from htxdata.schema import Dataset
from htxdata.store import footer, place


def find(verbs: place.Verbs, paths: list[str], *, whole: bool) -> None:
    """``CorruptPartition`` for the first of ``paths`` whose footer cannot be read. ``whole``: nor the metadata
    of Parquet, in which what is wrong may lie as well."""
    for path in paths:
        try:
            with verbs.open_path(path, tail=True) as file:
                footer.read(file, path)
                if whole:
                    import pyarrow.parquet as pq

                    pq.ParquetFile(file)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # Arrow's errors are both
            raise CorruptPartition(f"{path} cannot be read: {error}") from error


def read_through(declared: Dataset, path: str, said: str) -> None:
    """``CorruptPartition`` where a file cannot be read to its end. One that ``said``, DuckDB's message, cannot mean, as
    it names another, is left out."""
    if path not in said and ".pq" in said:
        return
    from htxdata.store import rows

    with contextlib.suppress(FileNotFoundError), place.verbs(path).open_path(path) as file:
        for _ in rows.Reader(declared, file, path).tables():
            pass
