"""One Prefect server for the whole session (seconds to start), and configurations that point at a sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htxdata.sandbox import Sandbox

Configure = Callable[..., str]


@pytest.hookimpl(tryfirst=True)  # before pytest picks by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server takes seconds to start: what needs one is wide. The demo runs a flow in the default suite."""
    for item in items:
        if "prefect_server" in getattr(item, "fixturenames", ()):
            item.add_marker("wide")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))  # beside other tests a server takes its time


@pytest.fixture(scope="session")
def prefect_server(own_machine: None) -> Iterator[str]:
    """The address of a Prefect server that this process's flows talk to."""
    from flows.local_server import LocalServer

    home = Path(os.environ["PREFECT_HOME"])
    with LocalServer(home) as server:
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_HOME,
            PREFECT_LOGGING_TO_API_ENABLED,
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
            temporary_settings,
        )

        settings = {
            PREFECT_API_URL: server.url(),
            PREFECT_HOME: home,
            PREFECT_LOGGING_TO_API_ENABLED: False,
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        }
        with temporary_settings(updates=settings):
            yield server.url()


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write the configuration that points a lake in ``tmp_path`` at a sandbox; returns the file's name."""

    def write(
        sandbox: Sandbox, spot: float = 2000, swap: float = 2000, more: str = "", *, archive: bool = False
    ) -> str:
        chosen = sandbox.hosts if archive else {**sandbox.hosts, "htx_archive": ""}
        hosts = "\n".join(f'{key} = "{base}"' for key, base in chosen.items())
        file = tmp_path / "htxdata.toml"
        file.write_text(
            f'lake = "{tmp_path / "lake"}"\ntape = "{tmp_path / "tape"}"\n[hosts]\n{hosts}\n'
            f"[budgets]\nhtx_spot_rest = {spot}\nhtx_swap_rest = {swap}\n{more}"
        )
        return str(file)

    return write
