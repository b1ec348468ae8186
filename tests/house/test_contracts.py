"""Tests of the import contracts: they hold, and each planted import breaks one."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
RELAY_CONTRACT = "The relay carries messages and can never read one"
LAYER_CONTRACT = "Command line, joiners, connectors"
nightly_case = partial(pytest.param, marks=pytest.mark.nightly)  # cases for the nightly run only


def run_import_linter(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the package in ``folder/src``."""
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None, "lint-imports is missing: it is in locks/dev.txt"
    return subprocess.run(
        (program, "--no-logo", "--no-cache"),
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def package_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the package and its contracts. Tests change the copy."""
    folder = tmp_path_factory.mktemp("package")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", folder / "src", ignore=leave)
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def find_broken_contracts(package_copy: Path, module: str, line: str) -> str:
    """Return the names of the contracts that ``line`` breaks while a module contains it."""
    place = package_copy / "src" / "entrenous" / module
    before = place.read_text()
    place.write_text(f"{before}\n{line}\n")
    done = run_import_linter(package_copy)
    place.write_text(before)
    assert done.returncode == 1, done.stdout
    broken = [line.rsplit(" ", 1)[0] for line in done.stdout.splitlines() if "BROKEN" in line]
    return "; ".join(broken)


def test_the_contracts_hold() -> None:
    done = run_import_linter(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("base/errors.py", "import entrenous.crypto.hashing", LAYER_CONTRACT),
        nightly_case("send/send.py", "import entrenous.trace.picture", LAYER_CONTRACT),
        nightly_case("device/open_device.py", "import entrenous.serving.tls", LAYER_CONTRACT),
        nightly_case("stop/register.py", "import entrenous.connectors.hma_app", LAYER_CONTRACT),
        nightly_case(
            "carry/blob_upload.py", "import entrenous.media.picture_reader", RELAY_CONTRACT
        ),
        # carry imports crypto/hashing.py, so this import would let carry reach crypto/seal.py.
        ("crypto/hashing.py", "import entrenous.crypto.seal", RELAY_CONTRACT),
        ("respond/letters/draft.py", "import cryptography", "Only crypto touches"),
        ("carry/expire.py", "import sqlalchemy", "Only store imports"),
        ("stop/register.py", "import starlette", "Only http and serving import"),
        ("send/send.py", "import httpx", "Only client imports"),
        ("respond/letters/draft.py", "import typer", "Only commands and terminal import"),
    ],
)
def test_a_planted_import_breaks_its_contract(
    package_copy: Path, module: str, line: str, contract: str
) -> None:
    assert contract in find_broken_contracts(package_copy, module, line)
