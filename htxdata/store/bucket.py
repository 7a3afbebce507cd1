"""The verbs of a lake in a bucket: the same as those of ``store/disk.py``, made of conditional writes.

A partition's folder holds one object for everybody, ``part.parquet``, and it is the newest generation. A commit
reads it with its tag (ETag), and writes it anew with ``If-Match: <tag>`` (``If-None-Match: *`` where there was
none). The server does that for one of any number of writers and refuses the others (412), which begin again from
what that one wrote: no update is lost, nobody holds a lock, and who dies on the way leaves nothing, because a PUT
is there wholly or not at all.

A generation is named by its content, ``.v-<tag>-<size>.pq``. Who opens that name is given ``part.parquet`` as long
as it is this one. Before a writer replaces it, it writes what it replaces under that very name, where it stays for
the grace: a reader that found a generation can read it to its end, whatever is committed meanwhile. (A copy by the
server would be cheaper. But it is made of what is there when it is done, and where a server does not heed
``If-Match`` for the source, that may be the next generation; what the writer holds in its hands is what it says.)

What a server makes of conditions is tried before the first write of a process: one that ignores them is refused.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, TypeVar
from urllib.parse import quote

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import bucket_reading, disk, drafts, milestones, place, refusals
from htxdata.store.bucket_names import ABSORBED, VERSION, generation, name_of, tag_of
from htxdata.store.bucket_pieces import Held
from htxdata.store.bucket_reading import Reading
from htxdata.store.drafts import Draft
from htxdata.store.generations import PART, Generation, Untidy
from htxdata.store.objects import LARGEST, NONE, Entry, Objects, Outrun

_Made = TypeVar("_Made")

_TRIES = 200  # of a commit that others outrun
_WHERE = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")
_PROBE = ".htxdata/conditions"


def bucket(name: str) -> Bucket:
    """The bucket of this name at the server that the environment says."""
    return _bucket(name, *(os.environ.get(each) for each in _WHERE))


@lru_cache(maxsize=64)
def _bucket(name: str, *where: str | None) -> Bucket:
    return Bucket(name)


class Bucket(Reading):
    """A bucket as a place for lakes. Safe to share between threads."""

    def __init__(self, name: str, objects: Objects | None = None) -> None:
        super().__init__(name, objects)
        self._proved: set[str] = set()
        self._swept: dict[str, float] = {}
        self._scratch = ""

    # ------------------------------------------------------------------------------------------- writing

    def alone(
        self, root: place.Root, folder: str, grace: float, work: Callable[[Generation | None], _Made]
    ) -> _Made:
        """``work(newest)``, and again from the newest where another published meanwhile: it must bear that."""
        self._prove(root)
        for attempt in itertools.count():
            with refusals.telling(folder), self._turn(folder) as held:
                try:
                    done = work(None if held is None else held.generation)
                except Outrun:
                    if attempt >= _TRIES:
                        raise StoreError(
                            f"{folder}: others write it all the time; nothing was written, run it again"
                        ) from None
                else:
                    if held is not None and held.replaced:
                        self._forget(folder, grace)
                    return done
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise AssertionError("unreachable")

    @contextmanager
    def _turn(self, folder: str) -> Iterator[Held | None]:
        """The newest generation, held whole: it is read again to be merged, and written again to be kept."""
        found = self.objects.get(self.key(f"{folder}/{PART}"), last=bucket_reading.WHOLE - 1)
        if found is None:
            yield None
            return
        newest = generation(folder, found)
        held = Held(self, newest, found.content if len(found.content) == found.size else None)
        turns: dict[str, Held] = self._held.__dict__.setdefault("turns", {})
        turns[newest.path] = held
        try:
            yield held
        finally:
            del turns[newest.path]
            held.close()

    @contextmanager
    def turn(self, root: place.Root, folder: str) -> Iterator[None]:
        """One at a time on this machine; machines do not wait for each other."""
        aside = place.beside(root) / "turns" / quote(folder.removeprefix(f"{root}/"), safe="=")[-240:]
        with disk.turn(aside, str(aside)):
            yield

    def publish(self, folder: str, before: Generation | None, content: memoryview | bytes) -> Generation:
        milestones.step("begin")
        return self._put(folder, before, content, len(content))

    def publish_draft(
        self, folder: str, before: Generation | None, draft: Draft, absorbed: Iterable[str] = ()
    ) -> Generation:
        size = os.stat(draft.path).st_size
        hidden = [self._hide(folder, name) for name in absorbed]
        with open(draft.path, "rb") as file:
            done = self._put(folder, before, file, size)
        for key in hidden:
            self.objects.delete(key)
            milestones.step("absorbed")
        draft.discard()
        return done

    def _put(
        self, folder: str, before: Generation | None, content: memoryview | bytes | IO[bytes], size: int
    ) -> Generation:
        if size > LARGEST:
            raise StoreError(
                f"{folder} would have {size / 1e9:,.1f} GB; a bucket takes {LARGEST / 1e9:,.1f} GB in one piece"
            )
        tag = NONE if before is None else tag_of(before.path)
        held: dict[str, Held] = getattr(self._held, "turns", {})
        if before is not None:
            if before.path not in held:
                raise StoreError(f"{folder}: publish() outside of alone()")
            with held[before.path].opened() as old:
                self.objects.put(self.key(before.path), old, tag=None)
            milestones.step("kept")
        milestones.step("synced")
        tag = self.objects.put(self.key(f"{folder}/{PART}"), content, tag=tag)
        milestones.step("renamed")
        if before is not None:
            held[before.path].replaced = True
        milestones.step("done")
        return Generation(1, f"{folder}/{name_of(tag, size)}")

    def draft(self, root: place.Root, folder: str) -> Draft:
        aside = self.scratch(folder)
        return Draft(aside, aside)

    def scratch(self, folder: str) -> str:
        """A folder of this machine; what dead processes left in it goes when it is first used."""
        if not self._scratch:
            aside = place.cache_of(self.name) / "aside"
            try:
                aside.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LakeUnusable(
                    f"{aside} cannot be written ({error.strerror}): a commit to a bucket needs it; set XDG_CACHE_HOME"
                ) from error
            drafts.clear(str(aside))
            self._scratch = str(aside)
        return self._scratch

    def tidy(self, root: place.Root, folder: str, grace: float) -> Generation | None:
        self._swept.pop(folder, None)
        self._forget(folder, grace, of_newest=True)
        return self.newest(folder)

    def untidy(self, folder: str) -> Untidy:
        left, strangers = set(), []
        entries, current = self._inside(folder)
        for entry in entries:
            name = entry.key.rpartition("/")[2]
            if name == current:  # of a commit that was outrun, or that wrote what was there
                continue
            if VERSION.fullmatch(name):
                left.add(name)
            elif ABSORBED.fullmatch(name) or (
                name.endswith(".parquet") and not name.startswith((".", "_")) and name != PART
            ):
                strangers.append(name)
        return Untidy(frozenset(left), tuple(strangers))

    def unfinished(self, folder: str) -> bool:
        """Never: who dies leaves what was there before, or what is there now."""
        return False

    def drop(self, folder: str, name: str) -> None:
        self.objects.delete(self.key(f"{folder}/{name}"))
        milestones.step("dropped")

    def swap(self, root: place.Root, path: str, change: Callable[[bytes | None], bytes | None]) -> bool:
        self._prove(root)
        for attempt in range(_TRIES):
            found = self.objects.get(self.key(path))
            content = change(None if found is None else found.content)
            if content is None:
                return False
            with contextlib.suppress(Outrun):
                self.objects.put(self.key(path), content, tag=NONE if found is None else found.tag)
                return True
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise StoreError(f"{path}: others write it all the time; nothing was written, run it again")

    # ------------------------------------------------------------------------------------------ plumbing

    def _inside(self, folder: str) -> tuple[list[Entry], str]:
        """What lies in a folder, and the name of the generation that its ``part.parquet`` is."""
        prefix = f"{self.key(folder)}/"
        found = [entry for entry in self.objects.entries(prefix) if "/" not in entry.key[len(prefix) :]]
        return found, next((name_of(each.tag, each.size) for each in found if each.key == f"{prefix}{PART}"), "")

    def _hide(self, folder: str, name: str) -> str:
        """Take a foreign file out of sight of who globs; its rows are about to be in ``part.parquet``."""
        key = self.key(f"{folder}/{name}")
        if ABSORBED.fullmatch(name):  # of one who died here
            return key
        found = self.objects.get(key)
        if found is None:
            raise FileNotFoundError(f"{folder}/{name}")
        hidden = self.key(f"{folder}/.absorbed-{name}.away")
        self.objects.put(hidden, found.content, tag=None)
        self.objects.delete(key)
        milestones.step("hidden")
        return hidden

    def _forget(self, folder: str, grace: float, *, of_newest: bool = False) -> None:
        """Remove generations that were superseded longer than ``grace`` ago; looked at once in a grace only.

        What bears the name of the newest one is of a commit that was outrun, or wrote what was there. It stays, because
        just now somebody may be about to replace the newest; ``of_newest`` for who comes by rarely.
        """
        now = time.monotonic()
        if now - self._swept.get(folder, -1e9) < grace:
            return
        self._swept[folder] = now
        entries, current = self._inside(folder)
        for entry in entries:
            name = entry.key.rpartition("/")[2]
            if VERSION.fullmatch(name) and (name != current or of_newest) and entry.age >= grace:
                self.objects.delete(entry.key)
                milestones.step("unlinked")

    def _prove(self, root: place.Root) -> None:
        """That the server heeds conditions. An object of no content is left, which says when it was tried."""
        if str(root) in self._proved:
            return
        key = self.key(f"{root}/{_PROBE}")
        if self.heeds(root):
            for _ in range(2):  # the second at the latest must be refused
                try:
                    self.objects.put(key, b"", tag=NONE)
                except Outrun:
                    self._proved.add(str(root))
                    return
        raise LakeUnusable(unheeded(self.objects.endpoint))

    def heeds(self, root: place.Root) -> bool:
        """Whether a write is refused that is for what cannot be there. Writes nothing where it is."""
        try:
            self.objects.put(self.key(f"{root}/{_PROBE}"), b"", tag="0" * 32)
        except Outrun:
            return True
        return False


def unheeded(endpoint: str) -> str:
    return (
        f"{endpoint} ignores conditional writes (If-Match, If-None-Match), without which two writers would lose rows: "
        "use a server that heeds them (AWS S3, Cloudflare R2, MinIO, Ceph of late), or a local folder"
    )

