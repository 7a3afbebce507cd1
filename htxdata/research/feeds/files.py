"""The folder that an export goes to: whole files or none, and the same bytes for the same rows."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from htxdata.errors import UsageError
from htxdata.store.refusals import unwritten
from htxdata.store.whole import whole

if TYPE_CHECKING:
    import pandas as pd

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: no file tells when it was made


class Folder:
    """Files appear under their names when they are complete; one that was there is replaced, others are left alone."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.files: list[str] = []
        """What was written, relative to the root, in order."""

        with self._telling():
            self.root.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file to be written from its beginning to its end."""
        path = self.root / name
        with self._telling():
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as file:
                yield file
        self.files.append(name)

    def write(self, name: str, content: bytes | str) -> None:
        with self.open(name) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def parquet(self, name: str, frame: pd.DataFrame) -> None:
        """A frame that pandas reads back as it is: index, its name, its time zone."""
        self.table(name, pa.Table.from_pandas(frame))

    def table(self, name: str, table: pa.Table) -> None:
        """Parquet."""
        with self.open(name) as file:
            pq.write_table(table, file, compression="zstd")

    def feather(self, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
        """Feather version 2 (lz4), a batch for every table."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with self.open(name) as file, pa.ipc.new_file(file, schema, options=options) as writer:
            for table in tables:
                for batch in table.combine_chunks().to_batches():
                    writer.write_batch(batch)

    def csv(self, name: str, table: pa.Table) -> None:
        """Comma separated, with a header; texts are written as they are."""
        self.write(name, csv(table, header=True))

    def zip(self, name: str, entry: str, content: bytes) -> None:
        """A zip of one file."""
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            about = zipfile.ZipInfo(entry, _EPOCH)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            archive.writestr(about, content)
        self.write(name, held.getvalue())

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritten(f"--output {str(self.root)!r}", error, UsageError) from None


def csv(table: pa.Table, *, header: bool) -> bytes:
    """Lines of a table whose columns are texts and whole numbers; NULL is an empty field."""
    out = io.BytesIO()
    options = pacsv.WriteOptions(include_header=header, quoting_style="none", quoting_header="none")
    pacsv.write_csv(table, out, options)
    return out.getvalue()


__all__ = ["Folder", "csv"]
