"""Tests that errors about unusable files name the file and say what is wrong with it."""

import pytest

from tests.send.commands.test_letters import CommandLine

pytestmark = pytest.mark.slow

TO_BEN = ("--to", "ben", "--confirm", "ben", "--undo", "0")
UNSUPPORTED_FILE_ERROR = "Entrenous found no picture, clip or sound in in/{} that it can read."
UNSUPPORTED_FILES = {
    "text.jpg": b"only words",
    "form.pdf": b"%PDF-1.7\n",
}
DAMAGED_FILES = {
    "clip.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + b"broken" * 50,
    "note.m4a": b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom" + b"broken" * 50,
}


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Write unsupported, damaged, truncated and empty files; return the command line."""
    (cli.folder / "in").mkdir()
    beach = (cli.folder / "beach.jpg").read_bytes()
    files = {
        **UNSUPPORTED_FILES,
        **DAMAGED_FILES,
        "cut.jpg": beach[: len(beach) // 2],
        "empty.jpg": b"",
    }
    for name, data in files.items():
        (cli.folder / "in" / name).write_bytes(data)
    return cli


@pytest.mark.parametrize("name", UNSUPPORTED_FILES)
def test_unsupported_file_is_named(cli: CommandLine, name: str) -> None:
    result = cli.run("ana", "send", "beach.jpg", f"in/{name}", "beach.jpg", *TO_BEN)
    assert (result.status, result.out) == (7, "")
    assert result.err.startswith(UNSUPPORTED_FILE_ERROR.format(name))
    assert "beach" not in result.err
    result = cli.run("ana", "mark", f"in/{name}", "--to", "ben")
    assert (result.status, result.out) == (7, "")
    assert result.err.startswith(UNSUPPORTED_FILE_ERROR.format(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.mp4", "This clip is incomplete"),
        ("note.m4a", "Entrenous could not read this sound"),
    ],
)
def test_damaged_clip_or_sound_is_named(cli: CommandLine, name: str, expected: str) -> None:
    result = cli.run("ana", "send", "beach.jpg", f"in/{name}", *TO_BEN)
    assert (result.status, result.out) == (7, "")
    assert result.err.startswith(f"in/{name}:\n{expected}")


def test_truncated_file_is_named(cli: CommandLine) -> None:
    for command in (
        ("send", "beach.jpg", "in/cut.jpg", *TO_BEN),
        ("mark", "in/cut.jpg", "--to", "b"),
    ):
        result = cli.run("ana", *command)
        assert (result.status, result.out) == (7, "")
        assert result.err.startswith("in/cut.jpg:\nThis picture is incomplete")


def test_guard_names_the_unsupported_file(cli: CommandLine) -> None:
    """The guard decodes the pictures before it asks about Caro, whom the caption names."""
    cli.set_up_person("caro")
    cli.add_contact("ana", "caro")
    result = cli.run("ana", "send", "in/text.jpg", *TO_BEN, "--caption", "for you, caro")
    assert (result.status, result.err.startswith(UNSUPPORTED_FILE_ERROR.format("text.jpg"))) == (
        7,
        True,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("send", "beach.jpg", "in/empty.jpg", *TO_BEN),
        ("mark", "in/empty.jpg", "--to", "ben"),
        ("protect", "in/empty.jpg", "--gate", "http://127.0.0.1:1"),
    ],
    ids=lambda command: command[0],
)
def test_empty_file_is_reported_as_empty(cli: CommandLine, command: tuple[str, ...]) -> None:
    result = cli.run("ana", *command)
    assert (result.status, result.out) == (7, "")
    assert result.err.startswith("in/empty.jpg is empty")


def test_no_file_is_named_for_other_errors(cli: CommandLine) -> None:
    result = cli.run("ana", "send", "beach.jpg", "--to", "nobody-i-know")
    assert (result.status, "beach" in result.err) == (4, False)
