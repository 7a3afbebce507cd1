"""The steps of a commit between which a process may die, named where they are reached: tests let it die there."""

from __future__ import annotations

from collections.abc import Callable

step: Callable[[str], None] = lambda name: None  # noqa: E731 - tests put what kills in its place
