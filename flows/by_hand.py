"""``python flows/backfill.py '{…}'``: a flow run from a shell, its parameters one JSON object, its answer another one.

`htxdata serve` runs flows in the same way, in a process each, with ``--leave-with-parent`` and ``HTXDATA_RUN`` set.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from prefect import Flow, tags
from prefect.settings import (
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from flows.words import RUN, TAGS, WITH_PARENT
from htxdata import config
from htxdata.errors import HtxdataError
from htxdata.ingest.journal import line, to_stderr

PATIENT = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180, PREFECT_SERVER_ANALYTICS_ENABLED: False}
"""Where nobody set it otherwise. A temporary server takes 5 s to come up, 25 on a machine with a load of 15; Prefect
waits 20 and then fails the run. And it is to call nobody."""


def run(flow: Flow[..., dict[str, int]]) -> None:
    """Run the flow and exit as the ``htxdata`` command does: 0 complete, 1 failed, 2 wrong usage, 3 incomplete."""
    if WITH_PARENT in sys.argv:
        sys.argv.remove(WITH_PARENT)
        threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        parameters: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
        flow.validate_parameters(parameters)
    except (ValueError, TypeError) as error:
        sys.exit(f"{flow.name}: the parameters must be a JSON object: {error}")
    say: Callable[..., None] = print
    try:
        log = config.load(parameters.get("config")).log
        if log == "json" or RUN in os.environ:
            to_stderr("prefect", "prefect.flow_runs", "prefect.task_runs", "htxdata", log=log)
        if log == "json":
            say = _as_json
        with temporary_settings(set_defaults=PATIENT), tags(*os.environ.get(TAGS, "").split()):
            done = flow(**parameters)
        print(json.dumps(done), flush=True)
    except HtxdataError as error:
        say(f"htxdata: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say(
            "htxdata: interrupted; what was committed stays, the same run goes on from there", file=sys.stderr
        )
        sys.exit(130)


def _as_json(text: str, file: Any) -> None:
    print(line(text, "error"), file=file, flush=True)


def _leave_with_parent() -> None:
    """Whoever started this process holds the other end of its stdin; when it dies, however that happens, so do we."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)

