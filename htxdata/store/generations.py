"""What the files in a partition's folder are called, on a disk and in a bucket (``store/bucket_names.py``); pure."""

from __future__ import annotations

import re
from typing import NamedTuple

PART = "part.parquet"
TMP = ".tmp"
NUMBERED = re.compile(r"\.g(\d{9,})\.pq")
ABSORBED = re.compile(r"\.absorbed-(\d{9,})-(.+)\.away", re.DOTALL)  # some globs of *.parquet match hidden files


class Generation(NamedTuple):
    """One immutable file of a partition; number 0 is a ``part.parquet`` that came without its generations."""

    number: int
    path: str


class Untidy(NamedTuple):
    """What lies in a partition's folder beside its newest generation.

    ``leftovers`` will not stay: unfinished writes and superseded generations. ``strangers`` are the names of files that
    whoever globs ``*.parquet`` reads as rows of the partition.
    """

    leftovers: frozenset[str]
    strangers: tuple[str, ...]


def name_of(number: int) -> str:
    return f".g{number:09d}.pq"
