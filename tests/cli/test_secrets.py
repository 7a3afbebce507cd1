"""Nothing that is printed, stored, taped or shown to other processes holds a key or a signature, come what may."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pyarrow.parquet as pq
import pytest

from htxdata.cli import main
from htxdata.sandbox import ApiKey, Faults, Rule, Sandbox
from htxdata.store import reel, tape
from htxdata.timeline import iso
from tests.truth import configuration

ROOT = Path(__file__).resolve().parents[2]
KEY = ApiKey("TOPSECRET-access-7f3a9c", "TOPSECRET-secret-51e0bd")
ROUGH = (
    Rule("error", 0.15, path="/v1/*"), Rule("drop", 0.1, path="/v1/*"), Rule("cut", 0.1, path="/v1/*"),
    Rule("disconnect", between=(1.0, 60.0), times=2, host="htx_spot_ws", seconds=0.3),
    Rule("error", times=1, path="/api/v1/userDataStream"),
)  # fmt: skip


def day(days: float) -> str:
    return iso((int(time.time() - days * 86_400) // 3600) * 3_600_000_000)


COMMANDS = (
    (
        [
            "backfill",
            "own_fills",
            "--venue",
            "htx-spot",
            "--symbol",
            "btcusdt",
            "--start",
            day(3),
            "--end",
            day(1),
        ],
        (0, 3),
    ),
    (
        [
            "backfill",
            "own_orders",
            "--venue",
            "htx-spot",
            "--symbol",
            "btcusdt",
            "--start",
            day(2),
            "--end",
            day(1),
        ],
        (0, 3),
    ),
    (["snapshot", "own_balances", "--venue", "htx-spot"], (0, 3)),
    (["capture", "--venue", "htx-spot", "--feed", "own_*", "--symbol", "*", "--for", "4s"], (0, 3)),
    (["capture", "--venue", "hashkey", "--feed", "own_*", "--symbol", "*", "--for", "8s"], (0, 3)),
    (["doctor", "--json"], (0, 3)),
    (["coverage", "--json"], (0,)),
    (["query", "select * from own_fills", "--format", "json"], (0,)),
)


def pieces(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything in a folder as texts: bytes as they are, and what is packed in them."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.name == "htxdata.toml":
            continue
        yield path, path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            yield (
                path,
                str(pq.read_table(path, partitioning=None).to_pydict())
                + str(pq.read_metadata(path).metadata),
            )
    for path in reel.reels(folder / "tape"):
        for _, found in reel.read(path):
            if isinstance(found, reel.Frames):
                yield path, "".join(body.decode("latin-1") for body in found.bodies)
            elif isinstance(found, reel.Record):
                yield path, str(found.said) + found.body.decode("latin-1")
    for taped in tape.replies(folder / "tape"):
        yield folder / "tape", repr(taped)


def signatures(sandbox: Sandbox) -> set[str]:
    """Every signature that was sent, as it is and percent-encoded."""
    asked = [dict(parse_qsl(r.query)) for r in sandbox.requests]
    made = {said.get("Signature", "") for said in asked} | {said.get("signature", "") for said in asked}
    for command in sandbox.commands:
        said = json.loads(command.text)
        made.add(said.get("params", {}).get("signature", "") if isinstance(said, dict) else "")
    made.discard("")
    return made | {quote(one, safe="") for one in made}


class Watch(threading.Thread):
    """Looks at the command lines of all processes of this machine while something runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen += line.read_bytes().decode("latin-1") if "htxdata" in line.read_text() else ""
                except OSError:
                    continue

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@pytest.mark.wide
def test_a_bad_day_tells_nothing(tmp_path: Path) -> None:
    """Commands as processes, with errors, cuts, garbage and lost connections, and with event loops that tell more:
    neither half of the key, nor any signature or key that was lent to listen with, is in what they print, in the lake,
    on the tapes, in the budgets' files, or in the process list."""
    with Sandbox(
        seed=5, limits=False, faults=Faults(*ROUGH), keys=(KEY,), own_seconds=600, ping_seconds=0.3, listen_seconds=1.5
    ) as sandbox:
        config = configuration(sandbox, tmp_path, rate=200.0)
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HTX_ACCESS_KEY": KEY.access,
            "HTX_SECRET_KEY": KEY.secret,
            "HASHKEY_API_KEY": KEY.access,
            "HASHKEY_SECRET_KEY": KEY.secret,
            "PYTHONASYNCIODEBUG": "1",
        }
        said = ""
        with Watch() as watch:
            for words, codes in COMMANDS:
                log = "json" if "hashkey" in words else "text"
                done = subprocess.run(
                    [sys.executable, "-m", "htxdata", "--config", str(config), *words], capture_output=True,
                    text=True, env={**env, "HTXDATA_LOG": log}, check=False, timeout=120,
                )  # fmt: skip
                assert done.returncode in codes, (words, done.stderr[-2000:])
                said += done.stdout + done.stderr
            wrong = subprocess.run(
                [sys.executable, "-m", "htxdata", "--config", str(config), *COMMANDS[0][0][:-4], "--start", day(9)],
                capture_output=True, text=True, env={**env, "HTX_SECRET_KEY": "TOPSECRET-another"}, check=False,
            )  # fmt: skip
            assert wrong.returncode == 1
            said += wrong.stdout + wrong.stderr
        assert "own_fills" in watch.seen
        assert "Verification failure" in said
        assert len(sandbox.lent_keys) >= 2
        words_never_said = {KEY.access, KEY.secret, "TOPSECRET", *signatures(sandbox), *sandbox.lent_keys}
        assert len(words_never_said) > 20
        assert any("venue=hashkey/feed=own_fills" in str(path) for path in reel.reels(tmp_path / "tape"))
        places = [("what was printed", said), ("the process list", watch.seen), *pieces(tmp_path)]
        assert sum(str(place).endswith(".parquet") for place, _ in places) >= 3
        for place, text in places:
            assert not [word for word in words_never_said if word in text], place


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Any:
    """Whatever any library logs, down to the smallest."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_no_error_holds_a_signed_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, heard: Any
) -> None:
    """The venue answers with errors, then refuses, then hangs up: messages, logs and tracebacks name the path alone."""
    monkeypatch.setenv("HTX_ACCESS_KEY", KEY.access)
    monkeypatch.setenv("HTX_SECRET_KEY", KEY.secret)
    told = ""
    for rule in (Rule("error"), Rule("ban"), Rule("cut"), Rule("drop")):
        with Sandbox(
            seed=5, limits=False, faults=Faults(Rule(rule.kind, path="/v1/order/*")), keys=(KEY,)
        ) as sandbox:
            config = str(configuration(sandbox, tmp_path / rule.kind, rate=500.0))
            words = ["--start", day(1.5), "--end", day(1), "--symbol", "btcusdt", "--venue", "htx-spot"]
            monkeypatch.setattr("htxdata.protocol.backoff.FIRST_S", 0.01)
            monkeypatch.setattr("htxdata.protocol.backoff.CAP_S", 0.02)
            monkeypatch.setattr("htxdata.protocol.pacing.BAN_S", 0.05)
            assert main(["--config", config, "backfill", "own_fills", *words]) == 3
            out, err = capsys.readouterr()
            told += out + err
            assert "/v1/order/matchresults" in err
            signed = signatures(sandbox)
            assert signed
        told += "".join(record.getMessage() + str(record.exc_text or "") for record in heard.records)
        for word in (KEY.access, KEY.secret, "TOPSECRET", "Signature", *signed):
            assert word not in told
        for place, text in pieces(tmp_path / rule.kind):
            assert "TOPSECRET" not in text, place
