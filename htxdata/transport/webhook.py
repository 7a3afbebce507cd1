"""A message to somebody else's address: one POST of JSON, no budget, no retry, nothing of it in what is said."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from htxdata.errors import Unreachable


def post(url: str, body: bytes, timeout_s: float) -> None:
    """POST ``body``; anything but a 2xx raises `Unreachable`. ``timeout_s`` bounds the connection and each silence.

    Of the address only the host is named: the rest is often a secret.
    """
    host = urlsplit(url).hostname or "?"
    try:
        with requests.post(
            url, data=body, headers={"Content-Type": "application/json"}, timeout=timeout_s, allow_redirects=False,
            stream=True,
        ) as answer:  # fmt: skip
            status = answer.status_code
    except requests.Timeout:
        raise Unreachable(f"{host} gave no answer within {timeout_s:g} s") from None
    except (requests.RequestException, OSError, ValueError) as error:
        raise Unreachable(f"{host} cannot be reached: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise Unreachable(f"{host} answered HTTP {status}")
