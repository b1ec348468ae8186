"""Test that ``make`` refuses to install a changed package, with pip and with uv."""

import os
import re
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / ".venv" / "wheels"  # fetched by `make` with the hashes in locks/build.txt
COPIED_FILES = ("Makefile", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
SMALL_PACKAGE = "editables"
HASH_MISMATCH_MESSAGE = r"(?i)do not match the hashes|hash mismatch"

pytestmark = pytest.mark.real


class SilentRequestHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class PackageIndex:
    """A simple package index (PEP 503), with a folder for each package."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        for wheel in WHEELS.glob("*.whl"):
            place = folder / wheel.name.partition("-")[0].replace("_", "-").lower()
            place.mkdir()
            shutil.copy(wheel, place)
        (self.small_wheel,) = (folder / SMALL_PACKAGE).glob("*.whl")
        self.original_wheel = self.small_wheel.read_bytes()

    def plant_file(self) -> None:
        """Add a file to one wheel, which stays installable."""
        with zipfile.ZipFile(self.small_wheel, "a") as wheel:
            wheel.writestr(f"{SMALL_PACKAGE}/planted.py", "print('planted')\n")

    def restore_wheel(self) -> None:
        self.small_wheel.write_bytes(self.original_wheel)


@pytest.fixture
def package_index(tmp_path: Path) -> Iterator[PackageIndex]:
    assert list(WHEELS.glob("*.whl")), "the wheels are missing; type: make .venv/.uv"
    folder = tmp_path / "index"
    folder.mkdir()
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SilentRequestHandler, directory=folder)
    ) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.05,))
        running.start()
        try:
            yield PackageIndex(folder, f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            running.join(20)


def make_checkout(folder: Path) -> Path:
    """Copy what make needs; ``locks/run.txt`` of the copy lists only one small package."""
    folder.mkdir()
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "locks", folder / "locks")
    (folder / "src").symlink_to(ROOT / "src")
    locked = (folder / "locks/build.txt").read_text()
    (one,) = re.findall(rf"^{SMALL_PACKAGE}==.*(?:\n    .*)*", locked, re.MULTILINE)
    (folder / "locks/run.txt").write_text(f"{one}\n")
    return folder


def run_make(
    target: str, tree: Path, package_index: PackageIndex
) -> subprocess.CompletedProcess[str]:
    ours = ("PIP_", "UV_", "MAKE", "VIRTUAL_ENV", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"PIP_INDEX_URL": package_index.url, "UV_DEFAULT_INDEX": package_index.url}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "UV_NO_CONFIG": "1"}
    environment |= {"UV_CACHE_DIR": str(tree / "cache"), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        ["make", target], cwd=tree, env=environment, check=False, capture_output=True, text=True
    )


@pytest.mark.threat("changed-package")
def test_a_changed_file_makes_the_install_fail(package_index: PackageIndex, tmp_path: Path) -> None:
    tree = make_checkout(tmp_path / "tree")
    package_index.plant_file()
    refused = run_make(".venv/.uv", tree, package_index)  # pip has to refuse the wheel
    assert refused.returncode != 0
    assert re.search(HASH_MISMATCH_MESSAGE, refused.stdout + refused.stderr)
    assert not (tree / ".venv/bin/uv").exists()
    package_index.restore_wheel()
    taken = run_make(".venv/.uv", tree, package_index)
    assert taken.returncode == 0, taken.stderr
    subprocess.run(
        [tree / ".venv/bin/uv", "pip", "uninstall", "-q", SMALL_PACKAGE], cwd=tree, check=True
    )
    package_index.plant_file()
    refused = run_make(".venv/.run", tree, package_index)  # uv has to refuse the wheel
    assert refused.returncode != 0
    assert re.search(HASH_MISMATCH_MESSAGE, refused.stdout + refused.stderr)
    assert not list(tree.glob("**/planted.py"))
    assert not (tree / ".venv/bin/entrenous").exists()
    package_index.restore_wheel()
    taken = run_make(".venv/.run", tree, package_index)  # installs the program and locked packages
    assert taken.returncode == 0, taken.stderr
    assert (tree / ".venv/bin/entrenous").exists()
