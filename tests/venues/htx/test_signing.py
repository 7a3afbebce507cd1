"""Signatures of HTX against what is published, against ccxt, and at the edges of the text that is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import ccxt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import ConfigError
from htxdata.keys import Keys, Secret
from htxdata.venues.htx import signing

AT = 1_494_515_970_000_000  # 2017-05-11T15:19:30, the documents' example
DOCS = "e2xxxxxx-99xxxxxx-84xxxxxx-7xxxx"


def keys(access: str = DOCS, secret: str = "b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx") -> Keys:
    return Keys(Secret(access), Secret(secret))


def test_the_text_to_sign_is_the_documents() -> None:
    """The four lines of HTX's worked example (its printed signature belongs to none of its masked keys)."""
    said = [
        ("order-id", "1234567890"),
        ("Timestamp", "2017-05-11T15:19:30"),
        ("SignatureVersion", "2"),
        ("AccessKeyId", DOCS),
        ("SignatureMethod", "HmacSHA256"),
    ]
    assert signing.text_to_sign("GET", "api.huobi.pro", "/v1/order/orders", said) == (
        "GET\n"
        "api.huobi.pro\n"
        "/v1/order/orders\n"
        f"AccessKeyId={DOCS}&SignatureMethod=HmacSHA256&SignatureVersion=2"
        "&Timestamp=2017-05-11T15%3A19%3A30&order-id=1234567890"
    )
    assert signing.timestamp(AT) == "2017-05-11T15:19:30"


def test_a_request_is_signed_with_the_vector() -> None:
    """The example's request, and the signature that its text has under the example's secret."""
    params = signing.sign_params(
        "GET", "api.huobi.pro", "/v1/order/orders", [("order-id", "1234567890")], keys(), AT
    )
    assert params == (
        ("order-id", "1234567890"),
        ("AccessKeyId", DOCS),
        ("SignatureMethod", "HmacSHA256"),
        ("SignatureVersion", "2"),
        ("Timestamp", "2017-05-11T15:19:30"),
        ("Signature", "Nmd8AU8uAe0mkFpxNbiava0aeZzBEtYjCdie1ZYZjoM="),
    )


def test_the_vector_of_ws_v2() -> None:
    """htx-ws-v2 3: the document's example line under a made-up secret."""
    text = (
        "GET\napi.huobi.pro\n/ws/v2\naccessKey=0664b695-rfhfg2mkl3-abbf6c5d-49810&signatureMethod=HmacSHA256"
        "&signatureVersion=2.1&timestamp=2019-12-05T11%3A53%3A03"
    )
    key = keys("0664b695-rfhfg2mkl3-abbf6c5d-49810", "not-a-real-secret")
    assert signing.signature(text, key) == "jHQuziDFOiI+Ka/+MK7JMeD+5qKruYaZG9ZHzOIQJOQ="
    said = signing.sign_in_v2("api.huobi.pro", "/ws/v2", key, 1_575_546_783_000_000)
    assert said == {
        "action": "req",
        "ch": "auth",
        "params": {
            "authType": "api",
            "accessKey": "0664b695-rfhfg2mkl3-abbf6c5d-49810",
            "signatureMethod": "HmacSHA256",
            "signatureVersion": "2.1",
            "timestamp": "2019-12-05T11:53:03",
            "signature": "jHQuziDFOiI+Ka/+MK7JMeD+5qKruYaZG9ZHzOIQJOQ=",
        },
    }


@pytest.mark.parametrize("name", ["htx-ws-v2/auth-request", "htx/spot-ws2-auth-request"])
def test_ws_v2_has_the_shape_of_the_sample(shared: Path, name: str) -> None:
    """The same members as in the recorded request."""
    sample = json.loads((shared / f"reference/samples/{name}.json").read_text())
    made = signing.sign_in_v2("api.huobi.pro", "/ws/v2", keys(), AT)
    assert made.keys() == sample.keys()
    assert made["params"].keys() == sample["params"].keys()
    assert made["params"]["signatureVersion"] == sample["params"]["signatureVersion"] == "2.1"


def test_a_notification_socket_is_signed_over_its_own_path() -> None:
    """Version 2, names as in REST, over the path in use (htx-api 10.1)."""
    said = signing.sign_in_notification("api.hbdm.com", "/linear-swap-notification", keys(), AT)
    text = (
        f"GET\napi.hbdm.com\n/linear-swap-notification\nAccessKeyId={DOCS}&SignatureMethod=HmacSHA256"
        "&SignatureVersion=2&Timestamp=2017-05-11T15%3A19%3A30"
    )
    made = hmac.new(b"b0xxxxxx-c6xxxxxx-94xxxxxx-dxxxx", text.encode(), hashlib.sha256).digest()
    assert said == {
        "op": "auth",
        "type": "api",
        "AccessKeyId": DOCS,
        "SignatureMethod": "HmacSHA256",
        "SignatureVersion": "2",
        "Timestamp": "2017-05-11T15:19:30",
        "Signature": base64.b64encode(made).decode(),
    }
    other = signing.sign_in_notification("api.hbdm.com", "/notification", keys(), AT)
    assert other["Signature"] != said["Signature"]


def test_ccxt_signs_the_same() -> None:
    """A client that we did not write makes the same signature of the same request, on spot and on contracts."""
    one = ccxt.htx({"apiKey": "key-1", "secret": "secret-1"})
    one.nonce = lambda: AT // 1000
    for api, host, path, query in (
        (
            ["spot", "private"],
            "api.huobi.pro",
            "v1/order/matchresults",
            {"symbol": "btcusdt", "start-time": "1", "size": "500"},
        ),
        (
            ["contract", "private"],
            "api.hbdm.com",
            "v5/trade/order/details",
            {"contract_code": "BTC-USDT", "limit": "100"},
        ),
    ):
        one.urls["hostnames"]["contract"] = "api.hbdm.com"
        url = urlsplit(one.sign(path, api, "GET", dict(query))["url"])
        theirs = dict(parse_qsl(url.query))
        ours = dict(
            signing.sign_params("GET", host, f"/{path}", query.items(), keys("key-1", "secret-1"), AT)
        )
        assert ours == theirs


PEM = (
    Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)  # the first key of RFC 8032 7.1


def test_ed25519_keys_sign_the_same_text() -> None:
    """The method is named, the text is the same, and the public half of RFC 8032's first key verifies it."""
    key = keys("key-2", PEM)
    params = dict(signing.sign_params("GET", "api.huobi.pro", "/v1/account/accounts", [], key, AT))
    made = base64.b64decode(params.pop("Signature"))
    assert params["SignatureMethod"] == "Ed25519"
    public = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    ).public_key()
    public.verify(
        made, signing.text_to_sign("GET", "api.huobi.pro", "/v1/account/accounts", params.items()).encode()
    )
    # RFC 8032 7.1, test 1: the empty text.
    assert (
        base64.b64decode(signing.signature("", key))
        .hex()
        .startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974")
    )


def test_a_broken_pem_is_not_quoted() -> None:
    """A secret that only begins as PEM is refused without a part of it in the message or its causes."""
    key = keys("key-3", "-----BEGIN PRIVATE KEY-----\nTOPSECRETTOPSECRET\n-----END PRIVATE KEY-----")
    with pytest.raises(ConfigError) as caught:
        signing.signature("text", key)
    assert "TOPSECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_edges_of_the_text() -> None:
    """Capitals sort before small letters, signs are encoded with capital hex, a blank is %20, nothing is left out."""

    def query(*params: tuple[str, str], host: str = "API.Huobi.Pro") -> str:
        return signing.text_to_sign("get", host, "/p", params)

    assert query() == "GET\napi.huobi.pro\n/p\n"
    assert query(("b", "1"), ("B", "2"), ("a", "3")).endswith("\nB=2&a=3&b=1")
    assert query(("start-time", "1"), ("startA", "2")).endswith("\nstart-time=1&startA=2")
    assert query(("states", "filled,partial-filled")).endswith("\nstates=filled%2Cpartial-filled")
    assert query(("x", "a b+c:d/e~f*")).endswith("\nx=a%20b%2Bc%3Ad%2Fe~f%2A")
    assert query(("x", ""), ("", "y")).endswith("\n=y&x=")
    assert query(("s", "币安人生usdt")).endswith("\ns=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt")
    assert query(("x", "2"), ("x", "1")).endswith("\nx=1&x=2")
    assert query(host="127.0.0.1:8790").split("\n")[1] == "127.0.0.1:8790"


texts = st.text(max_size=12)


@given(params=st.lists(st.tuples(texts, texts), max_size=6), secret=st.text(min_size=1, max_size=20))
def test_order_does_not_matter_and_every_sign_does(params: list[tuple[str, str]], secret: str) -> None:
    """The same parameters in any order have one signature; another value, host, path or second has another."""
    key, at = keys("k", secret), AT

    def made(said: list[tuple[str, str]], host: str = "h", path: str = "/p", now: int = at) -> str:
        return dict(signing.sign_params("GET", host, path, said, key, now))["Signature"]

    assert made(params) == made(params[::-1])
    others = (
        made([*params, ("n", "1")]),
        made(params, host="i"),
        made(params, path="/q"),
        made(params, now=at + 10**6),
    )
    assert made(params) not in others
    assert made(params, now=at + 999_999) == made(params)


def test_what_is_written_down_has_neither_key_nor_signature() -> None:
    """What is taped of a sign-in tells that there was one, when and by which method, and no more."""
    said = signing.sign_in_v2("api.huobi.pro", "/ws/v2", keys(), AT)
    text = signing.struck_out(said)
    assert DOCS not in text
    assert said["params"]["signature"] not in text
    assert json.loads(text)["params"] == {
        "authType": "api",
        "accessKey": "…",
        "signatureMethod": "HmacSHA256",
        "signatureVersion": "2.1",
        "timestamp": "2017-05-11T15:19:30",
        "signature": "…",
    }
    text = signing.struck_out(signing.sign_in_notification("api.hbdm.com", "/notification", keys(), AT))
    assert json.loads(text)["AccessKeyId"] == json.loads(text)["Signature"] == "…"
