"""Files for others: there when they are complete, and nothing else of them is ever left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.store import whole as room
from htxdata.store.whole import replace_text, whole


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Each test is a process that has not looked around yet."""
    room._swept.cache_clear()


def test_it_appears_when_it_is_complete_and_not_before(tmp_path: Path) -> None:
    """A block that fails leaves what was there, and nothing beside it."""
    target = tmp_path / "a.csv"
    with whole(target) as file:
        file.write(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one"

    def dies() -> None:
        with whole(target) as file:
            file.write(b"two")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.csv", b"one")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "www").mkdir()
    (tmp_path / "page.html").symlink_to("www/page.html")
    replace_text(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "www" / "page.html").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or a device is no file to be replaced: a superuser's ``--output /dev/null`` would put one in its place."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_bytes()))
    reader.start()
    assert main(["query", "select 1 as a", "--format", "csv", "--output", "pipe"]) == 0
    reader.join()
    assert heard == [b'"a"\n1\n']
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize(
    "words", [["query", "select 1", "--output"], ["report", "--output"]], ids=["query", "report"]
)
def test_a_full_disk_is_no_wrong_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and the sentence that other writers have for it. (/dev/full is always full.)"""
    monkeypatch.chdir(tmp_path)
    assert main([*words, "/dev/full"]) == 1
    assert capsys.readouterr().err == "htxdata: the disk is full: --output '/dev/full' was not written\n"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    """Law 3: nobody has to tidy up."""
    target = tmp_path / "a.csv"
    killed = (
        "import os, pathlib, sys; from htxdata.store.whole import whole\n"
        "with whole(pathlib.Path(sys.argv[1])) as file:\n    file.write(b'half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(target)]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with whole(target) as first:
        first.write(b"first")
        room._swept.cache_clear()
        with whole(tmp_path / "b.csv") as second:
            second.write(b"second")
            assert room.sweep(tmp_path) == room.sweep(tmp_path.parent, below=True) == 0
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"a.csv": b"first", "b.csv": b"second"}


def test_the_page_goes_to_stdout_for_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the answer of a query does; no file is named ``-``."""
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--output", "-"]) == 0
    out = capsys.readouterr().out
    assert (out.startswith("<!doctype html>"), out.rstrip().endswith("</html>")) == (True, True)
    assert list(tmp_path.iterdir()) == []
