"""The set-up files agree with each other: one truth (pyproject.toml), repeated exactly where another tool needs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = ["setup", "demo", "test", "bench", "check", "contracts", "contracts-deep", "slither", "lock", "clean"]
NPM_LOCK: dict[str, Any] = json.loads((ROOT / "contracts/package-lock.json").read_text())["packages"]


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: list[str]) -> dict[str, str]:
    """`name==version` lines as a dictionary; fails on anything that is not an exact pin."""
    found = {}
    for line in requirements:
        match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][0-9A-Za-z.]*)", line)
        assert match, f"not an exact pin: {line!r}"
        found[normal(match[1])] = match[2]
    assert len(found) == len(requirements), "a package is pinned twice"
    return found


def declared() -> dict[str, str]:
    return pins(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return pins([line for line in lines if line and not line.startswith("#")])


def conda() -> tuple[list[str], list[str]]:
    """environment.yml's conda packages and its pip lines."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return [entry for entry in dependencies if isinstance(entry, str)], pip


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    quiet = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(command, cwd=ROOT, env=quiet | environment, capture_output=True, text=True)


@pytest.mark.parametrize("line", ["numpy", "numpy>=2.4", "numpy==2.*", "numpy~=2.4", "-e .", "numpy @ file:///x"])
def test_pins_rejects_what_is_not_exact(line: str) -> None:
    with pytest.raises(AssertionError, match="not an exact pin"):
        pins([line])


def test_lock_holds_what_pyproject_declares() -> None:
    assert declared().items() <= locked().items()


def test_lock_is_complete() -> None:
    """Everything that a locked distribution requires here is locked too, so `pip install -r` draws in nothing unpinned."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    lock, missing = locked(), []
    for name in lock:
        for text in requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                version = lock.get(normal(requirement.name))
                if version is None or not requirement.specifier.contains(version, prereleases=True):
                    missing.append(f"{name}: {text}")
    assert missing == []


def test_environment_runs_what_is_locked() -> None:
    from importlib.metadata import version

    lock = locked()
    assert {name: version(name) for name in lock} == lock


def test_build_requirements_are_locked() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert pins(build).items() <= locked().items()


def test_conda_pins_equal_pyproject() -> None:
    packages, pip = conda()
    assert pins([line for line in pip if not line.startswith("-")]) == declared()
    assert "--constraint requirements.lock" in pip
    assert "--editable ." in pip
    assert {"python=3.11", "nodejs=20", "make", "pip"} <= set(packages)


def test_npm_lock_names_no_registry() -> None:
    assert [name for name, entry in NPM_LOCK.items() if "resolved" in entry] == []


def test_npm_lock_checks_every_package() -> None:
    """All that is installed on Linux x86-64 has a hash. Binaries for other platforms may lack one (docs/decisions/0001)."""
    elsewhere = {name for name, entry in NPM_LOCK.items() if entry.get("optional") and "os" in entry and not name.endswith("-linux-amd64")}
    bundled = {name for name, entry in NPM_LOCK.items() if entry.get("inBundle")}
    unchecked = {name for name, entry in NPM_LOCK.items() if name and "integrity" not in entry}
    assert unchecked - elsewhere - bundled == set()


@pytest.mark.parametrize("tool", ["forge", "anvil"])
def test_npm_lock_has_every_platforms_binary(tool: str) -> None:
    """npm 11 refuses a lock without an entry for each; npm 10 removes `.bin/forge` again when another platform's entry names a `bin`."""
    wanted = NPM_LOCK[f"node_modules/@foundry-rs/{tool}"]["optionalDependencies"]
    entries = {name: NPM_LOCK.get(f"node_modules/{name}", {}) for name in wanted}
    assert {name: entry.get("version") for name, entry in entries.items()} == wanted
    assert [name for name, entry in entries.items() if "bin" in entry or not (entry["optional"] and entry["os"] and entry["cpu"])] == []


def test_no_tracked_file_names_a_registry() -> None:
    hosts = [
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("pypi", "python", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("yarnpkg", "com"),
            ("npmmirror", "com"),
            ("anaconda", "org"),
            ("deb", "debian", "org"),
        )
    ]
    tracked = run("git", "ls-files", "-z").stdout.split("\0")
    assert "requirements.lock" in tracked
    found = [
        f"{name}: {host}"
        for name in tracked
        if name and (ROOT / name).is_file()
        for text in [(ROOT / name).read_bytes()]
        for host in hosts
        if host.encode() in text
    ]
    assert found == []


@pytest.mark.parametrize("target", TARGETS)
def test_help_lists(target: str) -> None:
    result = run("make", "help")
    assert result.returncode == 0
    assert re.search(rf"^ *make {re.escape(target)} +\w.+$", result.stdout, re.MULTILINE), result.stdout


def test_help_is_the_default_target() -> None:
    assert run("make").stdout == run("make", "help").stdout


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    pretend = "import sys; sys.version_info = (3, 10, 14)\n"
    old.write_text(f'''#!/bin/sh
case "$1" in
    --version) echo Python 3.10.14 ;;
    -c) exec "{sys.executable}" -c "{pretend}$2" ;;
    *) exit 1 ;;
esac
''')
    old.chmod(0o755)
    result = run("make", "--always-make", ".venv/.installed", f"PYTHON={old}")
    assert result.returncode != 0
    assert "Python 3.10.14 is too old: DeltaML needs Python 3.11 or newer" in result.stderr


def test_a_missing_ensurepip_names_debians_package(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    result = run("make", "--always-make", ".venv/.installed", f"PYTHON={bare}")
    assert result.returncode != 0
    assert "apt-get install python3-venv" in result.stderr


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "make test"
    assert run("bash", "-n", str(script)).returncode == 0


def test_licence_is_gpl_3_or_later() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "GPL-3.0-or-later"
    assert "GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007" in text
    assert "END OF TERMS AND CONDITIONS" in text
