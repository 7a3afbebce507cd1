"""The private endpoints about accounts, and about the key itself (htx-api 10.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .answers import Answer, Ask, Refusal, hyphens, reply
from .own import ACCOUNT, OTHERS, USER, Own
from .own_asks import Caller, listed, page, plain, span
from .periods import DAY, HOUR


def accounts(own: Own, ask: Ask, caller: Caller) -> Answer:
    rows = [{"id": ACCOUNT, "type": "spot", "subtype": "", "state": "working"}]
    rows += [{"id": number, "type": kind, "subtype": "", "state": "working"} for number, kind in OTHERS]
    return reply({"status": "ok", "data": rows})


def balance(own: Own, ask: Ask, caller: Caller) -> Answer:
    account = int(caller.place["id"])
    kinds = {ACCOUNT: "spot", **dict(OTHERS)}
    if account not in kinds:
        raise hyphens(
            ask,
            "account-get-balance-account-inexistent-error",
            f"account for id `{account}` and user id `{USER}` does not exist",
        )
    rows = []
    for currency, (held, count) in sorted(own.balances(ask.now).items()) if account == ACCOUNT else ():
        for kind, amount in (("trade", held), ("frozen", Decimal(0))):
            rows.append({"currency": currency, "type": kind, "balance": plain(amount), "seq-num": str(count)})
    return reply(
        {"status": "ok", "data": {"id": account, "type": kinds[account], "state": "working", "list": rows}}
    )


def history(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v1/account/history: what changed in an account, oldest first unless asked; at most an hour of the last 30 days.
    A page begins with the record that `from-id` names, which was the `next-id` of the page before."""
    wanted = ask.query.get("account-id")
    if wanted not in {str(ACCOUNT), *(str(number) for number, _ in OTHERS)}:
        raise hyphens(ask, "account-history-account-id-error", "account-id is invalid")
    if ask.query.get("sort", "asc") not in ("asc", "desc"):
        raise hyphens(ask, "invalid-parameter", "invalid sort")
    start, end = span(ask, HOUR, 30 * DAY)
    rows: list[dict[str, Any]] = [
        {
            "account-id": ACCOUNT,
            "currency": one.currency,
            "record-id": one.number,
            "transact-amt": plain(one.amount),
            "transact-type": one.kind,
            "avail-balance": plain(one.balance),
            "acct-balance": plain(one.balance),
            "transact-time": one.time // 1000,
        }
        for one in (own.records(start, end, ask.now) if wanted == str(ACCOUNT) else ())
    ]
    if ask.query.get("sort") == "desc":
        rows.reverse()
    if currency := ask.query.get("currency"):
        rows = [row for row in rows if row["currency"] == currency]
    if types := listed(ask, "transact-types"):
        rows = [row for row in rows if row["transact-type"] in types]
    kept = page(ask, rows, [row["record-id"] for row in rows], 100, 500, cursor="from-id", inclusive=True)
    more = (
        {"next-id": rows[rows.index(kept[-1]) + 1]["record-id"]} if kept and kept[-1] is not rows[-1] else {}
    )
    return reply({"status": "ok", "data": kept, **more})


def ledger(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v2/account/ledger: transfers between accounts; at most ten days of the last 180."""
    if ask.query.get("accountId") != str(ACCOUNT):
        raise Refusal(reply({"code": 2002, "message": "invalid field value in `accountId`"}))
    start, end = span(ask, 10 * DAY, 180 * DAY, ("startTime", "endTime"))
    found = [one for one in own.changes(start, end, ask.now)[::-1] if one.kind == "transfer"]
    rows: list[dict[str, Any]] = [
        {
            "accountId": ACCOUNT,
            "currency": one.currency,
            "transactAmt": float(one.amount),
            "transactType": "transfer",
            "transferType": "margin-transfer-out",
            "transactId": one.sequence,
            "transactTime": one.time // 1000,
            "transferer": USER,
            "transferee": ACCOUNT,
        }
        for one in found
    ]
    kept = page(ask, rows, [row["transactId"] for row in rows], 100, 500, cursor="fromId", inclusive=True)
    more = (
        {"nextId": rows[len(kept)]["transactId"]}
        if len(kept) < len(rows) and "fromId" not in ask.query
        else {}
    )
    return reply({"code": 200, "message": "success", "data": kept, **more, "ok": True})


def user(own: Own, ask: Ask, caller: Caller) -> Answer:
    return reply({"code": 200, "data": USER})


def api_key(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v2/user/api-key: the key that asks (`accessKey` may name another, which is nobody's here)."""
    if ask.query.get("uid") != str(USER):
        raise Refusal(reply({"code": 2002, "message": "invalid field value in `uid`"}))
    key, wanted = caller.key, ask.query.get("accessKey")
    row = {
        "accessKey": key.access,
        "note": key.note,
        "permission": key.permission,
        "ipAddresses": ",".join(key.addresses),
        "validDays": key.days_left(ask.now),
        "status": "normal",
        "createTime": key.created_at // 1000,
        "updateTime": key.created_at // 1000,
    }
    return reply({"code": 200, "message": "success", "data": [row] if wanted in (None, key.access) else []})
