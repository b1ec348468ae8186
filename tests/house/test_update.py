"""No text says to install or update from a package index, for none has Entrenous.

If a stranger registered the name there, such a text would install the stranger's package.
"""

import re
from pathlib import Path

import pytest

from entrenous.base.errors import HOW_TO_UPDATE, ProtocolTooOld
from tests.house.test_docs import errors

ROOT = Path(__file__).parents[2]
FROM_AN_INDEX = re.compile(r"\b(?:pipx?3?|uv tool) install (?:-\S+ )*['\"]?entrenous\b")
AN_EXTRA_OF_IT = re.compile(r"\bentrenous\[\w")
NAMED = re.compile(r"\bUpdate\s+(?:it|Entrenous)(?:\s+on\s+both)?:\s+(\S+?)\.?\s")
READ = {".md", ".py", ".toml", ".txt", ".html", ".j2", ".js", ".conf", ".service"}
TEXTS = [
    file
    for folder in ("src", "docs", "share", "bench", "changes", "tests/transcripts", ".")
    for file in sorted((ROOT / folder).glob("*" if folder == "." else "**/*"))
    if file.suffix in READ
]


def wrong(text: str) -> list[str]:
    """Return the phrases that say to install a package of that name."""
    flat = " ".join(text.split())
    return FROM_AN_INDEX.findall(flat) + AN_EXTRA_OF_IT.findall(flat)


def test_no_text_tells_to_install_a_package_of_that_name() -> None:
    assert len(TEXTS) > 600
    assert {str(file): found for file in TEXTS if (found := wrong(file.read_text()))} == {}


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
    assert wrong(text)


def test_all_update_messages_name_the_same_command() -> None:
    named = [word for one in errors() for word in NAMED.findall(one.__doc__ or "")]
    assert len(named) >= 5
    assert set(named) == {"{update}"}
    message = str(ProtocolTooOld(floor=3, newest=4, ours=2))
    assert " ".join(message.split()).endswith(
        f"Nothing was sent to it. Update Entrenous: {HOW_TO_UPDATE}"
    )


def test_the_first_steps_say_the_same_and_the_makefile_has_it() -> None:
    steps = re.findall(r"git pull|make \S+", HOW_TO_UPDATE)
    assert steps == ["git pull", "make .venv/.run"]
    assert "```\n" + "\n".join(steps) + "\n```" in (ROOT / "docs" / "start.md").read_text()
    assert "\n.venv/.run:" in (ROOT / "Makefile").read_text()
