"""The entry in the desktop's menu is valid, starts the app, and can be removed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.app.menu import add_to_menu, remove_from_menu

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a Linux desktop")


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("python_name", ["python3", 'odd $`"\\ %f name'])
def test_neutral_entry_has_an_icon_and_a_command_that_starts_the_app(
    python_name: str, data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", f"/opt/{python_name}")
    text = add_to_menu(neutral_name=True).read_text()
    assert "Name=Page\n" in text
    assert "Entrenous" not in text
    assert _parse_arguments(text) == [f"/opt/{python_name}", "-m", "entrenous", "app"]
    assert (data_home / "icons/hicolor/scalable/apps/entrenous.svg").is_file()


@pytest.mark.real
def test_freedesktops_own_program_accepts_the_entry(data_home: Path) -> None:
    program = shutil.which("desktop-file-validate")
    if program is None:
        pytest.skip("needs Debian's desktop-file-utils")
    entry = add_to_menu(neutral_name=False)
    checked = subprocess.run([program, str(entry)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
    assert entry.is_relative_to(data_home)


def test_removing_leaves_no_file_but_caches(data_home: Path) -> None:
    add_to_menu(neutral_name=False)
    assert remove_from_menu()
    assert [
        place for place in data_home.rglob("*") if place.is_file() and "cache" not in place.name
    ] == []
    assert not remove_from_menu()


def _parse_arguments(text: str) -> list[str]:
    """Return the arguments of the Exec line, unquoted (Desktop Entry 1.5, sections 4 and 7)."""
    (line,) = [line for line in text.splitlines() if line.startswith("Exec=")]
    value = line.removeprefix("Exec=").replace("\\\\", "\\")
    found, word, at, is_quoted = list[str](), "", 0, False
    while at < len(value):
        sign = value[at]
        if sign == '"':
            is_quoted = not is_quoted
            if not is_quoted:
                found.append(word)
                word = ""
        elif is_quoted and sign == "\\":
            at += 1
            word += value[at]
        elif is_quoted:
            word += sign
        at += 1
    return [one.replace("%%", "%") for one in found]
