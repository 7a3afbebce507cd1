"""A bounded store of what was made most recently: hourly bars, funding histories, squeezed bodies."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Recent:
    """Keeps `size` values and forgets the one unused for longest. Thread safe; a value is never None."""

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, OrderedDict[Hashable, Any](), threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The value, or None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value in place of what was there."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def or_make(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value, made if need be; two threads may make it twice, which is waste but not an error."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value
