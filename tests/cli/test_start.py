"""What a command imports before it does anything, which everybody waits for each time."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module

import pytest
import typer

from entrenous.carry import commands
from entrenous.cli import COMMANDS
from entrenous.stop.commands import gate
from entrenous.terminal.lazy_commands import ListedCommand, load_command

TABLES: Mapping[str, Mapping[str, ListedCommand]] = {
    "": COMMANDS,
    "gate": gate.COMMANDS,
    "relay": commands.COMMANDS,
}
NO_DECODERS_OR_PRINTERS = {"av", "fpdf", "jinja2", "sklearn", "skimage", "matplotlib"}
NO_LIBRARIES = {
    *{"PIL", "av", "cryptography", "cv2", "fpdf", "httpcore", "httpx", "jinja2", "msgspec"},
    *{"numpy", "rich", "scipy", "sqlalchemy", "sqlcipher3", "starlette", "uvicorn"},
}


@pytest.mark.parametrize("group", TABLES)
def test_command_table_matches_the_commands_own_help(group: str) -> None:
    for name, known in TABLES[group].items():
        command = load_command(name, known)
        first_paragraph = command.help.partition("\n\n")[0]
        assert known.help == " ".join(first_paragraph.split()), name
        assert known.hidden == command.hidden, name


@pytest.mark.parametrize("group", TABLES)
def test_command_table_lists_every_command(group: str) -> None:
    by_module = defaultdict[str, set[str]](set)
    for name, known in TABLES[group].items():
        by_module[known.module].add(name)
    for module, names in by_module.items():
        app = typer.Typer()
        app.callback()(lambda: None)
        import_module(module).join(app)
        assert set(typer.main.get_group(app).commands) == names, module


@pytest.mark.real
@pytest.mark.parametrize("words", ["", "gate", "relay"])
def test_help_imports_no_heavy_libraries(words: str) -> None:
    assert not NO_LIBRARIES & loaded_by(*words.split(), "--help")


@pytest.mark.real
@pytest.mark.parametrize("command", ["send", "inbox", "sent", "react", "case", "person"])
def test_message_commands_import_neither_web_nor_picture_libraries(command: str) -> None:
    assert not (NO_LIBRARIES - {"cryptography", "msgspec", "sqlcipher3"}) & loaded_by(
        command, "--help"
    )


@pytest.mark.real
@pytest.mark.parametrize("command", ["trace", "mark", "inbox"])
def test_no_command_imports_decoders_early(command: str) -> None:
    assert not NO_DECODERS_OR_PRINTERS & loaded_by(command, "--help")


def loaded_by(*arguments: str) -> set[str]:
    """Return the packages that the program has imported when it ends."""
    told = (
        "import atexit, sys; from entrenous.__main__ import main;"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", told, *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    modules = set(done.stderr.split())
    assert "entrenous.cli" in modules
    return modules
