"""A malicious sender whose modified program seals arbitrary bytes."""

from collections.abc import Sequence
from typing import Any

from entrenous.send.letter.letter_nouns import ContentFile, FileRole
from entrenous.send.message import make
from entrenous.send.message.make import FileForDevice, seal_content
from tests.send.commands.test_letters import CommandLine

ROLE_BY_MEDIA_KIND = {"image": FileRole.PICTURE, "video": FileRole.CLIP, "audio": FileRole.VOICE}
TO_BEN = ("--to", "ben", "--confirm", "ben", "--undo", "0")


def send_raw_files(
    cli: CommandLine,
    files: Sequence[tuple[str, bytes]],
    *options: str,
    role: FileRole | None = None,
    text: str = "look",
) -> str:
    """Send these bytes unchanged from Ana to Ben, and return the message's name."""
    raw_files = tuple(
        FileForDevice(
            ContentFile(kind, data, role or ROLE_BY_MEDIA_KIND.get(kind[:5], FileRole.PICTURE)),
            None,
        )
        for kind, data in files
    )

    def seal_raw_files(_: Any, *rest: Any) -> Any:
        return seal_content(raw_files, *rest)

    with cli.monkeypatch.context() as patched:
        patched.setattr(make, "seal_content", seal_raw_files)
        return str(cli.run_json("ana", "send", "--text", text, *TO_BEN, *options)["message"])
