"""An evening of real traffic. Three photographs full of metadata are sent in one message, which is
opened. Two more messages are sent: the first is recalled, the second stays unopened. A photograph
is registered at a gate.

The names and the caption are unusual, so that a search for them finds nothing by chance.
"""

import io
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image

from tests.media.test_no_metadata_left import (
    MARKER,
    exif_with_personal_data,
    profile_naming_a_person,
)
from tests.real.processes import Server, Shell

ANA, BEN = "Anastasia Quillfeather", "Benedict Ossington"
CAPTION = "the lighthouse keeper sends his regards"
TRAILER = MARKER * 50
PHOTO_SUFFIXES = ("jpg", "png", "webp")


@dataclass(frozen=True)
class Evening:
    """The servers and people, the sent and saved files, the message names and the invite link."""

    relay: Server
    gate: Server
    ana: Shell
    ben: Shell
    originals: dict[str, Path]
    copies: dict[str, Path]
    message_names: tuple[str, ...]
    invite_link: str


@contextmanager
def run_evening(folder: Path) -> Iterator[Evening]:
    relay = Server(folder / "relay", ("relay", "run"))
    gate = Server(folder / "gate", ("gate", "run", "--no-slow-look"))
    relay.start()
    gate.start()
    try:
        yield _send_messages(folder, relay, gate)
    finally:
        relay.stop()
        gate.stop()


def _send_messages(folder: Path, relay: Server, gate: Server) -> Evening:
    ana, ben = Shell(ANA, folder / "ana"), Shell(BEN, folder / "ben")
    for one in (ana, ben):
        one.run("setup", "--name", one.name, "--relay", relay.url)
    link = str(ben.run("invite", "--json").answer["link"])
    ana.run("person", "add", link, "--as", BEN, "--json")
    originals = {suffix: _save_photo(suffix, folder) for suffix in PHOTO_SUFFIXES}
    to = ("--to", BEN, "--confirm", BEN, "--caption", CAPTION, "--json")
    opened = ana.run("send", *map(str, originals.values()), *to).answer["message"]
    ben.inbox()
    saved = ben.run("open", opened, "--out", str(folder / "out"), "--json").answer["files"]
    recalled, waiting = (
        ana.run("send", str(originals["jpg"]), *to).answer["message"] for _ in range(2)
    )
    ana.run("recall", recalled, "--json")
    ana.run("protect", str(originals["jpg"]), "--gate", gate.url, "--json")
    return Evening(
        relay,
        gate,
        ana,
        ben,
        originals,
        {Path(path).suffix[1:]: Path(path) for path in saved},
        (opened, recalled, waiting),
        link,
    )


def _save_photo(suffix: str, folder: Path) -> Path:
    """Save a photograph with metadata and a trailer.

    Pillow writes metadata, and so does exiftool if it is installed.
    """
    path = folder / f"quillfeather-at-the-lighthouse.{suffix}"
    photo = Image.fromarray(skimage.data.astronaut()[0:240, 100:420])
    options: dict[str, Any] = {"comment": MARKER} if suffix == "jpg" else {}
    file = io.BytesIO()
    photo.save(
        file,
        {"jpg": "JPEG"}.get(suffix, suffix.upper()),
        exif=exif_with_personal_data(),
        icc_profile=profile_naming_a_person(),
        **options,
    )
    path.write_bytes(file.getvalue())
    _add_more_metadata(path, photo)
    path.write_bytes(path.read_bytes() + TRAILER)
    return path


def _add_more_metadata(path: Path, photo: Image.Image) -> None:
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        return
    thumbnail = path.with_name("thumbnail.jpg")
    photo.resize((80, 60)).save(thumbnail, "JPEG", comment=MARKER)
    changes = ["-XMP-dc:Creator=SPYGLASS", f"-ThumbnailImage<={thumbnail}"]
    if path.suffix == ".jpg":
        changes += ["-IPTC:By-line=SPYGLASS", "-IPTC:Caption-Abstract=SPYGLASS"]
    command = (exiftool, "-q", "-q", "-m", "-overwrite_original", *changes, str(path))
    subprocess.run(command, check=True)
