"""Where files are registered, one after the other: what leaves is said first, then asked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from entrenous.craft.media.kind import medium_of
from entrenous.faces.cli.output import hint
from entrenous.faces.cli.stop.agreed import adults, betrays, may_be_sent
from entrenous.model.errors import EntrenousError, of_file
from entrenous.model.fingerprint import TooFlat
from entrenous.model.medium import Medium
from entrenous.model.print import ClipPrint, Print, SoundTooQuiet, VideoTooFlat
from entrenous.model.protection import Consent, NotAgreed, OnlySound, Protection, TooYoung
from entrenous.ports import BankClient, Device
from entrenous.stop.print_of import print_of
from entrenous.stop.protect import protect, registered_already

_LEFT_OUT: Final = (TooFlat, VideoTooFlat, SoundTooQuiet, OnlySound, NotAgreed)


@dataclass(slots=True)
class Desk:
    """One platform, and what the person agreed to.

    ``asks``: each kind of file is asked about. ``answers`` are the kinds of files of which it was
    said what their fingerprints betray, and whether these may leave then; ``made`` is what was
    registered, ``left_out`` why something was not.
    """

    consent: Consent
    gate: BankClient
    device: Device
    asks: bool = True
    answers: dict[Medium, bool] = field(default_factory=dict)
    made: list[Protection] = field(default_factory=list)
    left_out: list[EntrenousError] = field(default_factory=list)

    def register(self, untrusted_data: bytes) -> Protection:
        """Say what leaves, ask, and register it.

        Raises:
            TooYoung, NotAgreed: the answer was no; nothing was sent.
            What print_of and protect raise.
        """
        medium = medium_of(untrusted_data)
        if not self._agreed(medium):
            raise NotAgreed
        with of_file(0):
            what = print_of(untrusted_data, self.consent, self.device)
        if medium is Medium.CLIP:
            hint(_of_a_video(what))
        before = registered_already(what, self.gate, self.device)
        if before is not None:
            hint("You registered this there already, as the claim that follows; nothing was sent.")
        self.made.append(before or protect(what, self.gate, self.device))
        return self.made[-1]

    def _agreed(self, medium: Medium) -> bool:
        """The answer for this kind of file, asked once, after what it is about can be read."""
        if medium not in self.answers:
            hint(betrays(medium, self.consent))
            if not self.answers and not adults():
                raise TooYoung
            self.answers[medium] = not self.asks or may_be_sent(self.gate.url)
        return self.answers[medium]

    def register_all(self, files: Iterable[bytes]) -> None:
        """Register each, but for what cannot be told apart or may not leave; that is said by its
        number.
        """
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
