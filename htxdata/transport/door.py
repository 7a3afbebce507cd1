"""The key that opens a stream: asked for, kept alive, and shown to nobody.

What is due when is `protocol.lease`'s to say; here it is done, by the client that signs and keeps the budget. Each
connection asks for a key of its own. None is given back: whether asking twice gives two keys or one is documented
nowhere, and to end a key that somebody else listens by would end his stream. An unused one ends by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from htxdata.errors import HtxdataError, KeyRefused, OutcomeUnknown, Refused, VenueError
from htxdata.keys import Secret
from htxdata.protocol.lease import Lease, Lent
from htxdata.transport.http import Client

_LATER = ("throttled", "banned")

End = Callable[[str, str], None]
"""Gets why it is over, in the words of a reel ("lost"; "refused" where it is for good), and a sentence: the key may be
in it."""


class Door:
    """One stream's key. ``client`` makes a client that an event stops. Used once: `open`, then `keep`, then `close`."""

    def __init__(self, lent: Lent, client: Callable[[threading.Event], Client]) -> None:
        self._lent = lent
        self._stop = threading.Event()
        self._client = client(self._stop)
        self._key: Secret | None = None
        self._lease: Lease | None = None

    async def open(self, end: End) -> Secret | None:
        """A new key; None where there is none, and ``end`` was told why."""
        asked_at = asyncio.get_running_loop().time()
        try:
            reply = await asyncio.to_thread(self._client.tell, self._lent.ask, b"")
            self._key = Secret(self._lent.read(reply))
        except KeyRefused as error:
            end("refused", _reason(error))
        except (VenueError, OutcomeUnknown) as error:
            end("lost", f"no key to listen with: {error}")
        else:
            self._lease = Lease(self._lent, asked_at)
        return self._key

    async def keep(self, end: End) -> None:
        """Extend the key whenever that is due, until it cannot be extended."""
        loop, lease, key = asyncio.get_running_loop(), self._lease, self._key
        assert lease is not None
        assert key is not None
        while True:
            await asyncio.sleep(max(0.0, lease.due - loop.time()))
            asked_at = loop.time()
            try:
                await asyncio.to_thread(self._client.tell, self._lent.extend(key.reveal()), b"")
                lease.extended(asked_at)
            except KeyRefused as error:
                return end("refused", _reason(error))
            except (VenueError, OutcomeUnknown) as error:
                # One that the venue does not know (any more) is over, and another one is asked for.
                over = isinstance(error, Refused) and error.kind not in _LATER
                if over or not lease.failed(loop.time()):
                    return end("lost", f"the key to listen with was not extended: {error}")

    def close(self) -> None:
        self._stop.set()
        self._client.close()

    def struck(self, text: str) -> str:
        """A text without the key."""
        return text if self._key is None else text.replace(self._key.reveal(), "…")

    def struck_out(self, body: bytes) -> bytes:
        """A frame without it, as long as it was."""
        if self._key is None:
            return body
        said = self._key.reveal().encode()
        return body.replace(said, b"*" * len(said)) if said in body else body


def _reason(error: HtxdataError) -> str:
    """What the venue said: that the key is not taken is said again by who raises it."""
    return str(error).rpartition("the key is not taken: ")[2]
