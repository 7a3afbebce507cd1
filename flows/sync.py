"""The flow ``sync``: every ``[[keep]]`` of the configuration up to now.

python flows/sync.py '{"config": "htxdata.toml"}'
"""

from __future__ import annotations

from prefect import flow

from flows.by_hand import run
from flows.fan_out import fill_all
from htxdata.config import load
from htxdata.ingest.asked import keep_requests


@flow(name="sync", flow_run_name="sync")
def sync(config: str | None = None) -> dict[str, int]:
    """The same as ``htxdata sync``; ends as failed where spans are left missing."""
    return fill_all(keep_requests(load(config)), config)


if __name__ == "__main__":
    run(sync)
