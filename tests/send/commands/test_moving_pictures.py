"""Tests of the hint that only the first frame of an animated picture is sent."""

import json

import pytest
from PIL import Image

from tests.send.commands.test_letters import CommandLine

pytestmark = pytest.mark.slow

TO_BEN = ("--to", "ben", "--confirm", "ben", "--undo", "0")
ANIMATION_HINT = (
    "anim.gif moves; only its first picture is sent. To send it moving, save it as MP4.\n"
)


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Add an animated GIF with two frames, and a GIF that is not animated."""
    with Image.open(cli.folder / "beach.jpg") as beach:
        turned = beach.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        beach.save(cli.folder / "anim.gif", save_all=True, append_images=[turned])
        beach.save(cli.folder / "still.gif")
    return cli


@pytest.mark.parametrize(
    "command", [("send", "beach.jpg", "anim.gif", *TO_BEN), ("mark", "anim.gif", "--to", "ben")]
)
def test_animated_picture_is_reported_on_stderr_and_in_json(
    cli: CommandLine, command: tuple[str, ...]
) -> None:
    result = cli.run("ana", *command, "--json")
    assert (result.status, result.err.count(ANIMATION_HINT)) == (0, 1)
    assert json.loads(result.out)["first_picture_only"] == ["anim.gif"]
    assert ANIMATION_HINT in cli.run("ana", *command).err


@pytest.mark.parametrize(
    "command", [("send", "beach.jpg", "still.gif", *TO_BEN), ("mark", "still.gif", "--to", "ben")]
)
def test_still_pictures_cause_no_hint(cli: CommandLine, command: tuple[str, ...]) -> None:
    result = cli.run("ana", *command, "--json")
    assert (result.status, "moves" in result.err) == (0, False)
    assert json.loads(result.out)["first_picture_only"] == []


def test_animation_hint_precedes_the_guard(cli: CommandLine) -> None:
    result = cli.run("ana", "send", "anim.gif", "--to", "ben")
    assert result.status == 3
    assert result.err.startswith(ANIMATION_HINT)
