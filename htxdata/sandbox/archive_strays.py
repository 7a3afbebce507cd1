"""What lies in the bucket and is no market data: remarks, the web page's assets, tests (htx-api 9.5)."""

from __future__ import annotations

from .archive_days import FIRST_OF_CURRENT
from .archive_files import overhead, squeezed, zipped
from .instruments import instant

_REMARKS = {
    "data/klines/spot/": "id: open time (s), open, close, high, low, vol: quote currency, amount: base currency",
    "data/klines/linear-swap/": "id: open time (s), open, close, high, low, vol: contracts, amount: in base currency",
    "data/trades/spot/": "id, ts (ms), price, amount: base currency, direction: the taker's",
    "data/trades/linear-swap/": "id, ts (ms), price, amount: contracts, quantity, trade_turnover, direction",
    "data/index-klines/linear-swap/": "timestamp (s), open, close, high, low",
    "data/mark-price-klines/linear-swap/": "timestamp (s), open, close, high, low",
}
_TEST_NAME = "TEST001-USDT-PERP-trades-2026-02-01"
_TEST_ROWS = b"instId,tradeId,px,side,size,ts\nTEST001-USDT-PERP,1000,1,BUY,2,1769875200000\n"


def _test_zip() -> bytes:
    packed, name = squeezed(_TEST_ROWS), f"{_TEST_NAME}.csv"
    return zipped(name, FIRST_OF_CURRENT, _TEST_ROWS, packed, overhead(name) + len(packed), streamed=False)


_LONG_AGO, _TESTED = instant("2021-05-20T07:30"), instant("2026-02-02T04:00")

STRAYS: dict[str, tuple[bytes, int]] = {
    **{f"{folder}remark.txt": (f"{text}\n".encode(), _LONG_AGO) for folder, text in _REMARKS.items()},
    "assets/index.css": (b"body { margin: 0; }\n", _LONG_AGO),
    "assets/list.js": (b"var BUCKET_URL = '/data/';\n", _LONG_AGO),
    f"historical_data/futures/daily/trades/TEST001-USDT-PERP/{_TEST_NAME}.zip": (_test_zip(), _TESTED),
    "test/BTC-USDT-1min-2021-05-18.zip": (b"test\n", _LONG_AGO),
    "test/": (b"", _LONG_AGO),
}
"""key -> (content, us UTC of the upload)"""
