"""The house stands as it was drawn: rooms with charters, no homeless code, no machine's secrets, a lock in step.

What may import what is import-linter's (pyproject.toml, `make imports`); here is what it cannot see.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(path for top in ("htxdata", "flows") for path in (ROOT / top).rglob("*.py"))
FORBIDDEN_NAMES = {
    "manager", "handler", "helper", "util", "handy", "common", "base", "core", "misc", "process", "data2", "do", "info",
}  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def inside(path: Path, *rooms: str) -> bool:
    return name(path).startswith(rooms)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def files_of_the_project() -> list[Path]:
    """Every file that git has or would take. Where there is no git (a source archive): every file but the obvious."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        paths = [ROOT / entry for entry in listing.stdout.decode().split("\0") if entry]
    else:
        skipped = re.compile(r"/\.(?:venv|git)/|_cache/|__pycache__|\.egg-info/|/data/(?:lake|tape)/")
        paths = [path for path in ROOT.rglob("*") if not skipped.search(path.as_posix())]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def text_of(path: Path) -> str:
    """The file as text; empty where it is none (parquet, zip, images)."""
    raw = path.read_bytes()
    return "" if b"\0" in raw[:4096] else raw.decode("utf-8", errors="replace")


# ------------------------------------------------------------------------------------------------- rooms


def test_every_room_opens_with_its_charter() -> None:
    """Each folder with code in it is a package whose docstring says what lives there."""
    rooms = {path.parent for path in SOURCES} | {ROOT / "htxdata", ROOT / "flows"}
    doors = {room / "__init__.py" for room in rooms}
    assert not [name(door) for door in sorted(doors) if not door.is_file()]
    assert not [name(door) for door in sorted(doors) if not ast.get_docstring(tree(door))]


def test_every_module_says_what_it_is_for() -> None:
    """Each source file starts with a docstring."""
    assert not [name(path) for path in SOURCES if not ast.get_docstring(tree(path))]


def test_no_module_is_named_after_nothing() -> None:
    """No file or folder bears a name that anything could be put under."""
    words = {name(path): set(re.split(r"[_/]", name(path).removesuffix(".py"))) for path in SOURCES}
    plural = FORBIDDEN_NAMES | {f"{word}s" for word in FORBIDDEN_NAMES}
    assert not {path: sorted(found) for path, parts in words.items() if (found := parts & plural)}


def test_flows_are_thin() -> None:
    """A flow fans out and publishes; what thinks or acts is below. 100 lines are enough for that."""
    long = {name(path): len(path.read_text().splitlines()) for path in SOURCES if inside(path, "flows/")}
    assert not {path: lines for path, lines in long.items() if lines >= 100}


def test_types_are_announced() -> None:
    """Type checkers of those who install us read our annotations."""
    assert (ROOT / "htxdata" / "py.typed").is_file()


# ------------------------------------------------------------------------------------------------- branches and wires


def _branches_on_a_venue(path: Path) -> list[int]:
    """Lines where code asks which exchange it is talking about: `venue == "…"` or `….startswith("htx…")`."""
    lines = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            sides = [node.left, *node.comparators]
            asks = any(
                (isinstance(side, ast.Name) and side.id == "venue")
                or (isinstance(side, ast.Attribute) and side.attr == "venue")
                for side in sides
            )
            literal = any(
                isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value
                for side in sides
                for leaf in (side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side])
            )
            if asks and literal:
                lines.append(node.lineno)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "startswith"
            and any(
                isinstance(leaf, ast.Constant) and str(leaf.value).startswith(("htx", "hashkey", "permanent"))
                for argument in node.args
                for leaf in ast.walk(argument)
            )
        ):
            lines.append(node.lineno)
    return lines


def test_quirks_are_values_not_branches() -> None:
    """Only a venue's own room (and the sandbox, which plays them all) may ask which venue it is."""
    asked = {
        name(path): lines
        for path in SOURCES
        if not inside(path, "htxdata/venues/", "htxdata/sandbox/") and (lines := _branches_on_a_venue(path))
    }
    assert not asked


def test_only_transport_and_the_sandbox_open_http_connections() -> None:
    """import-linter sees `http` and `urllib` whole; their clients and servers are looked for here."""
    wires = {"http.client", "http.server", "urllib.request"}
    found = set()
    for path in SOURCES:
        if inside(path, "htxdata/transport/", "htxdata/sandbox/"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported = {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                continue
            found |= {f"{name(path)}:{node.lineno} {wire}" for wire in imported & wires}
    assert not found


def test_what_thinks_asks_no_clock() -> None:
    """In protocol and venues time is an argument: nobody calls now(), utcnow(), today()."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        if inside(path, "htxdata/protocol/", "htxdata/venues/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("now", "utcnow", "today")
    ]
    assert not found


def test_notebooks_come_in_by_the_front_door() -> None:
    """Of this project a notebook imports `htxdata` itself and nothing below it."""
    below = re.compile(r'^\s*"?\s*(?:from\s+(?:htxdata\.|flows)|import\s+(?:htxdata\.|flows))', re.MULTILINE)
    notebooks = [path for path in files_of_the_project() if inside(path, "notebooks/")]
    assert not [name(path) for path in notebooks if below.search(text_of(path))]


# ------------------------------------------------------------------------------------------------- not ours to tell


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the machine's own setting, and differs between machines."""
    hosts = [  # in pieces, or this file would be the first to be found
        "py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "yarn" + "pkg.com",
        "index" + "-url", "index" + "_url =", "find" + "-links", "proxy.go" + "lang.org", "crates" + ".io/api",
    ]  # fmt: skip
    allowed = re.compile(r"--no-emit-" + "index" + "-url")
    found = {
        f"{name(path)}: {host}"
        for path in files_of_the_project()
        if (text := allowed.sub("", text_of(path)))
        for host in hosts
        if host in text
    }
    assert not found


def test_no_file_names_a_path_of_this_machine() -> None:
    """Neither the folder this checkout lies in nor the usual homes of a build machine."""
    here = re.compile(rf"{re.escape(str(ROOT.parent))}/") if len(ROOT.parts) > 2 else re.compile(r"(?!)")
    usual = re.compile(r"(?<![\w.}/-])/(?:work|root|opt)/(?=\w)")
    found = {
        f"{name(path)}:{number}"
        for path in files_of_the_project()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if here.search(line) or usual.search(line)
    }
    assert not found


def test_no_settings_or_secrets_are_in_git() -> None:
    """`.env` and the user's own htxdata.toml stay out."""
    names = {name(path) for path in files_of_the_project()}
    assert not {entry for entry in names if re.search(r"(^|/)\.env(\.|$)", entry) or entry == "htxdata.toml"}


# ------------------------------------------------------------------------------------------------- packaging


def _locked(path: Path) -> dict[str, Version]:
    """What a lock file pins on the Python and platform that run this test."""
    pins = {}
    for line in path.read_text().splitlines():
        if line[:1].isalnum():
            pin = Requirement(line.rstrip("\\").strip())
            if pin.marker is None or pin.marker.evaluate():
                (only,) = pin.specifier
                assert only.operator == "=="
                pins[canonicalize_name(pin.name)] = Version(only.version)
    return pins


EXTRAS = PYPROJECT["project"]["optional-dependencies"]
RUNTIME = PYPROJECT["project"]["dependencies"]


@pytest.mark.parametrize(
    ("lock", "direct"),
    [
        ("requirements.lock", RUNTIME),
        ("requirements-dev.lock", [*RUNTIME, *EXTRAS["test"], *EXTRAS["lint"]]),
    ],
)
def test_the_lock_is_in_step(lock: str, direct: list[str]) -> None:
    """Every direct dependency is locked, at a version that pyproject.toml allows (else: `make lock`)."""
    pins = _locked(ROOT / lock)
    wanted = [Requirement(line) for line in direct]
    assert not [str(one) for one in wanted if canonicalize_name(one.name) not in pins]
    assert not [
        f"{one} is locked at {pins[canonicalize_name(one.name)]}"
        for one in wanted
        if not one.specifier.contains(pins[canonicalize_name(one.name)], prereleases=True)
    ]


def test_both_locks_pin_the_same() -> None:
    """What is tested is what a user installs."""
    runtime, dev = _locked(ROOT / "requirements.lock"), _locked(ROOT / "requirements-dev.lock")
    assert not {package: (pin, dev.get(package)) for package, pin in runtime.items() if dev.get(package) != pin}


def test_the_locks_check_what_is_downloaded() -> None:
    """Every pin carries hashes, so that uv and pip install the same bytes from any registry."""
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pins = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text())[1:]
        assert pins
        assert not [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin]


def test_the_wheel_holds_both_packages_and_no_tests(tmp_path: Path) -> None:
    """Installing gives `htxdata`, `flows`, the type marker and the command; every source file is in it."""
    source = tmp_path / "source"
    source.mkdir()
    for path in files_of_the_project():
        if inside(path, "htxdata/", "flows/", "tests/", "pyproject.toml", "LICENSE", "README.md"):
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    build = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        entry_points = archive.read(next(one for one in held if one.endswith("/entry_points.txt"))).decode()
    packed = {entry for entry in held if ".dist-info/" not in entry}
    assert {name(path) for path in SOURCES} | {"htxdata/py.typed"} <= packed
    assert {entry.split("/")[0] for entry in packed} == {"htxdata", "flows"}
    assert "htxdata = htxdata.cli:main" in entry_points


def test_every_deployment_names_a_flow_that_exists() -> None:
    """prefect.yaml points at functions in flows/."""
    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        file, function = deployment["entrypoint"].split(":")
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        defined = {node.name for node in tree(ROOT / file).body if isinstance(node, functions)}
        assert function in defined, deployment["entrypoint"]


def test_every_target_of_ci_exists() -> None:
    """`.ci/run` calls make with targets that the Makefile has."""
    called = re.search(r"for target in ([a-z -]+);", (ROOT / ".ci" / "run").read_text())
    assert called
    has = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(called[1].split()) <= has
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
