"""The body of one file as it comes: in memory while it is small, else a part in the spool that can be continued."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Mapping

from htxdata.errors import StoreError
from htxdata.protocol.pacing import http_date
from htxdata.transport.line import Failed
from htxdata.transport.spool import Claim, Note, told
from htxdata.venues.terms import Listed

SMALL = 256 << 10
"""Bytes up to which a file stays in memory. A day of one-minute candles has 40 to 80 kB; few days of trades so few."""

MOST = 20 << 30
"""Bytes that no file has, packed; `unzip.MOST` is as much unpacked."""

_GROWN = 64 << 20  # a file that was replaced since it was listed may be twice as long, or longer by this
_ANEW = 5  # times that a file may change while it is fetched
_REREAD = 1 << 20
_ETAG = re.compile(r'"?([!#-~]{1,200})"?')  # RFC 9110 8.8.3; it goes into the head of our next request
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


class Elsewhere(Exception):
    """The file is too large for the memory: fetch it into the spool."""


class Body:
    """A `line.Sink` that outlives failed attempts, and with a claim on the spool its process. Close it after use.

    ``known`` is what a listing said of the file. Without a claim it only takes small files (else `Elsewhere`).
    ``total`` is the length that the venue announced. Raises `StoreError` where the disk refuses.
    """

    def __init__(
        self, key: str, known: Listed | None, claim: Claim | None, *, small: int = SMALL, most: int = MOST
    ) -> None:
        self._key, self._known, self._claim, self._small, self._most = key, known, claim, small, most
        self._pieces: list[bytes] = []
        self._fd = -1
        self._size = self._changes = 0
        self._hash = hashlib.sha256()
        self.etag = ""
        self.total: int | None = None
        self.modified: int | None = None
        if claim is not None:
            with told(claim.path.parent):
                self._open(claim)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def whole(self) -> bool:
        """Whether nothing needs to be asked: an earlier process got all of it and died before it said so."""
        return self._size > 0 and self._size == self.total

    def heard_at(self) -> int:
        """When the last byte came, microseconds UTC."""
        return os.fstat(self._fd).st_mtime_ns // 1000

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def content(self) -> bytes | None:
        return b"".join(self._pieces) if self._claim is None else None

    # ---------------------------------------------------------------------------------------------------- line.Sink

    def held(self) -> int:
        return self._size

    def asks(self) -> Mapping[str, str]:
        if not self._size:
            return {}
        if not self.etag:  # nothing would tell a file that was replaced meanwhile
            self._begin_anew()
            return {}
        return {"Range": f"bytes={self._size}-", "If-Match": f'"{self.etag}"'}

    def begins(self, status: int, headers: Mapping[str, str]) -> bool:
        if status in (412, 416) and self._size:
            self._begin_anew()
            raise Failed("network", f"HTTP {status}: the file was replaced while it was fetched")
        if status == 206:
            self._continues(headers)
        elif status == 200:
            if self._size:
                self._begin_anew()  # all of it, though a part was asked for
            self._is_new(headers)
        else:
            return False
        return True

    def takes(self, piece: bytes) -> None:
        size = self._size + len(piece)
        if size > self._cap():
            raise Failed("refused", f"the file has more than the {self._cap()} bytes we take")
        if self._claim is None:
            if size > self._small:
                raise Elsewhere
            self._pieces.append(piece)
        else:
            self._write(self._claim, piece)
        self._hash.update(piece)
        self._size = size

    # -------------------------------------------------------------------------------------------------------- inside

    def _continues(self, headers: Mapping[str, str]) -> None:
        match = _RANGE.fullmatch(headers.get("content-range", ""))
        if match is None or (int(match[1]), int(match[3])) != (self._size, self.total) or not self._size:
            said = headers.get("content-range", "nothing")
            self._begin_anew()
            raise Failed("garbled", f"HTTP 206 with {said[:60]!r}, which was not asked for")
        if bare(headers.get("etag", "")) != self.etag:
            self._begin_anew()
            raise Failed("network", "the file was replaced while it was fetched")

    def _is_new(self, headers: Mapping[str, str]) -> None:
        self.etag = bare(headers.get("etag", ""))
        self.modified = http_date(headers.get("last-modified", ""))
        length = headers.get("content-length", "")
        self.total = int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None
        if self._as_listed() and self._known is not None:
            if self.total not in (None, self._known.size):
                raise Failed(
                    "garbled", f"the file has {self.total} bytes and was listed with {self._known.size}"
                )
            self.total = self._known.size
        if (self.total or 0) > self._cap():
            raise Failed("refused", f"the file has {self.total} bytes, more than the {self._cap()} we take")
        if self._claim is not None:
            self._claim.remember(Note(self._key, self.etag, self.total, self.modified))
        elif (self.total or 0) > self._small:
            raise Elsewhere

    def _as_listed(self) -> bool:
        return self._known is not None and bool(self.etag) and bare(self._known.etag) == self.etag

    def _cap(self) -> int:
        if self._known is None:
            return self._most
        size = self._known.size
        return min(self._most, size if self._as_listed() else max(2 * size, size + _GROWN))

    def _begin_anew(self) -> None:
        self._changes += 1
        self._size, self.total, self.etag = 0, None, ""
        self._hash = hashlib.sha256()
        self._pieces.clear()
        if self._claim is not None:
            with told(self._claim.path.parent):
                os.truncate(self._fd, 0)
        if self._changes > _ANEW:
            raise Failed("refused", f"the file had to be begun anew {_ANEW} times")

    def _open(self, claim: Claim) -> None:
        """Continues the part that is there, if it is known what it is a part of."""
        note = claim.note()
        listed = self._known is None or note is None or bare(self._known.etag) == note.etag
        if note is None or not note.etag or not listed:
            claim.empty()
            note = None
        self._fd = os.open(claim.part, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if note is None:
            return
        self.etag, self.total, self.modified = note.etag, note.total, note.modified
        while piece := os.pread(self._fd, _REREAD, self._size):
            self._hash.update(piece)
            self._size += len(piece)
        if self.total is None or self._size > self.total:
            self._begin_anew()

    def _write(self, claim: Claim, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                claim.empty()  # others need the room more than we need the part
            reason = f"{error.strerror} at byte {self._size} of {self._key}"
            raise StoreError(f"the folder for downloads {claim.path.parent}: {reason}") from error


def bare(etag: str) -> str:
    """An ETag without its quotes; empty for a weak one, which does not promise the same bytes, and for none at all."""
    match = _ETAG.fullmatch(etag.strip())
    return match[1] if match else ""
