"""A process of the tests: mounts a bad disk where lake or tape are, runs commands, and prints what each ended with.

Run under ``unshare -rm`` (a user namespace of its own: nobody else sees the mount, and it goes with the process).
``python -m tests.chaos.on_a_bad_disk FOLDER HOW`` reads commands as JSON from stdin.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from htxdata.cli import main


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def make_bad(folder: Path, how: str) -> None:
    """``full``: both lie on a disk with not a byte left. ``read-only``: they cannot be written."""
    for name in ("lake", "tape"):
        place = folder / name
        place.mkdir(exist_ok=True)
        if how == "read-only":
            mount("--bind", str(place), str(place))
            mount("-o", "remount,bind,ro", str(place))
            continue
        kept = folder / f"{name}.kept"
        os.rename(place, kept)
        place.mkdir()
        mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place))
        subprocess.run(["cp", "-a", f"{kept}/.", str(place)], check=True)
        with contextlib.suppress(OSError), open(place / ".filler", "wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))


def run() -> None:
    folder, how = Path(sys.argv[1]), sys.argv[2]
    commands = json.load(sys.stdin)
    make_bad(folder, how)
    ended = []
    for words in commands:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: object = main(["--config", str(folder / "htxdata.toml"), *words])
            except SystemExit as error:
                code = error.code
            except BaseException as error:
                code = f"{type(error).__name__}: {error}"
        out.flush()
        ended.append([code, out.buffer.getvalue().decode(), err.getvalue()])  # type: ignore[attr-defined]
    print(json.dumps(ended))


if __name__ == "__main__":
    run()
