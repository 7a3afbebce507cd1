"""The commands: parsing and printing only. What they do lives in ``ingest`` and ``store``.

``options.py`` the arguments and their help; ``commands.py`` one function per command; ``show.py`` tables, progress and
charts; ``demo.py`` the guided tour. Heavy imports happen inside a command, so that ``--help`` is instant.

Nothing but the answer goes to stdout; progress, notes and errors go to stderr.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder

from htxdata.cli import show
from htxdata.errors import CorruptPartition, HtxdataError

_NO_FRAMES = frozenset({"backfill", "sync", "plan", "snapshot", "audit", "compact", "capture", "distil"})
"""Commands that never make a pandas frame."""

_COMMITTING = frozenset({"backfill", "sync", "snapshot", "capture", "distil", "compact", "demo", "serve"})
"""Commands that commit as they go; the others have done nothing before they have done all."""


MEND = (
    "htxdata: all other partitions are as they were; move the folder of this one (cell=…) out of the lake: the next "
    "backfill or sync of that time fetches it again, and htxdata distil --again brings back what was captured; "
    "htxdata doctor names every file that is damaged"
)


class _NoFrames(MetaPathFinder):
    """There is no pandas here. (None in `sys.modules` will not do: compiled code takes it for the module.)"""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("this command makes no pandas frames", name=name)


class _Leave:
    """The end of the process, once everything that is to be done at its end was done.

    Python is not taken down: a thread of Arrow that has read through a Python file, and wants to let go of it, then
    ends the process with SIGABRT, one time in thousands, after all went well (apache/arrow issues 34314 and 45017).
    """

    code = 1

    def __call__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # the reader of our output left
                stream.flush()
        os._exit(self.code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 complete, 1 failed, 2 wrong usage, 3 incomplete, 130 interrupted.

    Without ``argv`` it is the command of this process, which ends with it.
    """
    if argv is not None:
        return _run(argv)
    leave = _Leave()
    atexit.register(leave)  # the first that is registered is the last that is called
    try:
        leave.code = _run(None)
    except SystemExit as error:  # of argparse
        leave.code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        raise
    return leave.code


def _run(argv: Sequence[str] | None) -> int:
    from htxdata.cli.options import parser

    command = ""
    try:
        options = parser().parse_args(argv)
        command = options.command
        if argv is None and command in _NO_FRAMES:
            # At the first array that it is given, Arrow imports pandas if there is one, and that takes longer than all
            # other imports together. Only in a process of our own.
            sys.meta_path.insert(0, _NoFrames())
        return int(options.run(options))
    except HtxdataError as error:
        show.note(f"htxdata: {error}")
        if isinstance(error, CorruptPartition):
            show.note(MEND)
        return error.exit_code
    except KeyboardInterrupt:
        stays = "; what was committed stays, the same command goes on from there"
        show.note(f"htxdata: interrupted{stays if command in _COMMITTING else ''}")
        return 130
    except BrokenPipeError:
        # The reader of our output left (`| head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" {error.filename!r}" if error.filename else ""
        show.note(f"htxdata: {error.strerror or error}{where}")
        return 1
    finally:
        show.speak("text")
