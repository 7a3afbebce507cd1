"""The door: how many requests an address may make, what it is told when it makes more, and when it is shut out.

Numbers per reference htx-api 2.1 and 2.2. Windows slide: of any stretch of the window's length at most `limit` requests
are let in, wherever it begins. A refused request does not take a place; refusals that keep coming earn a ban.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

Budget = tuple[int, float]

SPOT, SWAP, ARCHIVE = "htx_spot_rest", "htx_swap_rest", "htx_archive"
HASHKEY, PERMANENT = "hashkey_rest", "permanent_rest"
_HOSTS = (SPOT, SWAP, ARCHIVE, HASHKEY, PERMANENT)

_MARKET_DATA = (
    ("/linear-swap-ex/", "linear"),
    ("/swap-ex/", "coin-swap"),
    ("/market/", "futures"),
    ("/index/", "index"),
    ("/v2/linear-swap-ex/", "linear"),
)
_NUMBERED = re.compile(r"(?<=/)\d+")
_SPOT_OWN: Mapping[str, Budget] = {  # 2.1 and 10.2; private ones are counted by user
    "/v1/common/timestamp": (100, 2.0),
    "/v1/account/accounts": (100, 2.0),
    "/v1/account/accounts/{id}/balance": (100, 2.0),
    "/v1/account/history": (5, 2.0),
    "/v1/order/matchresults": (20, 2.0),
    "/v1/order/orders": (50, 2.0),
    "/v1/order/orders/{id}": (50, 2.0),
    "/v1/order/orders/{id}/matchresults": (50, 2.0),
    "/v1/order/orders/getClientOrder": (50, 2.0),  # 10.4
    "/v1/order/orders/place": (100, 2.0),
    "/v1/order/orders/{id}/submitcancel": (100, 2.0),
}
_HASHKEY_OWN = ("/api/v1/account", "/api/v1/futures/balance", "/api/v1/futures/userTrades")
_SWAP_OWN = ("/v5/trade/", "/v5/account/")
_COIN = ("/swap-api/", "/api/v1/contract_", "/api/v3/contract_", "/api/market/contract_")


@dataclass(frozen=True)
class Verdict:
    """What the door says: let in or not, the headers that tell the state, and whether the address is banned."""

    admitted: bool
    banned: bool
    headers: Mapping[str, str]
    flat: bool  # refuse with HTTP 200 and err_code 1032 instead of HTTP 429 (derivatives do both)


class Door:
    """Sliding windows per host and endpoint, in seconds of a monotonic clock.

    limits: True for the venue's own, False for none, or host key -> requests per second (or (requests, seconds)),
    which then counts everything on that host together.
    """

    def __init__(
        self,
        limits: bool | Mapping[str, float | Budget] = True,
        ban_after: int = 20,
        ban_seconds: float = 60.0,
    ) -> None:
        self._own = limits is not False
        self._host: dict[str, Budget] = {}
        if isinstance(limits, Mapping):
            for host, budget in limits.items():
                count, seconds = budget if isinstance(budget, tuple) else (budget, 1.0)
                if host not in _HOSTS or count < 1 or seconds <= 0:
                    raise ValueError(
                        f"limits: {host!r}: {budget!r} is not a budget; hosts are {', '.join(_HOSTS)}, "
                        "a budget is requests per second or (requests, seconds)"
                    )
                self._host[host] = (int(count), float(seconds))
        self._ban_after, self._ban_seconds = ban_after, ban_seconds
        self._windows: dict[str, deque[float]] = {}
        self._refusals: dict[str, deque[float]] = {}
        self._banned_until: dict[str, float] = {}
        self.violations: list[tuple[float, str, str]] = []  # (monotonic time, host key, path)

    def budget(self, host: str, path: str) -> tuple[str, Budget] | None:
        """The window a request falls in and its size; None if nothing is counted."""
        if host in self._host:
            return host, self._host[host]
        if not self._own or host == ARCHIVE:
            return None  # S3 counts far more than one address can ask
        if host == HASHKEY and path.endswith("/order"):
            return f"{host} orders", (10, 1.0)  # of a key, as the next (hashkey-api 2)
        if host == HASHKEY and path.startswith(_HASHKEY_OWN):
            return f"{host} private", (2, 1.0)
        if host == HASHKEY:
            return host, (5, 1.0)  # nobody minded four a second for a minute (hashkey-api 2); no limit is published
        if host == PERMANENT:
            return host, (100, 10.0)  # permanent-v1 3.4, of a key; of an address nothing is said
        if host == SPOT:
            return host + path, _SPOT_OWN.get(_NUMBERED.sub("{id}", path), (10, 1.0))
        for start, line in _MARKET_DATA:
            if path.startswith(start):
                return f"{host} market {line}", (800, 1.0)
        if path.endswith("/swap_query_elements"):
            return host + path, (20, 2.0)
        if path.startswith(_SWAP_OWN):
            return f"{host} private", (72, 3.0)  # reads, of a user
        coin = path.startswith(_COIN)
        return f"{host} {'coin' if coin else 'linear'}", (120 if coin else 240, 3.0)

    def knock(self, host: str, path: str, time: float, wall_ms: int) -> Verdict:
        """Judge one request that arrived at `time`."""
        if time < self._banned_until.get(host, float("-inf")):
            return Verdict(False, True, {}, False)
        found = self.budget(host, path)
        if found is None:
            return Verdict(True, False, {}, False)
        name, (limit, seconds) = found
        window = self._windows.setdefault(name, deque())
        while window and window[0] <= time - seconds:
            window.popleft()
        admitted = len(window) < limit
        if admitted:
            window.append(time)
        else:
            self.violations.append((time, host, path))
            refusals = self._refusals.setdefault(host, deque())
            refusals.append(time)
            while refusals[0] <= time - 10.0:
                refusals.popleft()
            if len(refusals) >= self._ban_after:
                refusals.clear()
                self._banned_until[host] = time + self._ban_seconds
        frees = window[0] + seconds - time if window else 0.0
        return Verdict(
            admitted,
            False,
            self._headers(host, limit, seconds, len(window), wall_ms + int(frees * 1000) + 1),
            flat=host == SWAP and not admitted and len(self.violations) % 2 == 0,
        )

    def _headers(self, host: str, limit: int, seconds: float, used: int, reset_ms: int) -> dict[str, str]:
        if host in (HASHKEY, PERMANENT):
            return {}  # none were seen (hashkey-api 2); nothing is said of any (permanent-v1)
        if host == SPOT:
            return {
                "X-HB-RateLimit-Requests-Remain": str(limit - used),
                "X-HB-RateLimit-Requests-Expire": str(reset_ms),
            }
        return {
            "ratelimit-limit": str(limit),
            "ratelimit-interval": str(int(seconds * 1000)),
            "ratelimit-remaining": str(limit - used),
            "ratelimit-reset": str(reset_ms),
        }
