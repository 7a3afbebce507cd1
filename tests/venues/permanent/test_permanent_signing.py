"""The Permanent API's signature: its worked order of names, and what it says on its private socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

from htxdata.keys import Keys, Secret
from htxdata.venues.permanent import signing

AT = 1_567_361_776_000_000  # 2019-09-01T18:16:16
KEY = Keys(Secret("sffd-ddfd-dfdsaf-dfdsafsd"), Secret("not-a-real-secret"))
SAID = (
    ("orderId", "1234567890"),
    ("Timestamp", "2017-05-11T15:19:30"),
    ("SignatureVersion", "2"),
    ("AccessKeyId", "e2"),
    ("SignatureMethod", "HmacSHA256"),
)


def test_both_orders_of_names() -> None:
    """The example's (orderId behind AccessKeyId) unless ASCII, which the text says, is asked for."""
    folded = signing.text_to_sign("GET", "API.example.com", "/orders/detail", SAID)
    assert folded == (
        "GET\napi.example.com\n/orders/detail\nAccessKeyId=e2&orderId=1234567890&SignatureMethod=HmacSHA256"
        "&SignatureVersion=2&Timestamp=2017-05-11T15%3A19%3A30"
    )
    by_ascii = signing.text_to_sign("GET", "api.example.com", "/orders/detail", SAID, fold=False)
    assert by_ascii.endswith("&Timestamp=2017-05-11T15%3A19%3A30&orderId=1234567890")


def test_without_parameters_both_orders_are_one() -> None:
    """Where every name is a capital one, the contradiction of the document does not matter."""
    one, other = (
        signing.sign_params("GET", "h", "/accounts", (), KEY, AT, fold=fold) for fold in (True, False)
    )
    assert one == other
    text = (
        "GET\nh\n/accounts\nAccessKeyId=sffd-ddfd-dfdsaf-dfdsafsd&SignatureMethod=HmacSHA256&SignatureVersion=2"
        "&Timestamp=2019-09-01T18%3A16%3A16"
    )
    made = hmac.new(b"not-a-real-secret", text.encode(), hashlib.sha256).digest()
    assert one[-1] == ("Signature", base64.b64encode(made).decode())


def test_the_private_socket(shared: Path) -> None:
    """The members of the recorded sign-in, over GET and ``/ws``."""
    sample = json.loads((shared / "reference/samples/permanent-v1/ws-auth-request.json").read_text())
    said = signing.sign_in("api.example.com", "/ws", KEY, AT)
    text = (
        "GET\napi.example.com\n/ws\naccessKey=sffd-ddfd-dfdsaf-dfdsafsd&signatureMethod=HmacSHA256&signatureVersion=2"
        "&timestamp=2019-09-01T18%3A16%3A16"
    )
    made = base64.b64encode(hmac.new(b"not-a-real-secret", text.encode(), hashlib.sha256).digest()).decode()
    sample["params"]["signature"] = made
    assert said == sample
