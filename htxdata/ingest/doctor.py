"""Is this machine fit to keep a lake: settings, software, hosts, clock, disks, the lake and its tapes, within seconds.

Each check names the culprit and the way out. Nothing here mends anything or makes a folder; what it asks of the venues
goes through the machine's budgets. No value of a secret is in what it says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from htxdata import config
from htxdata.config import Settings
from htxdata.errors import HtxdataError
from htxdata.ingest import doctor_bucket, doctor_lake, doctor_tape
from htxdata.ingest.doctor_disk import PLAN_S, Estimate, disk_check, soon
from htxdata.ingest.doctor_hosts import Asking, clock_check, host_checks
from htxdata.ingest.doctor_keys import key_checks
from htxdata.ingest.doctor_settings import settings_check, software_check
from htxdata.ingest.doctor_terms import Check, masked
from htxdata.keys import secret_values
from htxdata.store.place import SCHEME, root_of

Say = Callable[[str], None]


def examine(
    settings: Settings, say: Say = lambda text: None, environ: Mapping[str, str] | None = None
) -> list[Check]:
    """Every check, in the order in which to mend things. ``say`` is told what is under way. Raises nothing for what it
    finds."""
    env = os.environ if environ is None else environ
    began = time.monotonic()
    say("asking the hosts")
    asking, keys = Asking(settings), key_checks(settings, env)
    checks = [
        _safely("software", software_check),
        _safely("configuration", lambda: settings_check(settings, env)),
    ]
    asking.wait(0.5)  # what answers is timed before the walk keeps this process busy
    in_bucket = settings.lake.startswith(SCHEME)
    lake = _root(settings) if in_bucket else _folder("lake", settings)
    tape = _folder("tape", settings)
    estimate = Estimate(settings) if isinstance(lake, Path) else None
    grown: Mapping[str, tuple[int, int]] = {}
    health: list[Check] = []
    if isinstance(lake, Path):
        say("looking through the lake")
        try:
            found = doctor_lake.look(lake)
            grown = found.grown
            health += doctor_lake.lake_checks(settings.lake, found)
        except Exception as error:  # a doctor that falls ill names what he caught
            health.append(_ill("lake", error))
    bucket: Check | None = None
    if in_bucket:
        say("looking through the lake")
        try:
            bucket, seen = doctor_bucket.examine(settings.lake)
            health += doctor_lake.lake_checks(settings.lake, seen) if seen else []
        except Exception as error:
            bucket = _ill("bucket of the lake", error)
    if isinstance(tape, Path):
        say("looking at the tapes")
        known = Path("") if isinstance(lake, Check) else lake
        try:
            health += doctor_tape.tape_checks(settings.tape, tape, doctor_tape.look(tape, known))
        except Exception as error:
            health.append(_ill("tape", error))
    say("waiting for the hosts that have not answered yet")
    asked = asking.end()
    need, why = estimate.end(soon(began, PLAN_S), grown) if estimate else (None, "the lake is none")
    checks += host_checks(asked)
    checks.append(clock_check(asked))
    checks += [check.end() for check in keys]
    for key, folder in (("lake", bucket or lake), ("tape", tape)):
        if isinstance(folder, str):
            continue
        if isinstance(folder, Check):
            checks.append(folder)
        else:
            wanted = (need, why) if key == "lake" else (None, "")
            checks.append(_safely(f"disk of the {key}", partial(disk_check, key, folder, *wanted)))
    secrets = [*secret_values(env), *filter(None, [settings.alerts.webhook])]
    return [masked(check, secrets) for check in (*checks, *health)]


def _root(settings: Settings) -> str | Check:
    """The root of a lake in a bucket, or what is wrong with it."""
    try:
        return str(root_of(settings.lake))
    except HtxdataError as error:
        return Check("bucket of the lake", "problem", str(error))


def _folder(key: str, settings: Settings) -> Path | Check:
    """The folder that is set, or what is wrong with it."""
    try:
        return Path((config.lake if key == "lake" else config.local_tape)(settings)).expanduser().absolute()
    except HtxdataError as error:
        return Check(f"disk of the {key}", "problem", str(error))
    except OSError as error:
        name = getattr(settings, key)
        return Check(
            f"disk of the {key}", "problem", f"{key} = {name!r}: {error.strerror}; set another folder"
        )


def _safely(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except Exception as error:  # a doctor that falls ill names what he caught
        return _ill(name, error)


def _ill(name: str, error: Exception) -> Check:
    return Check(
        name, "problem", f"this check itself failed: {type(error).__name__}: {error}; please report it"
    )
