"""What generations and foreign files are called in a bucket: a generation by its content."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

from htxdata.store.generations import Generation
from htxdata.store.objects import Entry, Found

VERSION = re.compile(r"\.v-([^/]+)-(\d+)\.pq")
ABSORBED = re.compile(r"\.absorbed-(.+)\.away", re.DOTALL)


def name_of(tag: str, size: int) -> str:
    return f".v-{quote(tag, safe='')}-{size}.pq"


def generation(folder: str, found: Found | Entry) -> Generation:
    """The generation that ``part.parquet`` in ``folder`` is."""
    return Generation(1, f"{folder}/{name_of(found.tag, found.size)}")


def is_generation(name: str) -> bool:
    return VERSION.fullmatch(name) is not None


def is_away(name: str) -> bool:
    """Whether it is a foreign file that a compaction that died had taken out of sight."""
    return ABSORBED.fullmatch(name) is not None


def tag_of(path: str) -> str:
    match = VERSION.fullmatch(os.path.basename(path))
    assert match is not None, path
    return unquote(match[1])
