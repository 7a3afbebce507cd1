"""The tree of exceptions is the one that is drawn."""

from __future__ import annotations

import re

import pytest

from htxdata import errors
from htxdata.errors import HtxdataError, Refused

DRAWN = re.findall(r"^[ │]*(?:[├└]── )?(\w+) {2,}(\d) ", errors.__doc__ or "", re.MULTILINE)


def test_every_exception_is_drawn_with_its_exit_code() -> None:
    """Each class of the module stands in the docstring, and the code there is the class's."""
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert {name: value.exit_code for name, value in classes.items()} == {
        name: int(code) for name, code in DRAWN
    }


def test_exit_codes_are_the_contracts() -> None:
    """1 failed, 2 usage, 3 incomplete; a child ends a command as its parent does."""
    codes = {name: getattr(errors, name).exit_code for name, _ in DRAWN}
    assert set(codes.values()) == {1, 2, 3}
    assert codes["UsageError"] == codes["ConfigError"] == codes["UnknownSymbol"] == 2
    assert codes["Incomplete"] == codes["VenueError"] == codes["WalkStuck"] == codes["BadReply"] == 3
    assert codes["StoreError"] == codes["CorruptPartition"] == 1


def test_a_refusal_says_of_what_kind() -> None:
    """The kind decides whether another endpoint is asked; the text is for a person."""
    with pytest.raises(HtxdataError, match="1013: no such symbol") as caught:
        raise Refused("symbol", "1013: no such symbol")
    assert isinstance(caught.value, Refused)
    assert caught.value.kind == "symbol"
