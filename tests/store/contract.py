"""What a place must do to carry a lake. Local disk and bucket inherit it.

A subclass gives ``verbs`` (what ``store/place.py`` describes), ``home`` (where partitions may lie), and ``listed``,
which looks behind the back of the verbs: they never mark their own work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from htxdata.store.generations import Generation
from htxdata.store.place import Root, Verbs


class DiskContract:
    rounds = 20  # of each of three writers

    @pytest.fixture
    def verbs(self) -> Verbs:
        raise NotImplementedError

    @pytest.fixture
    def home(self) -> Root:
        raise NotImplementedError

    @pytest.fixture
    def listed(self) -> Callable[[str], dict[str, bytes]]:
        """Names of what a foreign reader finds under ``*.parquet`` in a folder, with their bytes."""
        raise NotImplementedError

    def put(self, verbs: Verbs, home: Root, content: bytes, grace: float = 900, folder: str = "a/b") -> None:
        name = f"{home}/{folder}"
        verbs.alone(home, name, grace, lambda before: verbs.publish(name, before, content))

    def test_nothing_is_there_at_first(self, verbs: Verbs, home: Root) -> None:
        assert verbs.newest(f"{home}/a/b") is None
        assert verbs.open_newest(f"{home}/a/b") is None
        assert verbs.look().folders(f"{home}/a") == []
        assert verbs.untidy(f"{home}/a/b") == (frozenset(), ())
        assert verbs.load(f"{home}/.htxdata/x") is None
        assert not verbs.is_folder(f"{home}/a"), "looking makes nothing"

    def test_what_is_published_is_the_newest_and_the_only_one_seen(
        self, verbs: Verbs, home: Root, listed: Callable[[str], dict[str, bytes]]
    ) -> None:
        for content in (b"one", b"two, longer", b"0", b"three"):
            self.put(verbs, home, content)
            for tail in (False, True):
                found = verbs.open_newest(f"{home}/a/b", tail=tail)
                assert found is not None
                assert found[0] == verbs.newest(f"{home}/a/b")
                with found[1]:
                    assert found[1].read() == content
            assert listed(f"{home}/a/b") == {"part.parquet": content}
            stamp = verbs.stamp(found[0].path)
            assert stamp is not None
            assert stamp[1] == len(content)
        assert verbs.is_folder(f"{home}/a/b")

    def test_a_look_sees_folders_and_their_newest_however_it_is_told_to_look(
        self, verbs: Verbs, home: Root
    ) -> None:
        for folder in ("a/b", "a/c", "d/e"):
            self.put(verbs, home, folder.encode(), folder=folder)
        for gathered in ((), (f"{home}/a",), (str(home),)):
            look = verbs.look()
            for path in gathered:
                look.gather(path)
            assert look.folders(f"{home}/a") == ["b", "c"]
            assert look.folders(f"{home}/d") == ["e"]
            assert look.folders(f"{home}/x") == []
            assert look.newest(f"{home}/a/c") == verbs.newest(f"{home}/a/c")
            assert look.newest(f"{home}/a/x") is None
            assert (look.is_folder(f"{home}/a/b"), look.is_folder(f"{home}/a/x")) == (True, False)

    def test_an_open_handle_keeps_its_generation(self, verbs: Verbs, home: Root) -> None:
        self.put(verbs, home, b"old")
        found = verbs.open_newest(f"{home}/a/b")
        assert found is not None
        with found[1] as file:
            for _ in range(3):
                self.put(verbs, home, b"new", grace=0)
            assert file.read() == b"old"

    def test_a_generation_that_was_found_can_be_opened_for_its_grace(self, verbs: Verbs, home: Root) -> None:
        paths: list[str] = []
        for content in (b"old", b"newer", b"newest"):
            self.put(verbs, home, content)
            found = verbs.newest(f"{home}/a/b")
            assert found is not None
            paths.append(found.path)
        for path, content in zip(paths, (b"old", b"newer", b"newest"), strict=True):
            with verbs.open_path(path) as file, verbs.open_path(path, tail=True) as end:
                assert (file.read(), end.read()) == (content, content)
            assert verbs.is_there(path)
        assert len(verbs.untidy(f"{home}/a/b").leftovers) == 2
        verbs.tidy(home, f"{home}/a/b", 0)
        assert verbs.untidy(f"{home}/a/b") == (frozenset(), ())
        assert [verbs.is_there(path) for path in paths] == [False, False, True]
        with pytest.raises(FileNotFoundError), verbs.open_path(paths[1], tail=True) as file:
            file.read()

    def test_a_draft_is_seen_when_it_is_published_and_leaves_nothing_where_it_is_not(
        self, verbs: Verbs, home: Root, listed: Callable[[str], dict[str, bytes]]
    ) -> None:
        folder = f"{home}/a/b"

        def work(before: Generation | None) -> None:
            with verbs.draft(home, folder) as given_up, open(given_up.path, "wb") as file:
                file.write(b"never")
            with verbs.draft(home, folder) as draft:
                with open(draft.path, "wb") as file:
                    file.write(b"drafted")
                verbs.publish_draft(folder, before, draft)

        for _ in range(2):
            verbs.alone(home, folder, 900, work)
            assert listed(folder) == {"part.parquet": b"drafted"}
        verbs.tidy(home, folder, 0)
        assert verbs.untidy(folder) == (frozenset(), ())

    def test_publishing_excludes_other_writers(
        self, verbs: Verbs, home: Root, listed: Callable[[str], dict[str, bytes]]
    ) -> None:
        """Read, add one, publish, by several threads: no addition is lost."""
        self.put(verbs, home, b"0")

        def add(before: Generation | None) -> None:
            assert before is not None
            with verbs.open_path(before.path) as file:
                number = int(file.read())
            verbs.publish(f"{home}/a/b", before, str(number + 1).encode())

        def count() -> None:
            for _ in range(self.rounds):
                verbs.alone(home, f"{home}/a/b", 0, add)

        threads = [threading.Thread(target=count) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert listed(f"{home}/a/b") == {"part.parquet": str(3 * self.rounds).encode()}

    def test_a_small_file_is_swapped_by_what_it_was(self, verbs: Verbs, home: Root) -> None:
        path = f"{home}/.htxdata/small"
        self.put(verbs, home, b"a lake")

        def more(before: bytes | None) -> bytes:
            return (before or b"") + b"x"

        def count() -> None:
            for _ in range(5):
                assert verbs.swap(home, path, more)

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert verbs.load(path) == b"x" * 10
        assert not verbs.swap(home, path, lambda before: None)
        assert verbs.load(path) == b"x" * 10
