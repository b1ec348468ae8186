"""What is asked and said before anything is registered, and the files that are meant."""

import sys
from collections.abc import Callable, Iterator
from typing import Final

import typer

from entrenous.faces.cli.output import hint
from entrenous.model.medium import Medium
from entrenous.model.message import UnknownMessage
from entrenous.model.protection import Consent, NothingToProtect
from entrenous.ports import Device
from entrenous.stop.originals import originals_of

_PICTURE: Final = (
    "Only fingerprints leave this device, never the picture. A fingerprint betrays a little: "
    "somebody who has the picture can check that it is listed, and a likeness of it, not the "
    "picture, can be guessed."
)
_WINDOWS: Final = (
    " To find cut-outs as well, about 500 fingerprints of parts go along, which betray more; "
    "--whole-only leaves them out."
)
_LOOKS: Final = (
    "With --embedding, 512 numbers go along that say how the picture looks to a network. They "
    "betray more than its fingerprints do: what is in it (how many people, how they are placed, "
    "what is around them) and a fuller likeness can be guessed from them. They find more, also "
    "pictures that only look alike; a person decides. Only this platform keeps them, until you "
    "take this back."
)
_VIDEO: Final = (
    "Only fingerprints leave this device, never the video: of up to 1,200 of its moments, with "
    "their times. They betray more than those of one picture do: somebody who has the video, or a "
    "moment of it, can check that it is listed, and blurred likenesses of its moments, and how it "
    "goes on, can be guessed."
)
_INNER: Final = (
    " To find it with its edges cut off as well, a second fingerprint of each moment goes along; "
    "--whole-only leaves these out."
)
_ITS_SOUND: Final = (
    " Its sound is registered too: a song that is in it can be named, and a tune guessed; as far "
    "as we know, nobody can tell from it what was said. If others have that song in their videos, "
    "theirs are held as well, until a person has looked; --no-sound leaves the sound out."
)
_SOUND: Final = (
    "Only a fingerprint leaves this device, never the sound. It betrays a little: somebody who has "
    "the sound, or a song that is in it, can check that it is listed, and a tune can be guessed. "
    "As far as we know, nobody can tell from it what was said. If others have that song too, what "
    "they upload is held as well, until a person has looked."
)


def betrays(medium: Medium, consent: Consent) -> str:
    """What the fingerprints of such a file give away, for the person to read before they leave."""
    if medium is Medium.PICTURE:
        return _PICTURE + (_WINDOWS if consent.parts else "")
    if medium is Medium.SOUND:
        return _SOUND
    edges = _INNER if consent.parts else ""
    return _VIDEO + edges + (_ITS_SOUND if consent.sound else "")


def adults() -> bool:
    """Whether everybody in it was; who types no answer has said so by giving the command."""
    if not sys.stdin.isatty():
        return True
    question = "Was everybody in it 18 or older when it was made?"
    return typer.confirm(question, err=True)  # standard output is for scripts


def may_be_sent(gate_url: str) -> bool:
    """Whether the fingerprints may go to that platform, asked after :func:`betrays` was read; who
    types no answer has agreed by giving the command.
    """
    return not sys.stdin.isatty() or typer.confirm(f"Send this to {gate_url}?", err=True)


def looks_agreed() -> bool:
    """Whether an embedding may go along, after it was said what it betrays; who types no answer has
    agreed by giving --embedding.
    """
    hint(_LOOKS)
    return not sys.stdin.isatty() or typer.confirm("Send these numbers too?", err=True)


def files_of(
    message: str, device: Device, received: Callable[[str, Device], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield the pictures, videos and sounds of a message that was sent, marked or received here.

    ``received`` yields those of a received message: SEND knows it, and the command line joins the
    two.

    Raises:
        UnknownMessage: there is none of that name.
        NotKeptHere: it was received, and its files are not in the vault.
        NothingToProtect: it is a text.
    """
    files = _files(message, device, received)
    first = next(files, None)
    if first is None:
        raise NothingToProtect(name=message)
    yield first
    yield from files


def _files(
    message: str, device: Device, received: Callable[[str, Device], Iterator[bytes]]
) -> Iterator[bytes]:
    try:
        sent = device.ledger.find(message)
    except UnknownMessage:
        yield from received(message, device)
    else:
        yield from originals_of(sent, device)
