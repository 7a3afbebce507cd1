"""What a file system must do to carry a lake. Local disk inherits it today, S3 on the day it arrives.

A subclass gives ``verbs`` (an object with the functions of ``store/disk.py``), ``home`` (where partitions may lie), and
``listed``, which looks behind the back of the verbs: they never mark their own work.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import ModuleType

import pytest


class DiskContract:
    @pytest.fixture
    def verbs(self) -> ModuleType:
        raise NotImplementedError

    @pytest.fixture
    def home(self) -> Path:
        raise NotImplementedError

    def listed(self, folder: str) -> dict[str, bytes]:
        """Names of what a foreign reader finds under ``*.parquet``, with their bytes."""
        raise NotImplementedError

    def put(self, verbs: ModuleType, home: Path, content: bytes) -> None:
        with verbs.locked(home, f"{home}/a/b") as before:
            verbs.publish(f"{home}/a/b", before, content)

    def test_nothing_is_there_at_first(self, verbs: ModuleType, home: Path) -> None:
        assert verbs.newest(f"{home}/a/b") is None
        assert verbs.open_newest(f"{home}/a/b") is None
        assert verbs.folders(f"{home}/a") == []
        assert not list(home.iterdir()), "looking makes nothing"

    def test_what_is_published_is_the_newest_and_the_only_one_seen(
        self, verbs: ModuleType, home: Path
    ) -> None:
        for content in (b"one", b"two, longer", b"", b"three"):
            self.put(verbs, home, content)
            found = verbs.open_newest(f"{home}/a/b")
            with found[1]:
                assert found[1].read() == content
            assert self.listed(f"{home}/a/b") == {"part.parquet": content}
        assert verbs.folders(f"{home}/a") == ["b"]

    def test_an_open_handle_keeps_its_generation(self, verbs: ModuleType, home: Path) -> None:
        self.put(verbs, home, b"old")
        _, file = verbs.open_newest(f"{home}/a/b")
        with file:
            for _ in range(3):
                with verbs.locked(home, f"{home}/a/b", grace=0) as before:
                    verbs.publish(f"{home}/a/b", before, b"new")
            assert file.read() == b"old"

    def test_publishing_excludes_other_writers(self, verbs: ModuleType, home: Path) -> None:
        """Read, add one, publish, by several threads: no addition is lost."""

        def count() -> None:
            for _ in range(20):
                with verbs.locked(home, f"{home}/a/b", grace=0) as before:
                    number = int(Path(before.path).read_bytes()) if before else 0
                    verbs.publish(f"{home}/a/b", before, str(number + 1).encode())

        threads = [threading.Thread(target=count) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.listed(f"{home}/a/b") == {"part.parquet": b"60"}
