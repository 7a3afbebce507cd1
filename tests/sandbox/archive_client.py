"""A small client of the sandbox's archive for the tests, which knows only requests, zipfile, csv and ElementTree."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import requests

from htxdata.sandbox import Sandbox

AUTUMN = datetime(2026, 9, 10, 12, tzinfo=UTC).timestamp()
_NAMES = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True)
class Object:
    """One entry of a listing, as its text."""

    key: str
    size: int
    etag: str
    modified: str
    storage: str


class ArchiveClient:
    """GETs on the archive of a running sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.base = sandbox, sandbox.hosts["htx_archive"]
        self.session = requests.Session()

    def get(self, key: str, method: str = "GET", **headers: str) -> requests.Response:
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.request(method, f"{self.base}/{quote(key)}", headers=spelled, timeout=60)

    def page(self, **query: Any) -> requests.Response:
        spelled = {name.replace("_", "-"): value for name, value in query.items()}
        return self.session.get(self.base + "/", params={"list-type": "2", **spelled}, timeout=60)

    def pages(self, **query: Any) -> Iterator[ElementTree.Element]:
        while True:
            reply = self.page(**query)
            assert reply.status_code == 200, reply.text
            root = ElementTree.fromstring(reply.content)
            yield root
            if text(root, "IsTruncated") == "false":
                return
            query["continuation_token"] = text(root, "NextContinuationToken")

    def listed(self, prefix: str, **query: Any) -> list[Object]:
        return [one for root in self.pages(prefix=prefix, **query) for one in objects(root)]

    def rows(self, key: str) -> list[list[str]]:
        """The lines of the one CSV of a zip, whose checksum fits and which is named as the zip."""
        reply = self.get(key)
        assert reply.status_code == 200, f"{key}: {reply.status_code} {reply.text}"
        digest, name = self.get(checksum_of(key)).text.split()
        assert digest == hashlib.sha256(reply.content).hexdigest()
        assert name == key.rpartition("/")[2]
        return unzipped(name, reply.content)


def unzipped(name: str, body: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (inside,) = archive.infolist()
        assert inside.filename == name.removesuffix(".zip") + ".csv"
        assert inside.compress_type == zipfile.ZIP_DEFLATED
        return list(csv.reader(io.StringIO(archive.read(inside).decode())))


def text(root: ElementTree.Element, name: str) -> str:
    found = root.find(_NAMES + name)
    assert found is not None, name
    return found.text or ""


def objects(root: ElementTree.Element) -> list[Object]:
    names = ("Key", "Size", "ETag", "LastModified", "StorageClass")
    found = [[text(one, name) for name in names] for one in root.findall(_NAMES + "Contents")]
    return [Object(key, int(size), etag, modified, storage) for key, size, etag, modified, storage in found]


def prefixes(root: ElementTree.Element) -> list[str]:
    return [text(one, "Prefix") for one in root.findall(_NAMES + "CommonPrefixes")]


def checksum_of(key: str) -> str:
    """The old tree replaces the ending, the new one adds to it (htx-api 9.2, 9.3)."""
    return key.removesuffix(".zip") + ".CHECKSUM" if key.startswith("data/") else key + ".CHECKSUM"


def window(day: str) -> tuple[int, int]:
    """A UTC+8 day as us UTC."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=8)
    return int(start.timestamp()) * 10**6, int(start.timestamp()) * 10**6 + 86_400 * 10**6


@contextmanager
def archive(**options: Any) -> Iterator[ArchiveClient]:
    """A sandbox in autumn 2026 and a client of its archive."""
    with Sandbox(limits=False, **{"clock": lambda: AUTUMN, **options}) as sandbox:
        client = ArchiveClient(sandbox)
        try:
            yield client
        finally:
            client.session.close()
