"""The modules that a command imports at its start, which delay every use of it."""

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
    "gate": gate.GATE_COMMANDS,
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
        import_module(module).add_commands(app)
        assert set(typer.main.get_group(app).commands) == names, module


@pytest.mark.real
def test_help_imports_no_heavy_libraries() -> None:
    assert not NO_LIBRARIES & loaded_by_help_of("", "gate", "relay")


@pytest.mark.real
def test_message_commands_import_neither_web_nor_picture_libraries() -> None:
    loaded = loaded_by_help_of("send", "inbox", "sent", "react", "case", "person")
    assert not (NO_LIBRARIES - {"cryptography", "msgspec", "sqlcipher3"}) & loaded


@pytest.mark.real
def test_no_command_imports_decoders_early() -> None:
    assert not NO_DECODERS_OR_PRINTERS & loaded_by_help_of("trace", "mark", "inbox")


_PRINT_HELP_OF_EACH = """
import sys
from entrenous.__main__ import main
for command in sys.argv[1:]:
    sys.argv = ["entrenous", *command.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code
print(*sys.modules, file=sys.stderr)
"""


def loaded_by_help_of(*commands: str) -> set[str]:
    """Return the modules that are imported after the help of all these commands is shown."""
    process = subprocess.run(
        [sys.executable, "-c", _PRINT_HELP_OF_EACH, *commands],
        capture_output=True,
        check=True,
        text=True,
    )
    assert process.stdout.count("Usage:") == len(commands)
    modules = set(process.stderr.split())
    assert "entrenous.cli" in modules
    return modules
