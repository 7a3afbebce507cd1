"""THE ONLY DISK. Parquet files that say themselves what they cover, and the views that read them.

::

    layout         partition <-> folder; pure
    footer         what a file says about itself
    rows           rows <-> the bytes of a file
    merge          two versions of rows become one; pure
    coverage       verdicts on spans; pure
    place          where a lake is, and what the store asks of that place
    disk           the verbs of a file system
    generations    what the files of a partition are called; pure
    drafts         files that grow until they are published
    healing        what a writer that died left is finished
    milestones     the steps of a commit between which a process may die
    lasting        what a power cut leaves
    refusals       what a disk says against being written
    whole          a file that is written as a whole
    bucket         the same verbs of a bucket, made of conditional writes
    bucket_reading those of its verbs that read
    objects        the requests to a bucket, and what goes wrong with them
    partition      the commit, and reading one partition or series
    stream         the commit of more rows than fit into memory: aside, slices, keys
    compact        one partition, one file, laid out as it should be
    ledger         the footers of a whole lake, and their cache
    narrow         which series a SQL statement can touch; pure
    reading        what a SQL statement may do; pure
    lake           DuckDB: answers to whoever reads
    tables         a method for every dataset
    views          what a lake is asked, as the text of SQL; pure
    instants       instants as they are written; pure
    damage         which file of an answer is damaged
    duck_files     what DuckDB opens of a bucket

What may not live here: a venue, a request, a decision about what to fetch. DuckDB is imported by ``lake`` alone,
pyarrow only where rows are touched: coverage is read without either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htxdata.store.coverage import Asked
    from htxdata.store.footer import Footer, Span
    from htxdata.store.lake import Lake, open_lake
    from htxdata.store.layout import Partition, partition_of, partitions
    from htxdata.store.ledger import lake_coverage
    from htxdata.store.partition import Committed, Store

__all__ = [
    "Asked", "Committed", "Footer", "Lake", "Partition", "Span", "Store", "lake_coverage", "open_lake", "partition_of",
    "partitions",
]  # fmt: skip

_HOMES = {
    "Asked": "coverage", "Committed": "partition", "Footer": "footer", "Lake": "lake", "Partition": "layout",
    "Span": "footer", "Store": "partition", "lake_coverage": "ledger", "open_lake": "lake", "partition_of": "layout",
    "partitions": "layout",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Names come from their modules when they are first asked for: ``import htxdata`` must stay quick."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"htxdata.store.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
