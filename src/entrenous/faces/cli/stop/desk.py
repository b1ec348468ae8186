"""Where files are registered, one after the other: what leaves is said first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from entrenous.craft.media.kind import medium_of
from entrenous.faces.cli.output import hint
from entrenous.faces.cli.stop.agreed import betrays
from entrenous.model.errors import EntrenousError, of_file
from entrenous.model.fingerprint import TooFlat
from entrenous.model.medium import Medium
from entrenous.model.print import ClipPrint, Print, SoundTooQuiet, VideoTooFlat
from entrenous.model.protection import Consent, OnlySound, Protection
from entrenous.ports import BankClient, Device
from entrenous.stop.print_of import print_of
from entrenous.stop.protect import protect

_LEFT_OUT: Final = (TooFlat, VideoTooFlat, SoundTooQuiet, OnlySound)


@dataclass(slots=True)
class Desk:
    """One platform, and what the person agreed to.

    ``said`` are the kinds of files of which it was said what their fingerprints betray; ``made``
    is what was registered, ``left_out`` why something was not.
    """

    consent: Consent
    gate: BankClient
    device: Device
    said: set[Medium] = field(default_factory=set)
    made: list[Protection] = field(default_factory=list)
    left_out: list[EntrenousError] = field(default_factory=list)

    def register(self, untrusted_data: bytes) -> Protection:
        """Say what leaves, and register it; raises what print_of and protect raise."""
        medium = medium_of(untrusted_data)
        if medium not in self.said:
            self.said.add(medium)
            hint(betrays(medium, self.consent))
        with of_file(0):
            what = print_of(untrusted_data, self.consent, self.device)
        if medium is Medium.CLIP:
            hint(_of_a_video(what))
        self.made.append(protect(what, self.gate, self.device))
        return self.made[-1]

    def register_all(self, files: Iterable[bytes]) -> None:
        """Register each, but for what cannot be told apart; that is said by its number."""
        for number, untrusted_data in enumerate(files, 1):
            try:
                self.register(untrusted_data)
            except _LEFT_OUT as why:
                self.left_out.append(why)
                hint(f"File {number} of the message was left out.")


def _of_a_video(what: Print) -> str:
    match what:
        case ClipPrint(video, None):
            return f"Fingerprints of {len(video.frames)} moments, and nothing of its sound."
        case ClipPrint(video):
            return f"Fingerprints of {len(video.frames)} moments, and of its sound."
        case _:
            return "There are no moments in it to tell it by: a fingerprint of its sound alone."
