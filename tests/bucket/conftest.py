"""One server for all tests of a worker, a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count

import botocore.session
import pytest

from htxdata.store import bucket as buckets
from tests.bucket.server import Server, Weather

_numbers = count()


@pytest.fixture(scope="session")
def server(own_machine: None) -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def place(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty bucket, with the environment set for its server."""
    for name, value in {
        "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = f"lakes-{next(_numbers)}"
    client(server).create_bucket(Bucket=name)
    server.weather.__init__()  # type: ignore[misc]
    yield name
    server.weather.__init__()  # type: ignore[misc]
    buckets._bucket.cache_clear()


@pytest.fixture
def weather(server: Server, place: str) -> Weather:
    return server.weather


@pytest.fixture
def lake(place: str) -> str:
    return f"s3://{place}/a/lake"


@cache
def client(server: Server):  # type: ignore[no-untyped-def]
    """A look behind the back of our own code."""
    return botocore.session.get_session().create_client(
        "s3", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
