"""Command tables match the commands, and commands that print help import few heavy libraries."""

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

COMMAND_TABLES: Mapping[str, Mapping[str, ListedCommand]] = {
    "": COMMANDS,
    "gate": gate.GATE_COMMANDS,
    "relay": commands.COMMANDS,
}
RARELY_USED_LIBRARIES = {"av", "fpdf", "jinja2", "sklearn", "skimage", "matplotlib"}
HEAVY_LIBRARIES = {
    *{"PIL", "av", "cryptography", "cv2", "fpdf", "httpcore", "httpx", "jinja2", "msgspec"},
    *{"numpy", "rich", "scipy", "sqlalchemy", "sqlcipher3", "starlette", "uvicorn"},
}


@pytest.mark.parametrize("group", COMMAND_TABLES)
def test_command_table_matches_the_commands_own_help(group: str) -> None:
    for name, listed in COMMAND_TABLES[group].items():
        command = load_command(name, listed)
        first_paragraph = command.help.partition("\n\n")[0]
        assert listed.help == " ".join(first_paragraph.split()), name
        assert listed.hidden == command.hidden, name


@pytest.mark.parametrize("group", COMMAND_TABLES)
def test_command_table_lists_every_command(group: str) -> None:
    by_module = defaultdict[str, set[str]](set)
    for name, listed in COMMAND_TABLES[group].items():
        by_module[listed.module].add(name)
    for module, names in by_module.items():
        app = typer.Typer()
        app.callback()(lambda: None)
        import_module(module).add_commands(app)
        assert set(typer.main.get_group(app).commands) == names, module


@pytest.mark.real
def test_help_of_the_program_gate_and_relay_imports_no_heavy_library() -> None:
    assert not HEAVY_LIBRARIES & modules_loaded_by_help("", "gate", "relay")


@pytest.mark.real
def test_help_of_six_commands_imports_at_most_three_heavy_libraries() -> None:
    loaded = modules_loaded_by_help("send", "inbox", "sent", "react", "case", "person")
    assert not (HEAVY_LIBRARIES - {"cryptography", "msgspec", "sqlcipher3"}) & loaded


@pytest.mark.real
def test_help_of_trace_mark_and_inbox_imports_no_rarely_used_library() -> None:
    assert not RARELY_USED_LIBRARIES & modules_loaded_by_help("trace", "mark", "inbox")


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


def modules_loaded_by_help(*commands: str) -> set[str]:
    """Let one process print the help of these commands; return the modules that it has loaded."""
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
