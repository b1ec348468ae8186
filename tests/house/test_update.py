"""Tests of texts about installing and updating: no package index, and one update command.

No index has Entrenous. If a stranger registered the name, people would install the stranger's
package.

"""

import re
from pathlib import Path

import pytest

from entrenous.base.errors import HOW_TO_UPDATE, ProtocolTooOld
from tests.house.test_docs import error_classes

ROOT = Path(__file__).parents[2]
INSTALL_FROM_INDEX = re.compile(r"\b(?:pipx?3?|uv tool) install (?:-\S+ )*['\"]?entrenous\b")
EXTRA_REQUIREMENT = re.compile(r"\bentrenous\[\w")
UPDATE_COMMAND = re.compile(r"\bUpdate\s+(?:it|Entrenous)(?:\s+on\s+both)?:\s+(\S+?)\.?\s")
TEXT_SUFFIXES = {".md", ".py", ".toml", ".txt", ".html", ".j2", ".js", ".conf", ".service"}
TEXT_FILES = [
    file
    for folder in ("src", "docs", "share", "bench", "changes", "tests/transcripts", ".")
    for file in sorted((ROOT / folder).glob("*" if folder == "." else "**/*"))
    if file.suffix in TEXT_SUFFIXES
]


def install_phrases(text: str) -> list[str]:
    """Return the phrases that say to install the package ``entrenous`` from an index."""
    flat = " ".join(text.split())
    return INSTALL_FROM_INDEX.findall(flat) + EXTRA_REQUIREMENT.findall(flat)


def test_no_text_says_to_install_from_an_index() -> None:
    assert len(TEXT_FILES) > 600
    assert {
        str(file): found for file in TEXT_FILES if (found := install_phrases(file.read_text()))
    } == {}


@pytest.mark.parametrize(
    "text",
    [
        "Update it: pip install --upgrade entrenous",
        "pip install\n    --upgrade entrenous.",
        "`pip install 'entrenous[s3]'`",
        "/opt/entrenous/bin/pip install entrenous",
        "pip install --no-deps entrenous",
        "pipx install entrenous",
        "needs entrenous[s3]",
    ],
)
def test_text_that_installs_from_an_index_is_found(text: str) -> None:
    assert install_phrases(text)


def test_all_update_messages_name_the_same_command() -> None:
    named = [word for one in error_classes() for word in UPDATE_COMMAND.findall(one.__doc__ or "")]
    assert len(named) >= 5
    assert set(named) == {"{update}"}
    message = str(ProtocolTooOld(floor=3, newest=4, ours=2))
    assert " ".join(message.split()).endswith(
        f"Nothing was sent to it. Update Entrenous: {HOW_TO_UPDATE}"
    )


def test_update_command_is_in_the_start_page_and_the_makefile() -> None:
    steps = re.findall(r"git pull|make \S+", HOW_TO_UPDATE)
    assert steps == ["git pull", "make .venv/.run"]
    assert "```\n" + "\n".join(steps) + "\n```" in (ROOT / "docs" / "start.md").read_text()
    assert "\n.venv/.run:" in (ROOT / "Makefile").read_text()
