"""The file behind a budget: a head and a ring of the stamps of the last sends, one file per host and machine.

It lies in a folder that all users of the machine share, ``HTXDATA_BUDGET_DIR`` or ``<tempdir>/htxdata-budget``, and is
touched under ``flock`` for some microseconds at a time; the kernel drops the lock of who dies. Nothing in it is
precious: a file that is torn, foreign or of another boot is begun anew.

It is mapped. Each ``pread`` would let go of the GIL and queue for it again: seven of these while holding the lock,
where other threads parse, took 40 ms and halved the rate of everybody. Its size is asked before each touch, for
reading beyond the end of a truncated mapping is death.

Here is no decision about rates: that is `budget`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import mmap
import os
import re
import stat
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from htxdata.errors import LakeUnusable
from htxdata.protocol.pacing import NEVER

log = logging.getLogger(__name__)


class Head(NamedTuple):
    """What all processes know of one host. Stamps are nanoseconds of CLOCK_MONOTONIC."""

    magic: bytes = b""
    boot: int = 0
    turn: int = 0  # how many slots were given: the number of the next
    last: int = NEVER  # the newest stamp
    paused_until: int = NEVER
    struck_at: int = NEVER  # when the present row of refusals last grew
    strikes: int = 0


_HEAD = struct.Struct("=8sQQqqqQ")
_STAMP = struct.Struct("=q")
_RING = 16_384
"""Stamps in the ring: more than the lanes of any pace (`pacing.UNPACED`) and everybody's slots to come."""
_SIZE = _HEAD.size + _RING * _STAMP.size
_MAGIC = b"htxpace1"
_SPINS = 50


def boot() -> int:
    """Which boot of the machine this is; 0 where that cannot be told."""
    try:
        return int(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", ""), 16) & (2**64 - 1)
    except (OSError, ValueError):
        return 0


_BOOT = boot()


class StampFile:
    """Opened at its first use. Between `lock` and `unlock` it belongs to one thread of one process.

    ``rest`` is how many nanoseconds to be silent when the stamps of the last second are unknown.
    """

    def __init__(self, key: str, folder: Path | None, clock: Callable[[], int], rest: int) -> None:
        self.path = Path()
        self._key, self._folder, self._clock, self._rest = key, folder, clock, rest
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._lost = False
        self._mutex = threading.Lock()  # flock knows open files, not threads
        _opened.add(self)

    def lock(self, check: Callable[[], None] | None = None) -> Head:
        """Takes the file for this thread alone and reads its head. ``check`` may raise to end a long wait."""
        self._mutex.acquire()
        try:
            while True:
                if self._fd < 0:
                    self.path, self._fd = _open(self._key, self._folder)
                self._flock(check)
                found = os.fstat(self._fd)
                if found.st_nlink:
                    return self._read_head(found.st_size)
                self.close()  # deleted under us (a cleaner of temporary files): others may use its successor
                self._lost = True
        except BaseException:
            self.close()
            self._mutex.release()
            raise

    def unlock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._mutex.release()

    def peek(self) -> Head:
        """The head without the lock: for questions whose answer may be old by the time it is used."""
        fd, mapped = self._fd, self._map
        if fd >= 0 and mapped is not None:
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_size >= _SIZE:
                    head = Head._make(_HEAD.unpack_from(mapped))
                    if head.magic == _MAGIC:
                        return head
        head = self.lock()
        self.unlock()
        return head

    def write_head(self, head: Head) -> None:
        assert self._map is not None
        _HEAD.pack_into(self._map, 0, *head)

    def stamp(self, turn: int) -> int:
        """After `lock` or `peek` only."""
        if self._map is None:
            return NEVER
        return int(_STAMP.unpack_from(self._map, _HEAD.size + turn % _RING * _STAMP.size)[0])

    def write_stamp(self, turn: int, stamp: int) -> None:
        assert self._map is not None
        _STAMP.pack_into(self._map, _HEAD.size + turn % _RING * _STAMP.size, stamp)

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        fd, self._fd, self._map = self._fd, -1, None  # the mapping goes with its last user
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            with contextlib.suppress(OSError):
                self.close()

    def forked(self) -> None:
        """In the child: sharing an open file would share its flock, and another thread's mutex would stay held."""
        self.close()
        self._mutex = threading.Lock()

    def _flock(self, check: Callable[[], None] | None) -> None:
        # Polling instead of a blocking flock: a holder that was stopped (SIGSTOP, a debugger) must not take us along.
        tries = 0
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                tries += 1
            if tries < _SPINS:
                os.sched_yield()
                continue
            if check is not None:
                check()
            time.sleep(min(0.0002 * (tries - _SPINS + 1), 0.005))

    def _read_head(self, size: int) -> Head:
        fresh = size == 0 and self._map is None
        if size >= _SIZE:
            if self._map is None:
                self._map = mmap.mmap(self._fd, _SIZE)
            head = Head._make(_HEAD.unpack_from(self._map))
            if head.magic == _MAGIC and head.boot == _BOOT and not self._lost:
                return head
            fresh = head.magic == _MAGIC and head.boot != _BOOT  # a reboot: nothing was sent just now
        # What the last second held is unknown if the file was spoilt or taken away: sit one window out.
        silent = NEVER if fresh and not self._lost else self._clock() + self._rest
        self._lost = False
        if size < _SIZE:
            try:
                # Up, never down: others have it mapped. Not sparse: a page that a full disk has no room for is death.
                os.posix_fallocate(self._fd, 0, _SIZE)
            except OSError as error:
                raise LakeUnusable(f"the rate budget {self.path}: {error.strerror}") from error
            self._map = mmap.mmap(self._fd, _SIZE)
        head = Head(magic=_MAGIC, boot=_BOOT, paused_until=silent)
        self.write_head(head)
        return head


_opened: weakref.WeakSet[StampFile] = weakref.WeakSet()


def _after_fork() -> None:
    for file in list(_opened):
        file.forked()


os.register_at_fork(after_in_child=_after_fork)


# ------------------------------------------------------------------------------------------------ where the file lies


def _open(key: str, folder: Path | None) -> tuple[Path, int]:
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", key)[:40]
    name = f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.v1"
    chosen = folder or (Path(env) if (env := os.environ.get("HTXDATA_BUDGET_DIR")) else None)
    if chosen is not None:
        try:
            chosen.parent.mkdir(parents=True, exist_ok=True)
            return chosen / name, _open_patiently(chosen, 0o1777, name)
        except OSError as error:
            what = f"the folder of rate budgets {chosen} (HTXDATA_BUDGET_DIR)"
            raise LakeUnusable(f"{what}: {error.strerror}") from error
    shared = Path(tempfile.gettempdir()) / "htxdata-budget"
    own = shared.with_name(f"{shared.name}-{os.getuid()}")
    try:
        return shared / name, _open_patiently(shared, 0o1777, name)
    except OSError as error:
        log.warning("%s: %s; sharing the budget with this user's processes only", shared, error.strerror)
    try:
        return own / name, _open_patiently(own, 0o700, name)
    except OSError as error:
        raise LakeUnusable(
            f"the folder of rate budgets {own}: {error.strerror}; set HTXDATA_BUDGET_DIR"
        ) from error


def _open_patiently(folder: Path, mode: int, name: str) -> int:
    for _ in range(4):  # another user may stand between his mkdir and his chmod
        try:
            return _open_in(folder, mode, name)
        except PermissionError:
            time.sleep(0.01)
    return _open_in(folder, mode, name)


def _open_in(folder: Path, mode: int, name: str) -> int:
    try:
        os.mkdir(folder)
        os.chmod(folder, mode)  # mkdir's own mode is cut by the umask
    except FileExistsError:
        if mode == 0o700 and os.lstat(folder).st_uid != os.getuid():
            raise PermissionError(13, "belongs to another user") from None
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            # Without O_CREAT: under fs.protected_regular Linux refuses that for a foreign file in a sticky folder.
            fd = os.open(name, flags, dir_fd=directory)
        except FileNotFoundError:
            try:
                fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
                os.fchmod(fd, 0o666 if mode == 0o1777 else 0o600)
            except FileExistsError:
                fd = os.open(name, flags, dir_fd=directory)
    finally:
        os.close(directory)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # what we write must not land in another file
        os.close(fd)
        raise PermissionError(13, f"{name} is not a plain file")
    return fd
