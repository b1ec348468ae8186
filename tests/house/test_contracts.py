"""The import contracts hold, and a forbidden import breaks them."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

HOUSE = Path(__file__).parents[2]
BLIND = "The relay carries messages and can never read one"
DOWNWARDS = "Command line, joiners, connectors"
another = partial(pytest.param, marks=pytest.mark.nightly)  # a further breach


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the package that lies in ``folder/src``."""
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
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package and its contracts, in which tests plant imports."""
    folder = tmp_path_factory.mktemp("house")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HOUSE / "src", folder / "src", ignore=leave)
    shutil.copy(HOUSE / ".importlinter", folder)
    return folder


def planted(copy: Path, module: str, line: str) -> str:
    """Append ``line`` to a module; return the names of the contracts that it breaks."""
    place = copy / "src" / "entrenous" / module
    before = place.read_text()
    place.write_text(f"{before}\n{line}\n")
    done = lint(copy)
    place.write_text(before)
    assert done.returncode == 1, done.stdout
    broken = [line.rsplit(" ", 1)[0] for line in done.stdout.splitlines() if "BROKEN" in line]
    return "; ".join(broken)


def test_the_contracts_hold() -> None:
    done = lint(HOUSE)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("base/errors.py", "import entrenous.crypto.hashing", DOWNWARDS),
        another("send/send.py", "import entrenous.trace.picture", DOWNWARDS),
        another("device/open_device.py", "import entrenous.serving.tls", DOWNWARDS),
        another("stop/register.py", "import entrenous.connectors.hma_app", DOWNWARDS),
        another("carry/blob_upload.py", "import entrenous.media.picture_reader", BLIND),
        ("crypto/hashing.py", "import entrenous.crypto.seal", BLIND),  # indirectly
        ("respond/letters/draft.py", "import cryptography", "Only crypto touches"),
        ("carry/expire.py", "import sqlalchemy", "Only store imports"),
        ("stop/register.py", "import starlette", "Only http and serving import"),
        ("send/send.py", "import httpx", "Only client imports"),
        ("respond/letters/draft.py", "import typer", "Only commands and terminal import"),
    ],
)
def test_a_planted_import_breaks_its_contract(
    copy: Path, module: str, line: str, contract: str
) -> None:
    assert contract in planted(copy, module, line)
