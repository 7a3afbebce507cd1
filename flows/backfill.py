"""The flow ``backfill``: fill what is not covered yet, one task per partition.

python flows/backfill.py '{"dataset": "klines", "venue": "htx-spot", "symbols": ["btcusdt"], "periods": ["60min"],
"start": "2024-01-01", "end": "2024-02-01"}'
"""

from __future__ import annotations

from prefect import flow

from flows.by_hand import run
from flows.fan_out import fill_all
from htxdata.ingest.asked import Request


@flow(name="backfill", flow_run_name="backfill {dataset} {venue}")
def backfill(
    dataset: str,
    venue: str,
    symbols: list[str],
    start: str,
    end: str | None = None,
    periods: list[str] | None = None,
    config: str | None = None,
) -> dict[str, int]:
    """The same as ``htxdata backfill``; ends as failed where spans are left missing.

    ``config`` is a configuration file; without it ``HTXDATA_CONFIG`` or ``htxdata.toml`` counts.
    """
    return fill_all([Request(dataset, venue, tuple(symbols), tuple(periods or ()), start, end)], config)


if __name__ == "__main__":
    run(backfill)
