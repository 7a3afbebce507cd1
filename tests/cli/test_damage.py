"""A file of the lake is damaged, or is not ours: every command says which, does the rest, and the way out works."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from tests.truth import configuration, stored

Captured = pytest.CaptureFixture[str]
HARMED = Series("klines", "htx-spot", "bmtusdt", "60min")
SOUND = Series("klines", "htx-spot", "btcusdt", "60min")
KEEP = """
[[keep]]
venue = "htx-spot"
dataset = "klines"
symbols = ["bmtusdt", "btcusdt"]
periods = ["60min"]
since = "2025-06-01"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=23, limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def template(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    config = configuration(sandbox, folder, more=KEEP)
    for symbol in ("bmtusdt", "btcusdt"):
        words = ["--symbol", symbol, "--period", "60min", "--start", "2025-06-01", "--end", "2025-07-11"]
        assert main(["--config", str(config), "backfill", "klines", "--venue", "htx-spot", *words]) == 0
    return folder


@pytest.fixture
def place(sandbox: Sandbox, template: Path, tmp_path: Path) -> Path:
    """A lake with two series of forty days, filled; the folder around it is the working directory."""
    shutil.copytree(template / "lake", tmp_path / "lake")
    configuration(sandbox, tmp_path, more=KEEP)
    return tmp_path


def run(place: Path, *words: str) -> int:
    return main(["--config", str(place / "htxdata.toml"), *words])


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


HARM: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[:-100],
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "not Parquet": lambda content: b"PAR1 no more",
    "noughts": lambda content: bytes(len(content)),
    "a bit of the length": lambda content: flipped(content, len(content) - 7),
    "a bit of the footer": lambda content: flipped(content, content.rfind(b'{"v":1') + 1),
}
ROWS: dict[str, Callable[[bytes], bytes]] = {
    f"a bit of the rows, at {share}": lambda content, share=share: flipped(content, int(len(content) * share))  # type: ignore[misc]
    for share in (0.1, 0.3, 0.6)
} | {"a bit of a column's name": lambda content: flipped(content, content.find(b"\x18\x04open") + 2)}
"""What shows when rows are read, to who verifies the sums of their pages: DuckDB does not."""


def harm(place: Path, how: Callable[[bytes], bytes]) -> Path:
    """The newest file of one series, in both of its names."""
    (folder,) = (place / "lake").glob("klines/*/symbol=bmtusdt/*/cell=*")
    (newest,) = folder.glob(".g*.pq")
    content = how(newest.read_bytes())
    newest.write_bytes(content)
    (folder / "part.parquet").write_bytes(content)
    return newest


def told(capsys: Captured, path: Path) -> tuple[bool, bool]:
    """Whether stderr names the file and the way out; and no traceback."""
    said = capsys.readouterr()
    everything = said.out + said.err
    assert "Traceback" not in everything
    return str(path.parent.name) in everything and path.name in everything, "out of the lake" in said.err


def few(names: list[str], *chosen: str) -> list[Any]:
    """Some of them in the default suite, all in `make slow`."""
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", few([*HARM, *ROWS], "truncated", "a bit of the rows, at 0.3"))
def test_a_damaged_partition_is_named_the_rest_is_filled_and_the_way_out_heals_it(
    place: Path, capsys: Captured, name: str
) -> None:
    """Whatever was done to it: `sync` fills the other series and ends with 1, `audit` and `doctor` name the file, and
    with its folder moved away the next run brings the same rows back."""
    before = stored(place / "lake", HARMED)
    path = harm(place, (HARM | ROWS)[name])
    asked = before["open_time"][0]
    assert run(place, "sync") == 1
    assert told(capsys, path) == (True, True)
    assert len(stored(place / "lake", SOUND)["open_time"]) > len(before["open_time"])
    assert run(place, "audit") == 3
    assert told(capsys, path)[0]
    assert run(place, "doctor") == 3
    said = capsys.readouterr().out
    assert path.parent.name in said
    assert "cannot be read" in said
    if run(place, "compact") != 0:  # it reads rows only where there is something to do
        assert told(capsys, path)[0]

    shutil.move(path.parent, place / "aside")
    assert run(place, "sync") == 0
    capsys.readouterr()
    after = stored(place / "lake", HARMED)
    assert asked == after["open_time"][0]
    for column in ("open_time", "open", "high", "low", "close", "volume", "trade_count"):
        assert after[column][: len(before[column])] == before[column]


@pytest.mark.parametrize("name", few([*HARM], "a bit of the footer"))
def test_readers_name_the_file_and_read_the_others(place: Path, capsys: Captured, name: str) -> None:
    """Exit code 1 with the file and the way out; what does not touch the file answers as ever."""
    path = harm(place, HARM[name])
    everything = "select count(*) from klines"
    assert run(place, "query", "select sum(close) from klines where symbol = 'btcusdt'") == 0
    capsys.readouterr()
    if (
        name == "a bit of the footer"
    ):  # DuckDB reads what it needs of a file, and that is not what we wrote there
        assert run(place, "query", everything) == 0
    else:
        assert run(place, "query", everything) == 1
        assert told(capsys, path) == (True, True)
    assert run(place, "coverage") == 1
    said = capsys.readouterr()
    assert ("btcusdt" in said.out, path.name in said.err) == (True, True)
    assert run(place, "coverage", "--symbol", "btcusdt") == 0
    export = (
        "export",
        "backtesting.py",
        "--venue",
        "htx-spot",
        "--output",
        f"{place}/out",
        "--period",
        "60min",
    )
    assert run(place, *export, "--symbol", "bmtusdt") == 1
    capsys.readouterr()
    assert run(place, *export, "--symbol", "btcusdt") == 0
    capsys.readouterr()
    assert run(place, "report", "--output", str(place / "report.html")) == 3
    assert told(capsys, path)[0]
    assert "btcusdt" in (place / "report.html").read_text()


def test_what_is_not_ours_is_named_and_harms_nobody(place: Path, capsys: Captured) -> None:
    """Files and folders of others, in the lake and in the tape, at every level: `doctor` names them, all commands work
    as before, and none is removed."""
    lake, tape = place / "lake", place / "tape"
    spot, day = (
        lake / "klines" / "venue=htx-spot",
        tape / "venue=htx-spot" / "feed=trades" / "date=2025-06-01",
    )
    (folder,) = lake.glob("klines/*/symbol=bmtusdt/*/cell=*")
    strays = [
        lake / "notes.txt", lake / "klines" / "README",
        spot.with_name("venue=%2E%2E") / "a", lake / "own" / "a.parquet",
        spot / "symbol=%ZZ" / "a", folder / "notes.txt", folder.parent / "cell=2025-99" / "a",
        folder.parent.parent / "period=7min" / "cell=2025" / "part.parquet", folder / "folder.parquet" / "a",
        tape / "notes.txt", tape / "venue=htx-spot" / "x", day.parent / "x", day / "x.reel", day / "y.tape",
    ]  # fmt: skip
    for path in strays:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not ours")
    rows = stored(lake, HARMED)
    assert run(place, "coverage") == 0
    assert run(place, "query", "select count(*) from klines") == 0
    assert run(place, "audit") == 0
    assert run(place, "compact") == 0
    assert run(place, "distil") == 0
    assert run(place, "sync") == 0
    assert run(place, "report", "--output", str(place / "report.html")) == 0
    capsys.readouterr()
    run(place, "doctor", "--json")
    said = capsys.readouterr().out
    for path in strays:
        assert path.read_bytes() == b"not ours"
    for name in ("notes.txt", "README", "own", "symbol=%ZZ", "cell=2025-99", "period=7min"):
        assert name in said
    assert stored(lake, HARMED)["close"][: len(rows["close"])] == rows["close"]
