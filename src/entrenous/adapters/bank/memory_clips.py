"""Frames, sounds and released clips of the bank in memory."""

from collections.abc import Collection
from dataclasses import dataclass, field

from entrenous.model.ids import ClaimId
from entrenous.model.print import SoundPrint
from entrenous.model.review import Release


@dataclass(slots=True)
class MemoryClips:
    """``shown`` are the times of frames by claim and number of their hash; a number of a sound is
    never used again.
    """

    shown: dict[tuple[ClaimId, int], list[int | None]] = field(default_factory=dict)
    sounds: dict[int, SoundPrint] = field(default_factory=dict)
    heard: dict[int, dict[ClaimId, None]] = field(default_factory=dict)
    last_sound: int = 0
    released: dict[bytes, Release] = field(default_factory=dict)

    def show(self, claim: ClaimId, number: int, at_ms: int) -> None:
        """The claim's video shows this hash then."""
        self.shown.setdefault((claim, number), []).append(at_ms)

    def add_picture(self, claim: ClaimId, number: int) -> None:
        """A hash of a picture, which may be that of a frame too."""
        times = self.shown.get((claim, number))
        if times is not None and None not in times:
            times.append(None)

    def times(self, claim: ClaimId, number: int) -> list[int | None]:
        """When it is shown; None: it is a picture's."""
        return self.shown.get((claim, number), [None])

    def add_sound(self, claim: ClaimId, sound: SoundPrint) -> None:
        """One that is there already gets one more claim."""
        known = next((number for number, one in self.sounds.items() if one == sound), None)
        if known is None:
            self.last_sound += 1
            known = self.last_sound
            self.sounds[known] = sound
        self.heard.setdefault(known, {})[claim] = None

    def claims_of(self, sounds: Collection[int]) -> list[tuple[int, ClaimId]]:
        """Claims on these sounds."""
        return [
            (number, claim) for number in sorted(sounds) for claim in self.heard.get(number, ())
        ]

    def sounds_of(self, claims: Collection[ClaimId]) -> dict[ClaimId, tuple[int, SoundPrint]]:
        """Looked for in all."""
        return {
            claim: (number, self.sounds[number])
            for number, those in self.heard.items()
            for claim in those
            if claim in claims
        }

    def forget(self, claim: ClaimId) -> None:
        """Its frames, and its sound if no other claim has that."""
        self.shown = {key: times for key, times in self.shown.items() if key[0] != claim}
        for number in list(self.heard):
            self.heard[number].pop(claim, None)
            if not self.heard[number]:
                del self.heard[number], self.sounds[number]
