"""Every exception that htxdata raises, and the exit code each one ends a command with.

::

    HtxdataError                      1  something failed
    ├── UsageError                    2  the caller asked for something that cannot be
    │   ├── ConfigError               2  htxdata.toml or the environment
    │   ├── UnknownSymbol             2  the venue has no such symbol
    │   └── LakeUnusable              2  the lake's folder cannot be read or written
    ├── KeyRefused                    1  the venue does not take the key
    ├── OutcomeUnknown                1  whether the venue did what it was told
    ├── Incomplete                    3  some spans are missing; the message says which and why
    ├── VenueError                    3  the venue did not give what was asked for
    │   ├── Refused                   3  the venue answered with an error of its own
    │   ├── BadReply                  3  the answer breaks the rules of its wire format
    │   ├── WalkStuck                 3  a page did not advance its walk
    │   └── Unreachable               3  no answer at all, or none that could be used, after all retries
    │       └── Untimely              3  the venue does not take the time that requests are signed at, after all retries
    └── StoreError                    1  the disk or a file on it
        ├── CorruptPartition          1  a partition file that cannot be read
        └── RowsLost                  1  a commit was about to lose rows, and was stopped

A command catches ``HtxdataError`` at its very end, prints the message as one sentence and exits with ``exit_code``.
"""

from __future__ import annotations


class HtxdataError(Exception):
    """Root of the tree. The text of every one of them is a sentence for a person."""

    exit_code = 1


class UsageError(HtxdataError):
    """Names the option, the value that was given and what is allowed."""

    exit_code = 2


class ConfigError(UsageError):
    """Names the file or the environment variable, and the key."""


class UnknownSymbol(UsageError):
    """The venue lists no such symbol."""


class LakeUnusable(UsageError):
    """The lake's folder cannot be created, read or written."""


class KeyRefused(HtxdataError):
    """The venue does not take the key, and why. Nothing else is asked with it: knocking on earns a ban."""


class OutcomeUnknown(HtxdataError):
    """The venue was told to do something, and whether it did is not known. It must be asked, never told again."""


class Incomplete(HtxdataError):
    """A run that could not cover or explain all that it was asked for (law 4)."""

    exit_code = 3


class VenueError(HtxdataError):
    """The venue did not give what was asked for; the span stays ``missing`` with this reason."""

    exit_code = 3


class Refused(VenueError):
    """The venue answered with an error of its own. ``kind`` is one of ``venues.terms.FaultKind``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class BadReply(VenueError):
    """An answer that breaks its wire format: set aside whole, never half used (law 9)."""


class WalkStuck(VenueError):
    """A page did not advance its walk: asking on would loop for ever, stopping in silence would lie."""


class Unreachable(VenueError):
    """No usable answer after all retries."""


class Untimely(Unreachable):
    """The venue does not take the time that was signed: this machine's clock is off, or all is too long under way."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; is this machine's clock right? `htxdata doctor` measures it")


class StoreError(HtxdataError):
    """The disk, or a file of the lake."""


class CorruptPartition(StoreError):
    """A partition file that cannot be read; the message names it."""


class RowsLost(StoreError):
    """A commit would have lost rows. Nothing was written."""
