"""A bucket carries a lake: the suite of every place, and what only a bucket can get wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from htxdata.store import bucket
from htxdata.store.place import Verbs
from tests.bucket.conftest import client
from tests.bucket.server import Server
from tests.store.contract import DiskContract


class TestBucket(DiskContract):
    rounds = 6

    @pytest.fixture
    def verbs(self, place: str) -> Verbs:
        return bucket.bucket(place)

    @pytest.fixture
    def home(self, lake: str) -> str:
        return lake

    @pytest.fixture
    def listed(self, place: str, server: Server) -> Callable[[str], dict[str, bytes]]:
        other = client(server)

        def found(folder: str) -> dict[str, bytes]:
            prefix = folder.removeprefix(f"s3://{place}/") + "/"
            keys = [e["Key"] for e in other.list_objects_v2(Bucket=place, Prefix=prefix).get("Contents", ())]
            return {
                key[len(prefix) :]: other.get_object(Bucket=place, Key=key)["Body"].read()
                for key in keys
                if key.endswith(".parquet")
            }

        return found
