"""The venues of HTX, as tables."""

from __future__ import annotations

from htxdata.keys import Keys
from htxdata.protocol.wire import LimitHeaders, Request
from htxdata.venues.htx import (
    archive,
    deliveries,
    feeds,
    feeds_own,
    futures,
    inverse,
    ledger,
    linear,
    own,
    permits,
    signing,
    spot,
    symbols,
)
from htxdata.venues.htx.verdicts import judge
from htxdata.venues.terms import Accounts, Deliveries, Permits, Venue


def _sign(request: Request, host: str, keys: Keys, now: int) -> tuple[tuple[str, str], ...]:
    return signing.sign_params(request.method, host, request.path, request.params, keys, now)


SPOT = Venue(
    name="htx-spot",
    host="htx_spot_rest",
    judge=judge,
    limit_headers=LimitHeaders("x-hb-ratelimit-requests-remain", "x-hb-ratelimit-requests-expire"),
    endpoints=(*spot.ENDPOINTS, *own.SPOT_OWN, *ledger.SPOT_LEDGER),
    listings=(Request("/v2/settings/common/symbols"), Request("/v1/common/symbols")),
    describe=symbols.describe_spot,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    archives=archive.SPOT_ARCHIVES,
    bucket=archive.BUCKET,
    fold=str.lower,
    feeds=(*feeds.SPOT_FEEDS, *feeds_own.SPOT_OWN_FEEDS),
    keys="htx",
    sign=_sign,
    accounts=Accounts(own.ACCOUNTS, own.account_ids, own.balance_request, own.balances),
    permits=Permits(permits.USER, permits.user_of, permits.ask, permits.key_of),
)

LINEAR = Venue(
    name="htx-linear",
    host="htx_swap_rest",
    judge=judge,
    limit_headers=LimitHeaders("ratelimit-remaining", "ratelimit-reset"),
    endpoints=(*linear.ENDPOINTS, *own.LINEAR_OWN),
    listings=(
        Request("/linear-swap-api/v1/swap_contract_info", (("business_type", "all"),), linear.REFERENCE),
    ),
    describe=symbols.describe_linear,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    archives=archive.LINEAR_ARCHIVES,
    bucket=archive.BUCKET,
    fold=str.upper,
    polls=linear.POLLS,
    feeds=(*feeds.LINEAR_FEEDS, *feeds_own.LINEAR_OWN_FEEDS),
    keys="htx",
    sign=_sign,
)

INVERSE = Venue(
    name="htx-inverse",
    host="htx_swap_rest",
    judge=judge,
    limit_headers=LINEAR.limit_headers,
    endpoints=inverse.ENDPOINTS,
    listings=(inverse.LISTING,),
    describe=inverse.describe,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    archives=archive.INVERSE_ARCHIVES,
    bucket=archive.BUCKET,
    fold=str.upper,
    polls=inverse.POLLS,
    feeds=feeds.INVERSE_FEEDS,
)

FUTURES = Venue(
    name="htx-futures",
    host="htx_swap_rest",
    judge=judge,
    limit_headers=LINEAR.limit_headers,
    endpoints=futures.ENDPOINTS,
    listings=(futures.LISTING,),
    describe=futures.describe,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    archives=archive.FUTURES_ARCHIVES,
    bucket=archive.BUCKET,
    fold=str.upper,
    polls=futures.POLLS,
    feeds=feeds.FUTURES_FEEDS,
    deliveries=Deliveries(
        deliveries.by_name, deliveries.KEPT, inverse.contract_size, deliveries.holders, deliveries.next_roll
    ),
)

VENUES = (SPOT, LINEAR, INVERSE, FUTURES)
