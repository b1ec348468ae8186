"""Tests of the lock files, the Makefile and npm: every package is pinned by a hash."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "locks"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The lock files with the packages of each dependency group.
LOCKS_BY_GROUP = {
    "build": ("build",),
    "demo": ("run",),
    "dev": ("dev", "source"),
    "source": ("source",),
    "synapse": ("synapse",),
}


def locked_hashes(name: str) -> dict[str, list[str]]:
    """Return the hashes of each package in a lock file."""
    text = (LOCKS / f"{name}.txt").read_text()
    every = re.findall(r"^([a-z0-9-]+)==(.*(?:\n    .*)*)", text, re.MULTILINE)
    assert len(every) == len(re.findall(r"^\S", text, re.MULTILINE))  # every entry pins a package
    found: dict[str, list[str]] = {}
    for package, rest in every:
        found.setdefault(package, []).extend(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest))
    return found


def packages_in_group(group: str) -> set[str]:
    names: set[str] = set()
    for one in PYPROJECT["dependency-groups"][group]:
        if isinstance(one, dict):
            names |= packages_in_group(one["include-group"])
        else:
            names.add(_package_name(one))
    return names


def _package_name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("group", LOCKS_BY_GROUP)
def test_every_package_in_a_group_is_locked(group: str) -> None:
    pinned = {package for lock in LOCKS_BY_GROUP[group] for package in locked_hashes(lock)}
    wanted = packages_in_group(group)
    if group in {"demo", "dev"}:
        wanted |= {_package_name(one) for one in PYPROJECT["project"]["dependencies"]}
    assert wanted - pinned == set()


@pytest.mark.parametrize("lock", sorted(file.stem for file in LOCKS.glob("*.txt")))
def test_every_package_has_a_hash(lock: str) -> None:
    packages = locked_hashes(lock)
    assert packages
    assert [name for name, hashes in packages.items() if not hashes] == []


def test_build_tools_have_the_same_versions_in_every_lock() -> None:
    def versions(name: str) -> dict[str, str]:
        text = (LOCKS / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))

    build = versions("build")
    for name in ("run", "dev"):
        both = {one: version for one, version in versions(name).items() if one in build}
        assert both == {one: build[one] for one in both}


@pytest.mark.threat("changed-package")
def test_the_makefile_installs_nothing_without_hashes() -> None:
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    lines = [line for line in lines if not line.startswith("#") and "apt-get" not in line]
    fetching = [
        one for one in lines if re.search(r"\b(pip|npm|npx|uvx|pipx)\b|\((PIP|INSTALL)\)", one)
    ]
    steps = [one for one in fetching if one.startswith("\t") and "COMPILE" not in one]
    safe = r"\$\(HASHED\)|--require-hashes|--no-deps --no-build-isolation -e \.|--package-lock-only"
    assert [one for one in steps if not re.search(safe, one)] == []
    assert len(steps) >= 8
    (rule,) = [one for one in lines if one.startswith("HASHED")]
    assert "--require-hashes" in rule
    assert "--only-binary :all:" in rule


def test_every_npm_package_has_a_hash_and_names_no_address() -> None:
    lock = json.loads((LOCKS / "npm/package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) >= 3
    assert {one for one, said in packages.items() if "integrity" not in said} == set()
    assert {one for one, said in packages.items() if "resolved" in said} == set()
