"""htxdata: the whole history of a market, on your disk, with a verdict on every hole.

The front door for notebooks::

    import htxdata
    lake = htxdata.open_lake()
    lake.klines("BTC-USDT", venue="htx-linear", period="1min", start="2024-01", end="2024-02").df()

Everything is imported when it is first asked for: ``import htxdata`` itself loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from htxdata.research.lake import Lake
    from htxdata.schema import DATASETS
    from htxdata.venues import VENUES

__version__ = "0.1.0"
__all__ = ["DATASETS", "VENUES", "__version__", "feeds", "open_lake"]


def open_lake(root: str | Path | None = None) -> Lake:
    """Open a lake read-only: ``root`` is a folder or ``s3://bucket/prefix``; without it, the ``lake`` of
    ``htxdata.toml`` or the environment. Opens in milliseconds, whatever the lake's size, and is safe beside running
    writers. A folder that is missing is an empty lake; ``LakeUnusable`` where it is a file. A bucket is first asked
    when something is. Besides what is stored it gives bars of any period (``period="7min"``, ``"utc_day"``), bars of
    trades (``lake.bars``) and as-of joins (``lake.asof``). All instants are UTC.
    """
    from htxdata.research.lake import Lake

    if root is None:
        from htxdata import config

        root = config.load().lake
    return Lake(root)


def __getattr__(name: str) -> Any:
    if name == "DATASETS":
        from htxdata.schema import DATASETS

        return DATASETS
    if name == "VENUES":
        from htxdata.venues import VENUES

        return VENUES
    if name == "feeds":
        from importlib import import_module

        return import_module("htxdata.feeds")
    raise AttributeError(f"module 'htxdata' has no attribute {name!r}")
