"""Tests of ``make dist``: printed hashes, the commit in the wheel, and the wheel of an sdist."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENV_BIN = ROOT / ".venv" / "bin"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout: no commit to build"),
]


@pytest.fixture(scope="module")
def built_distribution(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Build the last commit in a clone; return the folder with the files, and make's output."""
    clone = tmp_path_factory.mktemp("dist") / "clone"
    git = ["git", "-c", "safe.directory=*", "clone", "--quiet", "--no-local", "--depth", "1"]
    subprocess.run([*git, f"file://{ROOT}", clone], check=True)
    command = ["make", "-o", ".venv/.uv", f"BIN={VENV_BIN}", "dist"]
    done = subprocess.run(command, cwd=clone, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr  # make compares two builds
    return clone / "dist", done.stdout


def test_make_dist_prints_the_hash_of_each_file(built_distribution: tuple[Path, str]) -> None:
    folder, output = built_distribution
    printed = {
        name: digest
        for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", output, re.MULTILINE)
    }
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert printed == files
    assert sorted(file.rsplit(".", 1)[1] for file in files) == ["gz", "whl"]


def test_wheel_contains_its_commit(built_distribution: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = built_distribution
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout[:12]
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        assert len(files.namelist()) == len(set(files.namelist()))
        files.extractall(tmp_path)
    program = (
        "from entrenous.base.program import this_program_version as ours; print(ours().commit)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == f"{commit}\n"


@pytest.mark.nightly
def test_an_sdist_makes_the_same_wheel(
    built_distribution: tuple[Path, str], tmp_path: Path
) -> None:
    """The sdist is unpacked outside of a checkout, so git cannot name the commit."""
    folder, _ = built_distribution
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path)
    (source,) = tmp_path.iterdir()
    command = [str(VENV_BIN / "hatchling"), "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (again,) = (tmp_path / "again").iterdir()
    assert wheel_files(again) == wheel_files(wheel)
    assert any(name.endswith("/commit.txt") for name in wheel_files(wheel))


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel except RECORD, whose lines may be in any order."""
    with zipfile.ZipFile(wheel) as files:
        return {name: files.read(name) for name in files.namelist() if "/RECORD" not in name}
