"""Folders that are made on the disk before what is in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from htxdata.store import lasting


@pytest.mark.timeout(10)
@pytest.mark.parametrize("where", ["data/tape/feed=a", "./data/tape", "data", "", "absolute"])
def test_a_folder_is_made_wherever_it_is_counted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As the configuration's own ``data/tape``, below the working directory; and made again it stays as it is."""
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "above" / "below") if where == "absolute" else where
    synced: list[str] = []
    monkeypatch.setattr(lasting, "sync_folder", lambda folder: synced.append(os.path.abspath(folder)))
    for _ in range(2):
        lasting.make_folder(folder)
        assert Path(folder).is_dir()
    made = Path(os.path.abspath(folder)).relative_to(tmp_path).parents
    assert synced == [str(tmp_path / above) for above in reversed(made)]
