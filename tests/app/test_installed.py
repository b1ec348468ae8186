"""The wheel, installed as a tool by uv, serves pages, lessons, facts and translations."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.app.client import open_client
from tests.app.served import run_app_program

ROOT = Path(__file__).parents[2]
VENV_BIN = ROOT / ".venv" / "bin"
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout: no commit to build"),
]


@pytest.fixture(scope="module")
def installed_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it into a new folder, and return the path of the program."""
    folder = tmp_path_factory.mktemp("installed")
    build = [str(VENV_BIN / "hatchling"), "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    home = {
        **os.environ,
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
    }
    home.pop("VIRTUAL_ENV", None)
    locked = ["--constraints", str(folder / "constraints.txt")]
    (folder / "constraints.txt").write_text(_without_hashes(ROOT / "locks" / "run.txt"))
    python = str((VENV_BIN / "python").resolve())
    command = [str(VENV_BIN / "uv"), "tool", "install", "--python", python, *locked, str(wheel)]
    subprocess.run(command, env=home, cwd=folder, check=True, capture_output=True)
    return folder / "bin" / "entrenous"


def _without_hashes(lock: Path) -> str:
    lines = (line.partition("\\")[0].strip() for line in lock.read_text().splitlines())
    return "\n".join(line for line in lines if "==" in line and not line.startswith("--hash"))


def test_an_installed_wheel_serves_pages_lessons_and_facts(
    installed_program: Path, tmp_path: Path
) -> None:
    language_setting = {"ENTRENOUS_LANGUAGE": ""}  # empty: the browser's language decides
    with (
        run_app_program([str(installed_program)], tmp_path / "device", **language_setting) as app,
        open_client(app) as ana,
    ):
        for asset in ("house.css", "house.js", "icon.svg"):
            assert ana.get(f"/static/{asset}").status_code == 200
        assert "tel:112" in ana.post("/70", {"asked": "yes", "place": "Germany"}).text
        assert ana.get("/100").text.count("<li>") > 10
        spanish = ana.web.get("/", headers={"accept-language": "es"}).text
        assert 'lang="es"' in spanish
        ana.set_up()
        assert ana.get("/20").status_code == 200
