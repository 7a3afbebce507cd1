"""The sandbox exchange: a local HTX whose market is a pure function of a seed.

A counterpart, not a mirror: it speaks HTX's wire formats and shares no parsing or encoding code with the client
side, so that a mistake there is not repeated here. The truth is in `Market` (or `Replay`, recorded data), the wire in
`rest` and the endpoint files, the sockets in `websocket` and its neighbours, the bulk archive in `archive` and its
neighbours, what goes wrong in `Faults`.

    with Sandbox(seed=0) as sandbox:
        requests.get(sandbox.hosts["htx_spot_rest"] + "/market/history/kline", {"symbol": "btcusdt", "period": "1min"})
"""

from .faults import Faults, Rule
from .instruments import Instrument
from .keys import SANDBOX_KEY, ApiKey
from .live_books import LiveBook
from .market import Market
from .replay import Replay
from .rest import Record
from .server import Sandbox, serve
from .websocket_lines import Command, Socket

__all__ = [
    "SANDBOX_KEY",
    "ApiKey",
    "Command",
    "Faults",
    "Instrument",
    "LiveBook",
    "Market",
    "Record",
    "Replay",
    "Rule",
    "Sandbox",
    "Socket",
    "serve",
]
