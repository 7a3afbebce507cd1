"""``python flows/backfill.py '{…}'``: a flow run from a shell, its parameters one JSON object."""

from __future__ import annotations

import json
import sys
from typing import Any

from prefect import Flow

from htxdata.errors import HtxdataError


def run(flow: Flow[..., dict[str, int]]) -> None:
    """Run the flow and exit as the ``htxdata`` command does: 0 complete, 1 failed, 2 wrong usage, 3 incomplete."""
    try:
        parameters: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
        flow.validate_parameters(parameters)
    except (ValueError, TypeError) as error:
        sys.exit(f"{flow.name}: the parameters must be a JSON object: {error}")
    try:
        flow(**parameters)
    except HtxdataError as error:
        print(f"htxdata: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(
            "htxdata: interrupted; what was committed stays, the same run goes on from there", file=sys.stderr
        )
        sys.exit(130)
