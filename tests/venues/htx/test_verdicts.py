"""Every way in which HTX says that something is wrong, and the ways in which a good answer may look wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.protocol.wire import FaultKind, Reply, Request
from htxdata.venues.htx.verdicts import judge


def kind(body: bytes | dict[str, object], status: int = 200) -> str | None:
    raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    fault = judge(Reply(Request("/x"), status, raw, 0))
    return None if fault is None else fault.kind


CODES: list[tuple[int | str, FaultKind]] = [
    (1004, "busy"),
    (1013, "symbol"),
    (1014, "symbol"),
    (1030, "invalid"),
    (1032, "throttled"),
    (1066, "invalid"),
    (1067, "invalid"),
    (1077, "busy"),
    (1078, "busy"),
    (1079, "busy"),
    (1080, "busy"),
    (1003, "key"),
    (403, "key"),
    (12001, "refused"),
    ("invalid-symbol", "symbol"),
    ("gateway-internal-error", "busy"),
    ("base-request-exceed-frequency-limit", "throttled"),
    ("rate-too-many-requests", "throttled"),
    ("system-maintenance", "maintenance"),
    ("method-not-allowed", "absent"),
    ("bad-request", "invalid"),
    ("invalid-parameter", "invalid"),
    ("api-signature-not-valid", "key"),
    ("login-required", "key"),
    ("base-record-invalid", "refused"),
    ("order-orderstate-error", "refused"),
]


@pytest.mark.parametrize(("code", "expected"), CODES)
def test_every_code_in_every_spelling(code: int | str, expected: FaultKind) -> None:
    """Hyphens, underscores, v5's plain ``code``, numbers and their texts, with status error or none: one verdict."""
    for said in {code, str(code)}:
        assert kind({"status": "error", "err-code": said, "err-msg": "", "ts": 1}) == expected
        assert kind({"status": "error", "err_code": said, "err_msg": None, "ts": 1}) == expected
        assert kind({"code": said, "message": "", "data": None, "ts": 1}) == expected
        assert kind({"code": said, "msg": "no", "data": [], "ts": 1}) == expected
        assert kind({"ts": 1, "err-code": said, "data": [], "status": "error"}) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("invalid symbol", "symbol"),
        ("invalid period", "invalid"),
        ("invalid size,valid range: [1, 2000]", "invalid"),
        ("request timeout", "busy"),
        ("symbol trade not open now", "invalid"),
        ("request limit", "throttled"),
        ("too many request", "throttled"),
        ("System busy. Please try again later.", "busy"),
        ("The contract doesn't exist.", "symbol"),
        ("The contract does not exist.", "symbol"),
        ("system maintenance", "maintenance"),
        ("contract_code cannot be empty.", "invalid"),
        ("The limit field is invalid", "invalid"),
    ],
)
def test_the_words_decide_where_the_code_is_wide(words: str, expected: FaultKind) -> None:
    """Spot says nearly everything with ``invalid-parameter``."""
    assert kind({"ts": 1, "status": "error", "err-code": "invalid-parameter", "err-msg": words}) == expected
    assert kind({"status": "error", "err_code": "invalid-parameter", "err_msg": words, "ts": 1}) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"status": "ok", "ch": "c", "ts": 1, "data": []},
        {"ch": "c", "ts": 1, "data": [], "status": "ok"},
        {"code": 200, "message": "Success", "data": [], "ts": 1},
        {"code": "200", "data": {}},
        {"data": [], "ch": "c"},
        {"code": 200, "msg": "", "data": [{"id": 1}], "ts": 1},
        {"status": "ok", "data": [], "ts": "1", "full": 1, "err_code": None},
        {"status": "ok", "data": [], "ts": "1", "full": 1, "err_code": ""},
        {"status": "ok", "data": [], "err_code": 0},
    ],
)
def test_success_is_data_and_no_error(body: dict[str, object]) -> None:
    """With or without ``status``, with or without ``code``, compact or with blanks."""
    assert kind(body) is None
    assert kind(json.dumps(body, indent=4).encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "err-code": "invalid-parameter", "err-msg": 'asked "status":"ok"', "data": []},
        {"status": "error", "err-code": "invalid-parameter", "x": {"status": "ok"}, "data": []},
        {"status": "error", "err-code": "invalid-parameter", "data": [{"status": "ok"}]},
        {"x": {"status": "ok"}, "data": [], "status": "error", "err_code": 1067},
        {"x": [{"status": "ok"}], "err-code": "bad-request", "data": []},
        {"status": "error", "pad": "x" * 400, "data": {"status": "ok"}, "err_code": 1067},
        {"err_code": 1067, "pad": "x" * 400, "data": [{"a": {"status": "ok"}}]},
        {"status": "ok", "err_code": 1067, "data": []},
        {"x": {"status": "ok"}, "code": 1067, "data": []},
        {"code": 1067, "data": [{"status": "ok"}], "ts": 1},
        {"code": 1067, "pad": "x" * 400, "data": {"status": "ok"}},
    ],
)
def test_an_ok_inside_an_error_fools_nobody(body: dict[str, object]) -> None:
    """Only the envelope's own ``status`` counts, and not even that beside an error code."""
    assert kind(body) == "invalid"


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"ok","data":[{"id":1},',
        b'{"status":"ok"',
        b'{"status":"ok","data":[1]',
        b'<html>"status":"ok"}',
        b'{"code":200}',
        b'{"ts":1}',
        b'{"status":"ok","ts":1}x',
    ],
)
def test_a_cut_body_is_garbled(body: bytes) -> None:
    """A good beginning does not make a good answer: it is asked for again."""
    assert kind(body) == "garbled"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"<html>Not Found</html>", "absent"),
        (405, b"", "absent"),
        (410, b"{}", "absent"),
        (404, b'{"status":404,"error":"Not Found","path":"/v5/x"}', "absent"),
        (405, b'{"status":"error","err-code":"method-not-allowed","err-msg":"x"}', "absent"),
        (400, b'{"status":"error","err-code":"bad-request","err-msg":"invalid symbol"}', "symbol"),
        (400, b"<html>", "refused"),
        (302, b"<html>", "refused"),
        (200, b"<!DOCTYPE html><title>Just a moment...</title>", "garbled"),
        (403, b"<html>cloudflare</html>", "banned"),
        (403, b'{"code":403,"message":"system busy"}', "banned"),
        (429, b'{"status":"error","err-code":"bad-request","err-msg":"invalid symbol"}', "throttled"),
        (429, b'{"status":"ok","data":[]}', "throttled"),
        (418, b'{"code":-1003,"msg":"try again"}', "banned"),
        (503, b'{"status":"maintain"}', "server"),
        (200, b'{"status":"maintain"}', "maintenance"),
    ],
)
def test_status_and_body_together(status: int, body: bytes, expected: str) -> None:
    """Pages of HTML, JSON of the gateway, errors of the application: one verdict for each."""
    assert kind(body, status) == expected


def test_a_message_of_any_length_is_read_in_no_time() -> None:
    """A venue's words are cut before they are searched and passed on."""
    fault = judge(
        Reply(
            Request("/x"),
            200,
            json.dumps({"status": "error", "err_code": 9, "err_msg": "contract" * 200_000}).encode(),
            0,
        )
    )
    assert fault is not None
    assert len(fault.message) < 400


@given(st.binary(max_size=300), st.sampled_from([200, 400, 404, 429, 500]))
def test_no_body_breaks_the_judge(body: bytes, status: int) -> None:
    """Whatever bytes come, there is a verdict."""
    for raw in (body, b'{"data":' + body + b"}", b'{"status":"ok"' + body):
        fault = judge(Reply(Request("/x"), status, raw, 0))
        assert fault is None or fault.kind in get_args(FaultKind)
        assert fault is not None or status == 200


def test_recorded_errors(shared: Path) -> None:
    """HTX's own samples of errors and of maintenance."""
    folder = shared / "reference" / "samples" / "htx"
    assert kind((folder / "linear-error-1066.json").read_bytes()) == "invalid"
    assert kind((folder / "deriv-maintain.json").read_bytes()) == "maintenance"
    assert kind((folder / "spot-error-order.json").read_bytes()) == "refused"
    for name in ("spot-kline", "linear-kline", "linear-v5-funding-rate-history", "spot-v2-settings-symbols"):
        assert kind((folder / f"{name}.json").read_bytes()) is None
