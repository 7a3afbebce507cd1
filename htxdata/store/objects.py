"""The requests that a lake makes of a bucket, as few as can be, counted; and what goes wrong with them, as sentences.

Address, region and credentials come from where every tool of S3 takes them: ``AWS_ENDPOINT_URL``, ``AWS_REGION``,
``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE`` and their like; none is ever in a setting of ours, or in a message. A request
that the server is too busy for (503 ``SlowDown``, 429, 5xx), or that is cut, is made again by botocore's standard
rule, six times in all (``AWS_MAX_ATTEMPTS``) with pauses of up to 20 s; a body that is cut likewise, by the loop
here.

A conditional write that was repeated after its answer was lost is refused although it was done. Every object
carries the number of its writing, so that this is told from another's.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from htxdata.errors import LakeUnusable, StoreError

LARGEST = 5 * 1024**3
"""Bytes that S3 takes in one PUT. A commit is one PUT; a day of a million trades has 15 MB."""

NONE = ""
"""The tag of what must not be there yet."""

_ATTEMPTS = 6
_NUMBER = "htxdata-write"
_OUTRUN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {
    "AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken", "Forbidden",
    "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "401", "403",
}  # fmt: skip
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "TooManyRequests"}


class Outrun(Exception):
    """Another writer was quicker: the object is no longer what it was. Never leaves the store.

    ``repeated``: the request was made more than once, and the first may have been done.
    """

    def __init__(self, repeated: bool = False) -> None:
        super().__init__()
        self.repeated = repeated


class Found(NamedTuple):
    """``content`` of an object, or of a part of it, and what the whole is: its tag, and its size in bytes."""

    content: bytes
    tag: str
    size: int


class Entry(NamedTuple):
    """One line of a listing. ``age`` is in seconds, by the server's clock."""

    key: str
    tag: str
    size: int
    age: float


class Objects:
    """The objects of one bucket. Safe to share between threads."""

    def __init__(self, bucket: str, *, attempts: int = _ATTEMPTS) -> None:
        """``attempts``: how often a request is made at most, where ``AWS_MAX_ATTEMPTS`` does not say so."""
        self.bucket = bucket
        self._attempts = attempts
        self.requests: Counter[str] = Counter()
        """How many of each kind were made, repetitions not counted."""
        self._lock = threading.Lock()
        self._made: Any = None
        self._owner = 0
        self._there = False

    @property
    def endpoint(self) -> str:
        """Scheme, host and port of the server, nothing else of the address."""
        if self._made is None:
            address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        else:
            address = self._made.meta.endpoint_url
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "AWS"

    # ----------------------------------------------------------------------------------------- requests

    def get(
        self, key: str, *, first: int = 0, last: int | None = None, tail: int | None = None, tag: str | None = None
    ) -> Found | None:
        """An object from byte ``first`` to ``last`` (inclusive), or its last ``tail`` bytes; ``None`` where there is
        none, or with ``tag``, none that is still this one."""
        args: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if tail is not None:
            args["Range"] = f"bytes=-{tail}"
        elif first or last is not None:
            args["Range"] = f"bytes={first}-{'' if last is None else last}"
        if tag is not None:
            args["IfMatch"] = f'"{tag}"'
        try:
            answer, content = self._body(key, args)
        except Outrun:
            return None
        except ClientError as error:
            code = _code(error)
            if code in _ABSENT:
                return None
            if code in ("InvalidRange", "416"):  # of an empty object
                return Found(b"", str(error.response.get("Error", {}).get("ETag", "")).strip('"'), 0)
            raise
        size = len(content)
        if "ContentRange" in answer:
            size = int(answer["ContentRange"].rpartition("/")[2])
        return Found(content, _tag(answer), size)

    def download(self, key: str, tag: str, file: IO[bytes]) -> bool:
        """The whole object into ``file``, from its beginning; False where there is no longer that one."""
        for attempt in range(_ATTEMPTS):
            file.seek(0)
            file.truncate()
            try:
                with self._telling(key):
                    answer = self._ask("get_object", Bucket=self.bucket, Key=key, IfMatch=f'"{tag}"')
                with _whole():
                    for piece in answer["Body"].iter_chunks(1 << 20):
                        file.write(piece)
                file.seek(0)
                return True
            except Outrun:
                return False
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return False
                raise
            except _Cut as error:
                self._again(key, attempt, error)
        raise AssertionError("unreachable")

    def head(self, key: str, tag: str | None = None) -> Entry | None:
        """What an object is, without its content."""
        args = {"Bucket": self.bucket, "Key": key} | ({} if tag is None else {"IfMatch": f'"{tag}"'})
        try:
            with self._telling(key):
                answer = self._ask("head_object", **args)
        except Outrun:
            return None
        except ClientError as error:
            if _code(error) in _ABSENT:
                if not self._there:  # the answer to a HEAD does not say what it is that is not there
                    next(self.entries("", most=1), None)
                return None
            raise
        return Entry(key, _tag(answer), int(answer["ContentLength"]), 0.0)

    def put(self, key: str, content: bytes | memoryview | IO[bytes], *, tag: str | None) -> str:
        """Write an object where it is still ``tag`` (``NONE``: not there; ``None``: whatever it is); its new tag.
        ``Outrun`` where it is not. In one request, so that it is there wholly or not at all."""
        number = uuid.uuid4().hex
        args: dict[str, Any] = {"Bucket": self.bucket, "Key": key, "Metadata": {_NUMBER: number}}
        args["Body"] = bytes(content) if isinstance(content, memoryview) else content
        if tag is not None:
            args |= {"IfMatch": f'"{tag}"'} if tag else {"IfNoneMatch": "*"}
        try:
            with self._telling(key):
                return _tag(self._ask("put_object", **args))
        except Outrun as error:
            if error.repeated and (own := self._is_ours(key, number)):
                return own
            raise
        except ClientError as error:
            if _code(error) in _ABSENT and tag:
                raise Outrun() from None
            raise

    def _is_ours(self, key: str, number: str) -> str:
        """The tag of an object that is what the writing ``number`` wrote, or nothing."""
        try:
            with self._telling(key):
                answer = self._ask("head_object", Bucket=self.bucket, Key=key)
        except (Outrun, ClientError):
            return ""
        return _tag(answer) if answer.get("Metadata", {}).get(_NUMBER) == number else ""

    def delete(self, key: str) -> None:
        with self._telling(key):
            self._ask("delete_object", Bucket=self.bucket, Key=key)

    def entries(self, prefix: str, *, most: int = 1000) -> Iterator[Entry]:
        """Every object whose key begins with ``prefix``, in order; a thousand of them take one request."""
        for answer, now in self._pages(prefix, most=most):
            for each in answer.get("Contents", ()):
                age = now - each["LastModified"].timestamp()
                yield Entry(each["Key"], _tag(each), each["Size"], age)

    def folders(self, prefix: str) -> list[str]:
        """The names between ``prefix`` and the next slash."""
        return [
            each["Prefix"][len(prefix) : -1]
            for answer, _ in self._pages(prefix, delimiter="/")
            for each in answer.get("CommonPrefixes", ())
        ]

    def _pages(self, prefix: str, *, delimiter: str = "", most: int = 1000) -> Iterator[tuple[Any, float]]:
        args: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, "MaxKeys": most}
        if delimiter:
            args["Delimiter"] = delimiter
        while True:
            with self._telling(prefix):
                answer = self._ask("list_objects_v2", **args)
            said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
            yield answer, parsedate_to_datetime(said).timestamp() if said else time.time()
            if not answer.get("IsTruncated") or most < 1000:
                return
            args["ContinuationToken"] = answer["NextContinuationToken"]

    # ------------------------------------------------------------------------------------------ plumbing

    def _client(self) -> Any:
        with self._lock:
            if self._made is None or self._owner != os.getpid():  # connections are not for two processes
                session = _session()
                settings: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 60, "max_pool_connections": 32}
                retries: dict[str, Any] = {"mode": os.environ.get("AWS_RETRY_MODE") or "standard"}
                if not os.environ.get("AWS_MAX_ATTEMPTS"):
                    retries["total_max_attempts"] = self._attempts
                if os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
                    settings["s3"] = {"addressing_style": "path"}  # a bucket is no host's name there, as a rule
                self._made = session.create_client("s3", config=Config(**settings, retries=retries))
                self._owner = os.getpid()
            return self._made

    def _ask(self, verb: str, **args: Any) -> Any:
        self.requests[verb] += 1
        answer = getattr(self._client(), verb)(**args)
        self._there = True
        return answer

    def _body(self, key: str, args: dict[str, Any]) -> tuple[Any, bytes]:
        for attempt in range(_ATTEMPTS):
            try:
                with self._telling(key):
                    answer = self._ask("get_object", **args)
                with _whole():
                    return answer, answer["Body"].read()
            except _Cut as error:
                self._again(key, attempt, error)
        raise AssertionError("unreachable")

    def _again(self, key: str, attempt: int, error: Exception) -> None:
        if attempt == _ATTEMPTS - 1:
            raise StoreError(
                f"s3://{self.bucket}/{key} could not be read from {self.endpoint}: {error}; run it again"
            ) from error
        time.sleep(0.05 * 2**attempt)

    @contextmanager
    def _telling(self, key: str) -> Iterator[None]:
        """What the server or the way to it says: ``Outrun``, a ``ClientError`` that the caller knows, or a sentence."""
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in _OUTRUN:
                raise Outrun(error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0) from None
            if code in _ABSENT or code in ("InvalidRange", "416"):
                raise
            raise self._sentence(code, error, key) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise LakeUnusable(
                f"the lake in s3://{self.bucket} needs credentials and there are none: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise LakeUnusable(
                f"the lake in s3://{self.bucket}: {self.endpoint} cannot be reached: check AWS_ENDPOINT_URL "
                "and the network"
            ) from error
        except HTTPClientError as error:
            raise StoreError(
                f"s3://{self.bucket}/{key}: the connection to {self.endpoint} failed ({type(error).__name__}); "
                "run it again"
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise LakeUnusable(
                f"the lake in s3://{self.bucket} cannot be used: {error}; check the AWS_* environment"
            ) from error

    def _sentence(self, code: str, error: ClientError, key: str) -> Exception:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            return LakeUnusable(
                f"there is no bucket {self.bucket!r} at {self.endpoint}: make it, or set lake to another"
            )
        if code in _REFUSED or status in (401, 403):
            return LakeUnusable(
                f"{self.endpoint} refuses s3://{self.bucket} ({code}): check the credentials in the environment "
                "(AWS_*), and that they may list, get, put and delete there"
            )
        if code in _BUSY or status >= 500 or status == 429:
            tries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
            return StoreError(
                f"{self.endpoint} is too busy for s3://{self.bucket} ({code}, asked {tries} times): what was committed "
                "stays; run it again later"
            )
        if code == "EntityTooLarge":
            return StoreError(f"s3://{self.bucket}/{key} is larger than {self.endpoint} takes at once")
        return LakeUnusable(f"{self.endpoint} refuses a request for s3://{self.bucket} ({code}, HTTP {status})")


@lru_cache(maxsize=1)
def _models() -> Any:
    """What botocore knows of S3: a tenth of a second to read, once in a process."""
    return botocore.session.get_session().get_component("data_loader")


def _session() -> Any:
    session = botocore.session.get_session()
    session.register_component("data_loader", _models())
    return session


class _Cut(Exception):
    """The body of an answer broke off; botocore leaves it to us to ask again."""


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError) as error:
        raise _Cut(str(error)) from error


def _tag(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
