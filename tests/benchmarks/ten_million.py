"""Ten million candles at a venue's pace, by plain functions or by the flow. Prints wall seconds and rows.

``python ten_million.py plain|prefect HTX_SPOT_REST FOLDER``. The flow finds a Prefect server by ``PREFECT_API_URL``,
whose start is not in the figure, for one server serves every run; the import of Prefect is.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

SYMBOLS = ("btcusdt", "ethusdt", "dogeusdt", "ethbtc")
START, END = "2021-01-01", "2025-10-06"  # 2.5 million minutes each
BUDGET = "40"  # requests per second: five times what HTX's own limits leave, so the share found here is an upper bound


def main(how: str, host: str, folder: str) -> None:
    Path(folder).mkdir(parents=True)
    file = Path(folder) / "htxdata.toml"
    file.write_text(
        f'lake = "{folder}/lake"\ntape = "{folder}/tape"\n[hosts]\nhtx_spot_rest = "{host}"\n'
        f"[budgets]\nhtx_spot_rest = {BUDGET}\n"
    )
    began = time.perf_counter()
    if how == "plain":
        from htxdata import config
        from htxdata.ingest.asked import Request
        from htxdata.ingest.run import backfill
        from htxdata.ingest.session import Session

        with Session(config.load(file), say=lambda text: None) as session:
            request = Request("klines", "htx-spot", SYMBOLS, ("1min",), START, END)
            report = backfill([request], session)
        assert report.complete
        rows = report.total("added")
    else:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
        from flows.backfill import backfill as flow

        rows = flow("klines", "htx-spot", list(SYMBOLS), START, END, ["1min"], str(file))["added"]
    print(time.perf_counter() - began, rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
