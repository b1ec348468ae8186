"""``make``, with pip and uv, refuses a package index that serves one changed file."""

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
COPIED = ("Makefile", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
SMALL = "editables"
MISMATCH = r"(?i)do not match the hashes|hash mismatch"

pytestmark = pytest.mark.real


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class Index:
    """A simple package index (PEP 503), with a folder for each package."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        for wheel in WHEELS.glob("*.whl"):
            place = folder / wheel.name.partition("-")[0].replace("_", "-").lower()
            place.mkdir()
            shutil.copy(wheel, place)
        (self.small,) = (folder / SMALL).glob("*.whl")
        self._true = self.small.read_bytes()

    def change(self) -> None:
        """Add a file to one wheel; the result is still a wheel that could be installed."""
        with zipfile.ZipFile(self.small, "a") as wheel:
            wheel.writestr(f"{SMALL}/planted.py", "print('planted')\n")

    def restore(self) -> None:
        self.small.write_bytes(self._true)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    assert list(WHEELS.glob("*.whl")), "these tests take what make fetched: make .venv/.uv"
    folder = tmp_path / "index"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=folder)) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.05,))
        running.start()
        try:
            yield Index(folder, f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            running.join(20)


def checkout(folder: Path) -> Path:
    """Copy this tree; its locks/run.txt has only one small package of locks/build.txt."""
    folder.mkdir()
    for name in COPIED:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "locks", folder / "locks")
    (folder / "src").symlink_to(ROOT / "src")
    locked = (folder / "locks/build.txt").read_text()
    (one,) = re.findall(rf"^{SMALL}==.*(?:\n    .*)*", locked, re.MULTILINE)
    (folder / "locks/run.txt").write_text(f"{one}\n")
    return folder


def made(target: str, tree: Path, index: Index) -> subprocess.CompletedProcess[str]:
    ours = ("PIP_", "UV_", "MAKE", "VIRTUAL_ENV", "PYTHON")
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    surroundings |= {"PIP_INDEX_URL": index.url, "UV_DEFAULT_INDEX": index.url}
    surroundings |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "UV_NO_CONFIG": "1"}
    surroundings |= {"UV_CACHE_DIR": str(tree / "cache"), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        ["make", target], cwd=tree, env=surroundings, check=False, capture_output=True, text=True
    )


@pytest.mark.threat("changed-package")
def test_a_changed_file_makes_the_install_fail(index: Index, tmp_path: Path) -> None:
    tree = checkout(tmp_path / "tree")
    index.change()
    refused = made(".venv/.uv", tree, index)  # by pip
    assert refused.returncode != 0
    assert re.search(MISMATCH, refused.stdout + refused.stderr)
    assert not (tree / ".venv/bin/uv").exists()
    index.restore()
    taken = made(".venv/.uv", tree, index)
    assert taken.returncode == 0, taken.stderr
    subprocess.run([tree / ".venv/bin/uv", "pip", "uninstall", "-q", SMALL], cwd=tree, check=True)
    index.change()
    refused = made(".venv/.run", tree, index)  # by uv
    assert refused.returncode != 0
    assert re.search(MISMATCH, refused.stdout + refused.stderr)
    assert not list(tree.glob("**/planted.py"))
    assert not (tree / ".venv/bin/entrenous").exists()
    index.restore()
    taken = made(".venv/.run", tree, index)  # installs the program, and only what is locked
    assert taken.returncode == 0, taken.stderr
    assert (tree / ".venv/bin/entrenous").exists()
